//! Series as CSV or JSON, piece by piece: an export of any length takes the memory of one piece.
//!
//! [`csv`] and [`json`] give iterators over pieces of some 32 KiB, to be sent one after the other; who drops the iterator
//! has cancelled the export. Numbers are the shortest text that reads back as the same double, times are ISO 8601 in UTC
//! with milliseconds (CSV) or Unix milliseconds (JSON). A stale marker is an empty cell, or `null`.
//!
//! CSV is RFC 4180: CRLF, quotes where they are needed. What stands in front are the metadata, a row `# name,value` each,
//! then the names of the columns. A text that begins with `=`, `+`, `-`, `@`, tab, carriage return or line
//! feed would be run as a formula by spreadsheets; it gets an apostrophe in front unless `raw` is asked for. Infinities are `Inf` and `-Inf`.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::chunk::is_stale;
use super::series::{Samples, SeriesRef};
use crate::exposition::number;
use crate::query::Labels;
use crate::query::labels::METRIC_NAME;
use crate::series::key;

/// Bytes of a piece, about.
const PIECE: usize = 32 << 10;

/// How a CSV export looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csv {
    /// A column for each series and a row for each time, rather than a row for each sample with a column for each label.
    pub wide: bool,
    /// Texts as they are, also where a spreadsheet would run them.
    pub raw: bool,
}

/// The pieces of an export.
pub type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// Series as CSV. `meta` are pairs of name and value: what was asked for, when, of whom.
#[must_use]
pub fn csv(series: Vec<SeriesRef>, meta: &[(&str, String)], form: Csv) -> Pieces {
    let mut head = Vec::new();
    for (name, value) in meta {
        let name = format!("# {name}");
        cells(&mut head, [&*name, value], form.raw);
        head.extend_from_slice(b"\r\n");
    }
    if form.wide { wide(series, head, form.raw) } else { long(series, head, form.raw) }
}

/// Rows of samples: time, name, labels, value.
fn long(series: Vec<SeriesRef>, mut head: Vec<u8>, raw: bool) -> Pieces {
    let columns: BTreeSet<Arc<str>> = series
        .iter()
        .flat_map(|one| one.labels().iter().map(|(name, _)| name))
        .filter(|name| *name != METRIC_NAME)
        .map(Arc::from)
        .collect();
    cells(&mut head, ["time", "name"].into_iter().chain(columns.iter().map(|name| &**name)), raw);
    head.extend_from_slice(b",value\r\n");
    let mut rest = series.into_iter();
    let mut current: Option<(Vec<u8>, Samples)> = None;
    pieces(head, move |out| {
        loop {
            if let Some((identity, samples)) = &mut current
                && let Some((time, value)) = samples.next()
            {
                out.extend_from_slice(iso(time).as_bytes());
                out.extend_from_slice(identity);
                csv_number(out, value);
                out.extend_from_slice(b"\r\n");
                return true;
            }
            let Some(next) = rest.next() else { return false };
            let names = std::iter::once(METRIC_NAME).chain(columns.iter().map(|name| &**name));
            let mut identity = vec![b','];
            cells(&mut identity, names.map(|name| next.labels().get(name).unwrap_or("")), raw);
            identity.push(b',');
            current = Some((identity, next.samples()));
        }
    })
}

/// A row for each time, a column for each series.
fn wide(series: Vec<SeriesRef>, mut head: Vec<u8>, raw: bool) -> Pieces {
    let keys: Vec<String> = series.iter().map(|one| key_of(one.labels())).collect();
    cells(&mut head, std::iter::once("time").chain(keys.iter().map(|key| &**key)), raw);
    head.extend_from_slice(b"\r\n");
    let mut samples: Vec<Samples> = series.iter().map(SeriesRef::samples).collect();
    // The next sample of each series, the earliest first; of one time in the order of the columns.
    let mut next: BinaryHeap<Reverse<(i64, usize, u64)>> = BinaryHeap::new();
    for (column, samples) in samples.iter_mut().enumerate() {
        next.extend(samples.next().map(|(time, value)| Reverse((time, column, value.to_bits()))));
    }
    pieces(head, move |out| {
        let Some(&Reverse((time, ..))) = next.peek() else { return false };
        out.extend_from_slice(iso(time).as_bytes());
        let mut written = 0;
        while let Some(&Reverse((at, column, bits))) = next.peek()
            && at == time
        {
            next.pop();
            out.extend(std::iter::repeat_n(b',', column + 1 - written));
            written = column + 1;
            csv_number(out, f64::from_bits(bits));
            next.extend(samples[column].next().map(|(time, value)| Reverse((time, column, value.to_bits()))));
        }
        out.extend(std::iter::repeat_n(b',', samples.len() - written));
        out.extend_from_slice(b"\r\n");
        true
    })
}

/// Series as one JSON object: `{"meta":{…},"series":[{"labels":{…},"points":[[ms,value],…]},…]}`. Values are numbers, or
/// `"NaN"`, `"+Inf"`, `"-Inf"`.
#[must_use]
pub fn json(series: Vec<SeriesRef>, meta: &[(&str, String)]) -> Pieces {
    let mut head = b"{\"meta\":".to_vec();
    json_object(&mut head, meta.iter().map(|(name, value)| (*name, &**value)));
    head.extend_from_slice(b",\"series\":[");
    let mut rest = series.into_iter();
    let mut current: Option<Samples> = None;
    let (mut first_series, mut first_point, mut ended) = (true, true, false);
    pieces(head, move |out| {
        if let Some(samples) = &mut current {
            match samples.next() {
                Some((time, value)) => {
                    out.extend_from_slice(if first_point { b"[" } else { b",[" });
                    first_point = false;
                    out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
                    out.push(b',');
                    match is_stale(value) {
                        true => out.extend_from_slice(b"null"),
                        false => number::push_json(out, value),
                    }
                    out.push(b']');
                }
                None => {
                    out.extend_from_slice(b"]}");
                    current = None;
                }
            }
            return true;
        }
        match rest.next() {
            Some(next) => {
                out.extend_from_slice(if first_series { b"{\"labels\":" } else { b",{\"labels\":" });
                first_series = false;
                json_object(out, next.labels().iter());
                out.extend_from_slice(b",\"points\":[");
                (current, first_point) = (Some(next.samples()), true);
                true
            }
            None if ended => false,
            None => {
                ended = true;
                out.extend_from_slice(b"]}\n");
                true
            }
        }
    })
}

/// Pieces of what `write` appends, until it appends nothing more and says so.
fn pieces(head: Vec<u8>, mut write: impl FnMut(&mut Vec<u8>) -> bool + Send + 'static) -> Pieces {
    let (mut head, mut more) = (Some(head), true);
    Box::new(std::iter::from_fn(move || {
        if !more {
            return None;
        }
        let mut piece = head.take().unwrap_or_default();
        while more && piece.len() < PIECE {
            more = write(&mut piece);
        }
        (!piece.is_empty()).then_some(piece)
    }))
}

fn key_of(labels: &Labels) -> String {
    let others: Vec<_> = labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
    key::render(labels.name(), &others)
}

fn cells<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>, raw: bool) {
    for (at, text) in texts.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let formula = !raw && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        let quoted = text.contains([',', '"', '\r', '\n']);
        out.extend_from_slice(if quoted { b"\"" } else { b"" });
        out.extend_from_slice(if formula { b"'" } else { b"" });
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.extend_from_slice(if quoted { b"\"" } else { b"" });
    }
}

fn csv_number(out: &mut Vec<u8>, value: f64) {
    if value == f64::INFINITY {
        out.extend_from_slice(b"Inf"); // a plus in front would be a formula
    } else if !is_stale(value) {
        number::push(out, value);
    }
}

fn json_object<'a>(out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let object: serde_json::Map<String, serde_json::Value> =
        pairs.map(|(name, value)| (name.to_owned(), value.into())).collect();
    out.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
}

/// ISO 8601 in UTC, with milliseconds. Years beyond four digits have a sign, as the standard says.
pub(crate) fn iso(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days to a civil date by Howard Hinnant's algorithm (chrono-Compatible Low-Level Date Algorithms, 2021): years
    // begin in March, and eras of 400 years all have 146,097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    let year = if (0..=9999).contains(&year) { format!("{year:04}") } else { format!("{year:+07}") };
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::series::Series;
    use crate::history::{STALE, Write};
    use crate::series::Selector;
    use std::time::Duration;

    const T0: i64 = 1_700_000_000_000;

    fn series() -> Vec<SeriesRef> {
        let mut memory = crate::history::memory::Memory::new(Duration::from_secs(3600), 64 << 20);
        let labels =
            |list: &[(&str, &str)]| list.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
        let stale = f64::from_bits(STALE);
        memory.append(
            &[
                Write {
                    labels: labels(&[("__name__", "a"), ("x", "=1+2,\"q\"\n")]),
                    samples: vec![(T0, 1.5), (T0 + 1, stale), (T0 + 2, f64::INFINITY)],
                },
                Write {
                    labels: labels(&[("__name__", "b"), ("y", "@z")]),
                    samples: vec![(T0, -2.0), (T0 + 2, f64::NAN)],
                },
            ],
            T0,
        );
        let all = Selector::parse("{__name__!=\"\"}").expect("a selector");
        memory.select(all.matchers(), i64::MIN, i64::MAX, 9)
    }

    fn text(pieces: Pieces) -> String {
        String::from_utf8(pieces.flatten().collect()).expect("UTF-8")
    }

    fn meta() -> Vec<(&'static str, String)> {
        vec![("query", "=cmd".to_owned())]
    }

    #[test]
    fn long_csv_has_a_row_a_sample_and_runs_no_formula() {
        let want = "# query,'=cmd\r\n\
            time,name,x,y,value\r\n\
            2023-11-14T22:13:20.000Z,a,\"'=1+2,\"\"q\"\"\n\",,1.5\r\n\
            2023-11-14T22:13:20.001Z,a,\"'=1+2,\"\"q\"\"\n\",,\r\n\
            2023-11-14T22:13:20.002Z,a,\"'=1+2,\"\"q\"\"\n\",,Inf\r\n\
            2023-11-14T22:13:20.000Z,b,,'@z,-2\r\n\
            2023-11-14T22:13:20.002Z,b,,'@z,NaN\r\n";
        assert_eq!(text(csv(series(), &meta(), Csv::default())), want);
        let raw = text(csv(series(), &meta(), Csv { raw: true, wide: false }));
        assert_eq!(raw, want.replace('\'', ""));
    }

    #[test]
    fn whatever_begins_a_formula_is_disarmed_and_nothing_else() {
        for (text, want) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("\n=1", "\"'\n=1\""),
            ("=A1,\"b\"", "\"'=A1,\"\"b\"\"\""),
            ("a=1", "a=1"),
            ("'", "'"),
            ("", ""),
        ] {
            let (mut safe, mut raw) = (Vec::new(), Vec::new());
            cells(&mut safe, [text], false);
            cells(&mut raw, [text], true);
            assert_eq!(String::from_utf8_lossy(&safe), want);
            let plain = if text == "'" { want.to_owned() } else { want.replacen('\'', "", 1) };
            assert_eq!(String::from_utf8_lossy(&raw), plain);
        }
    }

    #[test]
    fn wide_csv_has_a_row_a_time_and_a_column_a_series() {
        let want = "# query,'=cmd\r\n\
            time,\"a{x=\"\"=1+2,\\\"\"q\\\"\"\\n\"\"}\",\"b{y=\"\"@z\"\"}\"\r\n\
            2023-11-14T22:13:20.000Z,1.5,-2\r\n\
            2023-11-14T22:13:20.001Z,,\r\n\
            2023-11-14T22:13:20.002Z,Inf,NaN\r\n";
        assert_eq!(text(csv(series(), &meta(), Csv { wide: true, raw: false })), want);
    }

    #[test]
    fn json_is_whole_and_keeps_the_numbers() {
        let read: serde_json::Value = serde_json::from_str(&text(json(series(), &meta()))).expect("JSON");
        let want = serde_json::json!({"meta": {"query": "=cmd"}, "series": [
            {"labels": {"__name__": "a", "x": "=1+2,\"q\"\n"},
             "points": [[T0, 1.5], [T0 + 1, null], [T0 + 2, "+Inf"]]},
            {"labels": {"__name__": "b", "y": "@z"}, "points": [[T0, -2], [T0 + 2, "NaN"]]},
        ]});
        // -2 and -2.0 are the same number, in two kinds of serde_json.
        assert_eq!(read.to_string(), want.to_string());
        assert_eq!(text(json(Vec::new(), &[])), "{\"meta\":{},\"series\":[]}\n");
    }

    #[test]
    fn an_export_of_any_length_comes_in_pieces_of_the_same_size() {
        let mut one = Series::new(Labels::new([(METRIC_NAME, "a")]), 1);
        for i in 0..50_000 {
            one.push(T0 + i * 1000, (i as f64).sqrt().to_bits());
            one.seal();
        }
        let all = vec![SeriesRef::new(Arc::new(one), i64::MIN, i64::MAX)];
        let forms = [
            csv(all.clone(), &[], Csv::default()),
            csv(all.clone(), &[], Csv { wide: true, raw: false }),
            json(all, &[]),
        ];
        for pieces in forms {
            let pieces: Vec<_> = pieces.collect();
            assert!(pieces.len() > 20);
            assert!(pieces.iter().all(|piece| piece.len() < PIECE + 200));
            let text = String::from_utf8(pieces.concat()).expect("UTF-8");
            assert_eq!(
                text.matches("223.604").count(),
                (0..50_000).filter(|i| f64::from(*i).sqrt().to_string().contains("223.604")).count()
            );
        }
    }

    #[test]
    fn times_are_civil_dates_from_the_first_to_the_last_millisecond() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
        ];
        for (ms, want) in cases {
            assert_eq!(iso(ms), want);
        }
        assert!(iso(i64::MAX).ends_with("Z") && iso(i64::MIN).starts_with('-'));
    }
}

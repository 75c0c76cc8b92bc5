//! Recorded rows through a detector: CSV `timestamp,value` in, `timestamp,value,anomaly_score` out.
//!
//! A [`Replay`] takes lines one by one and gives one for each row, so it can stand in a pipe: no row waits for a later one, and
//! the score of a row depends on those before it only. Timestamp and value are handed on as they were written.
//!
//! The first line is a header if its value is no number; then the columns `timestamp` and `value` are found by name, else they
//! are the first two. An empty value, `NaN` and infinities are rows without a value: score 0, nothing learnt.

use std::fmt::Write;

use super::{Detector, Verdict};

/// The header of what comes out.
pub const HEADER: &str = "timestamp,value,anomaly_score";

/// Rows that are kept as the most anomalous.
const STRANGEST: usize = 5;

/// A detector, fed with lines.
#[derive(Debug)]
pub struct Replay {
    detector: Box<dyn Detector>,
    /// Places of timestamp and value, once the first line has told.
    columns: Option<(usize, usize)>,
    line: usize,
    seen: Seen,
}

/// What has been seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Rows.
    pub rows: usize,
    /// Rows without a finite value.
    pub gaps: usize,
    /// Rows whose score was 1 or more.
    pub anomalous: usize,
    /// Rows at which a lasting change became the new normal.
    pub shifts: usize,
    /// The strangest rows, the strangest first; of consecutive anomalous rows only the strangest.
    pub strangest: Vec<Strange>,
}

/// An anomalous row.
#[derive(Clone, Debug, PartialEq)]
pub struct Strange {
    /// Line of the file, the first is 1.
    pub line: usize,
    /// Its timestamp as it was written.
    pub timestamp: String,
    /// Its value.
    pub value: f64,
    /// What the detector said.
    pub verdict: Verdict,
    /// The last line of those that belong to it.
    last: usize,
}

/// A row that cannot be read, with its line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {why}")]
pub struct BadRow {
    /// Line of the file, the first is 1.
    pub line: usize,
    /// What is wrong, for people.
    pub why: String,
}

impl Replay {
    /// Rows through this detector, which should be new.
    #[must_use]
    pub fn new(detector: Box<dyn Detector>) -> Self {
        Replay { detector, columns: None, line: 0, seen: Seen::default() }
    }

    /// Takes the next line, with or without its end, and appends what comes of it to `out`: a row, the header, or nothing for an
    /// empty line.
    ///
    /// # Errors
    ///
    /// A line that is no row. The detector has not seen it; one may go on.
    pub fn line(&mut self, line: &str, out: &mut String) -> Result<(), BadRow> {
        self.line += 1;
        let line = line.trim_end_matches(['\r', '\n']);
        let line = if self.line == 1 { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() {
            return Ok(());
        }
        let bad = |why: String| BadRow { line: self.line, why };
        let columns = match self.columns {
            Some(columns) => columns,
            None => {
                let (columns, is_header) = columns(line).map_err(bad)?;
                self.columns = Some(columns);
                let _ = writeln!(out, "{HEADER}");
                if is_header {
                    return Ok(());
                }
                columns
            }
        };
        let cell = |column| line.split(',').nth(column).map(unquoted);
        let (Some(stamp), Some(text)) = (cell(columns.0), cell(columns.1)) else {
            return Err(bad(format!("a row needs a timestamp and a value: {line:?}")));
        };
        let t_ms = timestamp_ms(stamp).ok_or_else(|| {
            bad(format!("cannot read the timestamp {stamp:?}: 2026-01-31 23:59:59, RFC 3339, Unix seconds or milliseconds"))
        })?;
        let value = match text {
            "" => f64::NAN,
            text => {
                text.parse().map_err(|_| bad(format!("cannot read the value {text:?}: it is no number")))?
            }
        };
        let verdict = self.detector.observe(t_ms, value);
        self.seen.row(self.line, stamp, value, verdict);
        let _ = writeln!(out, "{stamp},{text},{}", self.detector.share(verdict.score));
        Ok(())
    }

    /// The number of the line that comes next; the first is 1.
    #[must_use]
    pub fn next_line(&self) -> usize {
        self.line + 1
    }

    /// What has been seen so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

impl Seen {
    fn row(&mut self, line: usize, timestamp: &str, value: f64, verdict: Verdict) {
        self.rows += 1;
        self.gaps += usize::from(!value.is_finite());
        self.shifts += usize::from(verdict.shift.is_some());
        if verdict.score < 1.0 {
            return;
        }
        self.anomalous += 1;
        let new = Strange { line, timestamp: timestamp.into(), value, verdict, last: line };
        // Of one episode only the strangest row is kept, but the episode goes on.
        if let Some(open) = self.strangest.iter_mut().find(|strange| strange.last + 1 == line) {
            open.last = line;
            if verdict.score > open.verdict.score {
                *open = new;
            }
        } else {
            self.strangest.push(new);
        }
        self.strangest.sort_by(|a, b| b.verdict.score.total_cmp(&a.verdict.score));
        self.strangest.truncate(STRANGEST);
    }
}

/// Where timestamp and value are by the first line, and whether it is a header.
fn columns(line: &str) -> Result<((usize, usize), bool), String> {
    let cells: Vec<&str> = line.split(',').map(unquoted).collect();
    let place = |name: &str| cells.iter().position(|cell| cell.eq_ignore_ascii_case(name));
    match (place("timestamp"), place("value")) {
        (Some(timestamp), Some(value)) => Ok(((timestamp, value), true)),
        _ if cells.len() < 2 => Err(format!("expected two columns, timestamp and value: {line:?}")),
        _ => Ok(((0, 1), timestamp_ms(cells[0]).is_none() && cells[1].parse::<f64>().is_err())),
    }
}

fn unquoted(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
}

/// Unix milliseconds of a timestamp: `2014-04-01 00:05:00` and `2014-04-01T00:05:00`, taken for UTC unless `Z` or an offset
/// follows, with decimals of seconds if need be; Unix seconds, with decimals; and Unix milliseconds, told by being beyond
/// 10¹¹ (1973 in milliseconds, the year 5138 in seconds).
#[must_use]
pub fn timestamp_ms(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<f64>() {
        let ms = if number.abs() < 1e11 { number * 1000.0 } else { number };
        return (ms.abs() < 1e15).then_some(ms.round() as i64);
    }
    // YYYY-MM-DD HH:MM:SS is 19 bytes, and all of them are ASCII.
    let (date_time, rest) = text.split_at_checked(19)?;
    let bytes = date_time.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| bytes[*at] != *byte) || !matches!(bytes[10], b' ' | b'T' | b't') {
        return None;
    }
    let number = |text: &str| -> Option<i64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let part = |from: usize, to: usize| date_time.get(from..to).and_then(number);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // 60 is a leap second.
    if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let zone_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (decimals, zone) = rest.split_at(zone_at);
    let fraction = match decimals {
        "" => 0.0,
        decimals => decimals.starts_with('.').then(|| format!("0{decimals}").parse::<f64>().ok())??,
    };
    let offset_minutes = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let (sign, zone) = zone.split_at_checked(1)?;
            let (hours, minutes) = zone.split_once(':')?;
            let minutes = (hours.len() == 2 && minutes.len() == 2)
                .then(|| Some(number(hours)? * 60 + number(minutes)?))??;
            match sign {
                "+" => minutes,
                "-" => -minutes,
                _ => return None,
            }
        }
    };
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    Some((minutes * 60 + second) * 1000 + (fraction * 1000.0) as i64)
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar (Hinnant, *chrono-Compatible Low-Level Date Algorithms*,
/// `days_from_civil`): years begin in March, so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Kind, Spec};
    use proptest::prelude::*;

    fn replay(text: &str) -> Result<String, BadRow> {
        let mut replay = Replay::new(Spec::of(Kind::Zscore).build());
        let mut out = String::new();
        text.lines().try_for_each(|line| replay.line(line, &mut out)).map(|()| out)
    }

    #[test]
    fn timestamps_are_read_in_every_form() {
        for text in [
            "2014-04-01 00:05:00",
            "2014-04-01T00:05:00Z",
            "2014-04-01T02:05:00+02:00",
            "2014-03-31 22:35:00.000-01:30",
            "1396310700",
            "1396310700.000",
            "1396310700000",
        ] {
            assert_eq!(timestamp_ms(text), Some(1_396_310_700_000), "{text}");
        }
        assert_eq!(timestamp_ms("2016-02-29 23:59:59.5"), Some(1_456_790_399_500));
        assert_eq!(timestamp_ms("1969-12-31 23:59:59"), Some(-1_000));
        for text in [
            "",
            "x",
            "2014-04-01",
            "2015-02-29 00:00:00",
            "2014-04-01 24:00:00",
            "2014-13-01 00:00:00",
            "nan",
            "2014-04-01 00:05:00+2",
            "2014-04-01 00:05:00 CET",
            "2014-04-01 00:05:0é",
            "2014-04-01 00:05:00.1.2",
            "inf",
        ] {
            assert_eq!(timestamp_ms(text), None, "{text}");
        }
    }

    #[test]
    fn rows_come_out_as_they_went_in() {
        let out =
            replay("\u{feff}timestamp,value\r\n2014-04-01 00:00:00,20.0\r\n\r\n2014-04-01 00:05:00,1e3\r\n");
        assert_eq!(
            out.unwrap(),
            "timestamp,value,anomaly_score\n2014-04-01 00:00:00,20.0,0\n2014-04-01 00:05:00,1e3,0\n"
        );
        let named = replay("value,host,timestamp\n7,a,10\n").unwrap();
        assert_eq!(named, "timestamp,value,anomaly_score\n10,7,0\n");
        assert_eq!(
            replay("10,7\n20,\n30,NaN\n").unwrap().lines().count(),
            4,
            "no header, and rows without a value"
        );
    }

    #[test]
    fn a_row_that_cannot_be_read_is_told_with_its_line() {
        for (text, told) in [
            ("timestamp,value\n1,2\nyesterday,3\n", "3: cannot read the timestamp \"yesterday\""),
            ("1,2\n2,lots\n", "2: cannot read the value \"lots\""),
            ("timestamp,value\n1\n", "2: a row needs a timestamp and a value: \"1\""),
            ("hello\n", "1: expected two columns"),
        ] {
            let error = replay(text).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }

    #[test]
    fn consecutive_anomalous_rows_are_one_of_the_strangest() {
        let mut seen = Seen::default();
        for (line, score) in [(1, 2.0), (2, 3.0), (3, 1.0), (4, 0.5), (5, 1.5)] {
            seen.row(line, "t", 0.0, Verdict { score, ..Verdict::UNKNOWN });
        }
        let lines: Vec<(usize, f64)> =
            seen.strangest.iter().map(|row| (row.line, row.verdict.score)).collect();
        assert_eq!((lines, seen.anomalous), (vec![(2, 3.0), (5, 1.5)], 4));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", digits in "[0-9:. TZ+-]{0,30}") {
            let _ = (timestamp_ms(&text), timestamp_ms(&digits), replay(&text), replay(&digits));
        }
    }
}

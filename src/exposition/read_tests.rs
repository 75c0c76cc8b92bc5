use proptest::prelude::*;

use super::*;
use crate::series::Kind;

const TEXT: Format = Format::Text;
const OPENMETRICS: Format = Format::OpenMetrics;

/// Everything a page says, with keys in place of entries.
fn told(page: &Page<'_>) -> Vec<(String, f64, i64, String, Kind, Role)> {
    let tell = |sample: &Sample| {
        let Described { family, role, name, labels } = page.describe(sample.entry);
        let key = series_key::render(&name, &labels);
        (key, sample.value, sample.time_ms, family.name.to_string(), family.kind, role)
    };
    page.samples().iter().map(tell).collect()
}

fn entries(page: &Page<'_>) -> Vec<(String, u32)> {
    page.samples().iter().zip(told(page)).map(|(sample, told)| (told.0, sample.entry)).collect()
}

fn keys(page: &Page<'_>) -> Vec<String> {
    told(page).into_iter().map(|told| told.0).collect()
}

#[test]
fn samples_come_in_the_order_of_the_page_with_family_and_role() {
    let mut reader = Reader::new();
    let text = "# HELP h A\\nb\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2 1700000000000\nh_sum 3.5\nh_count 2\nup 1\n";
    let page = reader.read(text.as_bytes(), TEXT).expect("a page");
    let h =
        |key: &str, value, time, role| (key.to_owned(), value, time, "h".to_owned(), Kind::Histogram, role);
    assert_eq!(
        told(&page),
        [
            h("h_bucket{le=\"+Inf\"}", 2.0, 1_700_000_000_000, Role::Bucket),
            h("h_sum", 3.5, NO_TIME, Role::Sum),
            h("h_count", 2.0, NO_TIME, Role::Count),
            ("up".into(), 1.0, NO_TIME, "up".into(), Kind::Unknown, Role::Value),
        ]
    );
    assert_eq!(&*page.describe(0).family.help, "A\nb");
}

#[test]
fn the_same_page_is_predicted_and_says_the_same() {
    let mut reader = Reader::new();
    let text = "# TYPE a counter\na_total{x=\"1\"} 1 # {t=\"1\"} 0.5\na_total{x=\"2\"} 2 5\nb NaN\n# EOF\n";
    let first = reader.read(text.as_bytes(), OPENMETRICS).expect("a page");
    let (samples, exemplars) = (first.samples().to_vec(), first.exemplars().to_vec());
    let before = reader.pass;
    let second = reader.read(text.as_bytes(), OPENMETRICS).expect("a page");
    assert_eq!(format!("{samples:?}"), format!("{:?}", second.samples()));
    assert_eq!(exemplars, second.exemplars());
    assert!(second.gone().is_empty() && second.changed_families().is_empty());
    assert_eq!(reader.pass, before, "nothing was scanned");
}

#[test]
fn entries_keep_their_numbers_when_lines_move_and_numbers_are_used_again() {
    let mut reader = Reader::new();
    let first = entries(&reader.read(b"a 1\nb 2\nc{x=\"1\"} 3\n", TEXT).expect("a page"));
    let page = reader.read(b"c{x=\"1\"} 3\nd 4\na 1\n", TEXT).expect("a page");
    let second = entries(&page);
    assert_eq!(page.gone(), [first[1].1]);
    assert_eq!((second[0].1, second[2].1), (first[2].1, first[0].1));
    let third = entries(&reader.read(b"c{x=\"1\"} 3\nd 4\na 1\ne 5\n", TEXT).expect("a page"));
    assert_eq!(third[3], ("e".into(), first[1].1), "the number of b is free");
}

#[test]
fn the_same_series_in_other_bytes_is_the_same_entry() {
    let mut reader = Reader::new();
    let first = entries(&reader.read(b"a{x=\"1\",y=\"2\"} 1\nb 1\n", TEXT).expect("a page"));
    let page = reader.read(b"a{y=\"2\",x=\"1\",z=\"\"} 1\nb{} 1\n", TEXT).expect("a page");
    assert!(page.gone().is_empty());
    assert_eq!(entries(&page), first);
    let page = reader.read(b"b 1\na{x=\"1\",y=\"2\"} 1\n", TEXT).expect("a page");
    assert_eq!(entries(&page), [first[1].clone(), first[0].clone()]);
}

#[test]
fn a_series_that_stands_twice_is_taken_once_and_counted() {
    let mut reader = Reader::new();
    let text = b"a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\na{x=\"1\",y=\"2\"} 3\nb 4\n";
    for _ in 0..3 {
        let page = reader.read(text, TEXT).expect("a page");
        assert_eq!(page.duplicates(), 2);
        assert_eq!(page.samples().iter().map(|s| s.value).collect::<Vec<_>>(), [1.0, 4.0]);
    }
}

#[test]
fn metadata_after_samples_counts_and_repeated_metadata_is_counted() {
    let mut reader = Reader::new();
    let text = b"a 1\n# TYPE a gauge\n# TYPE a counter\n# HELP a x\n# HELP a y\n";
    for _ in 0..2 {
        let page = reader.read(text, TEXT).expect("a page");
        let family = page.describe(0).family;
        assert_eq!((family.kind, &*family.help, page.repeated_metadata()), (Kind::Gauge, "x", 2));
    }
}

#[test]
fn a_family_that_is_described_anew_is_told_and_a_series_that_changes_family_is_another() {
    let mut reader = Reader::new();
    reader.read(b"# TYPE a gauge\na 1\nh_sum 1\n", TEXT).expect("a page");
    let page = reader.read(b"# TYPE a counter\na 1\nh_sum 1\n", TEXT).expect("a page");
    assert_eq!(page.changed_families().len(), 1);
    assert_eq!((&*page.changed_families()[0].name, page.changed_families()[0].kind), ("a", Kind::Counter));
    assert!(page.gone().is_empty());
    let page = reader.read(b"# TYPE a counter\n# TYPE h summary\na 1\nh_sum 1\n", TEXT).expect("a page");
    assert_eq!(page.gone(), [1]);
    assert_eq!(told(&page)[1].3, "h");
    assert_eq!(page.samples()[1].entry, 2);
    let page = reader.read(b"# TYPE a counter\n# TYPE h summary\nh_sum 2\n", TEXT).expect("a page");
    assert_eq!((page.gone(), keys(&page)), (&[0][..], vec!["h_sum".to_owned()]));
}

#[test]
fn a_failed_page_leaves_the_reader_as_before() {
    let mut reader = Reader::new();
    let good = b"# TYPE a gauge\na 1\nb{x=\"1\"} 2\n";
    let first = entries(&reader.read(good, TEXT).expect("a page"));
    let error =
        reader.read(b"# TYPE a counter\nnew 1\nb{x=\"1\"} 2\na 0x1\n", TEXT).expect_err("hexadecimal");
    assert_eq!((error.line, &*error.excerpt), (4, "a 0x1"));
    let page = reader.read(good, TEXT).expect("a page");
    assert!(page.gone().is_empty() && page.changed_families().is_empty());
    assert_eq!(entries(&page), first);
}

#[test]
fn a_name_is_not_taken_for_a_longer_one() {
    let mut reader = Reader::new();
    reader.read(b"a 1\nb 2\n", TEXT).expect("a page");
    let page = reader.read(b"ab 1\na {x=\"y\"} 2\na 3\n", TEXT).expect("a page");
    assert_eq!(keys(&page), ["ab", "a{x=\"y\"}", "a"]);
    assert_eq!(page.samples()[2].entry, 0);
}

#[test]
fn blanks_comments_and_a_missing_newline_are_fine_in_text() {
    let mut reader = Reader::new();
    for _ in 0..2 {
        let page = reader.read(b"\n# at 12:00\n  a\t1  \n#\nb 2", TEXT).expect("a page");
        assert_eq!(keys(&page), ["a", "b"]);
    }
    assert!(reader.read(b"", TEXT).expect("an empty page").samples().is_empty());
}

#[test]
fn an_openmetrics_page_ends_with_eof_and_nothing_after() {
    let mut reader = Reader::new();
    let line = |result: Result<Page<'_>, ParseError>| result.map(|_| ()).map_err(|error| error.line);
    assert_eq!(line(reader.read(b"a 1\n# EOF\n", OPENMETRICS)), Ok(()));
    assert_eq!(line(reader.read(b"a 1\n# EOF\nb 1\n", OPENMETRICS)), Err(3));
    assert_eq!(line(reader.read(b"a 1\n# EOF\n\n", OPENMETRICS)), Err(3));
    assert_eq!(line(reader.read(b"a 1\n", OPENMETRICS)), Err(2));
    assert_eq!(line(reader.read(b"", OPENMETRICS)), Err(1));
    assert_eq!(line(reader.read(b"a 1\n\n# EOF\n", OPENMETRICS)), Err(2));
    assert_eq!(line(reader.read(b"a 1\n# EOF", OPENMETRICS)), Ok(()));
}

#[test]
fn a_line_has_a_limit() {
    let mut reader = Reader::new();
    let long = format!("# {}\n", "x".repeat(LINE_LIMIT - 2));
    assert!(reader.read(long.as_bytes(), TEXT).is_ok());
    let long = format!("a 1\n# {}\n", "x".repeat(LINE_LIMIT));
    assert_eq!(reader.read(long.as_bytes(), TEXT).expect_err("too long").line, 2);
}

#[test]
fn a_source_may_change_its_format() {
    let mut reader = Reader::new();
    let first = entries(&reader.read(b"# TYPE a_total counter\na_total 1\nb 1\n", TEXT).expect("a page"));
    let page = reader.read(b"# TYPE a counter\na_total 1\nb 1\n# EOF\n", OPENMETRICS).expect("a page");
    assert_eq!(entries(&page), first);
    let page = reader.read(b"# TYPE a counter\na_total 1\nb 1\n# EOF\n", TEXT).expect("a page");
    assert_eq!(told(&page)[0].4, Kind::Unknown, "in text a_total is not of the family a");
}

#[test]
fn names_that_come_and_go_leave_nothing_behind() {
    let mut reader = Reader::new();
    for i in 0..500 {
        reader.read(format!("m{i} 1\nfixed 2\n").as_bytes(), TEXT).expect("a page");
    }
    assert!(reader.entries.len() <= 4, "{}", reader.entries.len());
    assert!(reader.families.len() <= 70, "{}", reader.families.len());
    assert_eq!((reader.by_bytes.len(), reader.by_key.len()), (2, 2));
}

/// Lines that are often well formed.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => ("[ab](_total|_sum)?", "(\\{x=\"[01]\"(,y=\"\\PC?\")?,?\\})?", "(1|2.5|NaN|1e400)", "( 5)?")
            .prop_map(|(name, labels, value, time)| format!("{name}{labels} {value}{time}")),
        1 => "# (TYPE|HELP) [ab] (counter|gauge|summary|x)".prop_map(|line| line),
        1 => Just("# EOF".to_owned()),
        1 => Just(String::new()),
    ]
}

fn page() -> impl Strategy<Value = String> {
    proptest::collection::vec(line(), 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(pages: Vec<Vec<u8>>, strict: bool) {
        let mut reader = if strict { Reader::strict() } else { Reader::new() };
        for (i, page) in pages.iter().enumerate() {
            let _ = reader.read(page, if i % 2 == 0 { TEXT } else { OPENMETRICS });
        }
    }

    #[test]
    fn what_a_page_says_does_not_depend_on_the_pages_before(
        pages in proptest::collection::vec((page(), any::<bool>()), 1..8)
    ) {
        let mut reader = Reader::new();
        let mut alive: Vec<(String, u32)> = Vec::new();
        for (text, openmetrics) in pages {
            let format = if openmetrics { OPENMETRICS } else { TEXT };
            let mut fresh = Reader::new();
            match (reader.read(text.as_bytes(), format), fresh.read(text.as_bytes(), format)) {
                (Ok(page), Ok(alone)) => {
                    prop_assert_eq!(format!("{:?}", told(&page)), format!("{:?}", told(&alone)));
                    prop_assert_eq!(page.duplicates(), alone.duplicates());
                    let now = entries(&page);
                    for known in &alive {
                        // Who is gone is told; who stays has its number.
                        prop_assert!(now.contains(known) != page.gone().contains(&known.1));
                    }
                    alive = now;
                }
                (Err(one), Err(other)) => prop_assert_eq!(one, other),
                (one, other) => prop_assert!(false, "{:?} {:?}", one.map(|_| ()), other.map(|_| ())),
            }
        }
    }
}

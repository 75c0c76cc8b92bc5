//! Any sequence of pages: nothing panics, and what a page says does not depend on the pages before it.
//!
//! The input is cut at bytes 0xFF, which no page may have, into pages; the first byte of each says its format.

#![no_main]

use gaugecast::exposition::parse::Format;
use gaugecast::exposition::read::{Page, Reader};
use libfuzzer_sys::fuzz_target;

fn told(page: &Page<'_>) -> Vec<String> {
    page.samples()
        .iter()
        .map(|s| format!("{:?} {:?} {}", page.describe(s.entry), s.value.to_bits(), s.time_ms))
        .collect()
}

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new();
    for page in data.split(|byte| *byte == 0xff) {
        let Some((first, page)) = page.split_first() else { continue };
        let format = if first % 2 == 0 { Format::Text } else { Format::OpenMetrics };
        let (mut alone, mut strict) = (Reader::new(), Reader::strict());
        let strictly = strict.read(page, format).is_ok();
        match (reader.read(page, format), alone.read(page, format)) {
            (Ok(one), Ok(other)) => assert_eq!(told(&one), told(&other)),
            (Err(one), Err(other)) => {
                assert_eq!(one, other);
                assert!(!strictly, "the strict reader takes less than the lenient one");
            }
            (one, other) => panic!("{:?} {:?}", one.map(|_| ()), other.map(|_| ())),
        }
    }
});

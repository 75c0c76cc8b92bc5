//! `gaugecast_synthetic_*`: series that cost next to nothing to make, for tests and load tests of the stream.
//!
//! In each pass the next [`Config::changing`] of [`Config::series`] gauges, round robin, go up by one, so that what
//! a subscriber must see is known: after `n` passes the values add up to `n × changing`. The time of the pass stands
//! beside them, so that a client on the same machine can tell how old a frame is when it arrives.
//!
//! The page is rendered once. A pass counts up the digits of those that change, in place, and copies the page:
//! 10,000 series of which 200 change take some 30 µs.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{CollectError, Collector};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// Digits of a value, zeros in front. A tick of 1 ms needs 31 years to use them up.
const DIGITS: usize = 12;

/// Settings of the synthetic series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--collector.synthetic.series`: how many there are, 1 to 1,000,000; 1,000 by default.
    pub series: usize,
    /// `--collector.synthetic.changing`: how many change in a tick, 0 to 1,000,000; 100 by default. More than there
    /// are is all of them.
    pub changing: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { series: 1_000, changing: 100 }
    }
}

/// The collector.
#[derive(Debug)]
pub struct Synthetic {
    /// The family of the values as text 0.0.4.
    page: Vec<u8>,
    /// Where the last digit of each value stands in the page.
    last_digits: Vec<usize>,
    changing: usize,
    /// The series that changes next.
    next: usize,
}

impl Synthetic {
    /// All values are 0.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut page = PageWriter::new();
        page.family("gaugecast_synthetic_value", Kind::Gauge, "Goes up by one when it is its turn.");
        let mut page = page.into_bytes();
        let mut last_digits = Vec::with_capacity(config.series);
        for i in 0..config.series {
            let line = format!("gaugecast_synthetic_value{{series=\"{i}\"}} {:0DIGITS$}\n", 0);
            page.extend_from_slice(line.as_bytes());
            last_digits.push(page.len() - 2);
        }
        Synthetic { page, last_digits, changing: config.changing.min(config.series), next: 0 }
    }

    fn advance(&mut self) {
        for _ in 0..self.changing {
            let last = self.last_digits[self.next];
            count_up(&mut self.page[last + 1 - DIGITS..=last]);
            self.next = (self.next + 1) % self.last_digits.len();
        }
    }
}

/// Adds one to a decimal number, around to 0 after the highest.
fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

impl Collector for Synthetic {
    fn name(&self) -> &'static str {
        "synthetic"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.advance();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let help = "When the synthetic values were made, in seconds since 1970.";
        page.single("gaugecast_synthetic_timestamp_seconds", Kind::Gauge, help, now.as_secs_f64());
        page.raw(&self.page);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Moment;
    use crate::exposition::parse::Format;
    use crate::exposition::read::Reader;
    use crate::series::{Epoch, Scope, Table};

    /// The values after each of so many passes, by series, as the table has them.
    fn passes(config: Config, passes: usize) -> Vec<Vec<f64>> {
        let mut collector = Synthetic::new(config);
        let mut table = Table::new(Epoch(1), 10_000);
        let (source, mut reader) = (table.add_source("synthetic", Scope::Own), Reader::new());
        let mut page = PageWriter::new();
        let mut pass = || {
            page.clear();
            collector.collect(&mut page).unwrap();
            table.apply(source, &reader.read(page.as_bytes(), Format::Text).unwrap());
            let tick = table.commit(Moment { since_start: Duration::ZERO, unix_ms: 0 }, 0);
            let all = tick.schema.families.iter().flat_map(|family| &family.series);
            let of = |i: usize| format!("gaugecast_synthetic_value{{series=\"{i}\"}}");
            let find = |i| all.clone().find(|series| series.key() == of(i)).unwrap();
            (0..config.series).map(|i| tick.value(find(i))).collect()
        };
        (0..passes).map(|_| pass()).collect()
    }

    #[test]
    fn so_many_change_in_each_pass_in_turn() {
        let seen = passes(Config { series: 5, changing: 2 }, 4);
        assert_eq!(
            seen,
            [[1., 1., 0., 0., 0.], [1., 1., 1., 1., 0.], [2., 1., 1., 1., 1.], [2., 2., 2., 1., 1.]]
        );
    }

    #[test]
    fn more_changing_than_there_are_is_all_and_none_is_none() {
        assert_eq!(passes(Config { series: 2, changing: 9 }, 11)[10], [11., 11.]);
        assert_eq!(passes(Config { series: 2, changing: 0 }, 3)[2], [0., 0.]);
    }

    #[test]
    fn counting_carries_and_comes_around() {
        for (before, after) in [(b"0009", b"0010"), (b"0199", b"0200"), (b"9999", b"0000")] {
            let mut digits = *before;
            count_up(&mut digits);
            assert_eq!(&digits, after);
        }
    }

    #[test]
    fn the_time_of_the_pass_is_on_the_page() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let mut page = PageWriter::new();
        Synthetic::new(Config::default()).collect(&mut page).unwrap();
        let text = String::from_utf8(page.into_bytes()).unwrap();
        let line =
            text.lines().find(|line| line.starts_with("gaugecast_synthetic_timestamp_seconds ")).unwrap();
        let time: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((before..before + 60.0).contains(&time), "{line}");
    }
}

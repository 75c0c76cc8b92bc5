//! From samples to observations: what a detector is given of one or more series.
//!
//! Detectors see levels, never what only accumulates (F73). A gauge is observed as its extreme within the interval: of the
//! greatest and the least value the one farther from the slow mean, which keeps a peak that an average would hide. A
//! counter is observed as its mean rate over the interval, so that one event in a second is no peak; where it falls it has
//! begun anew from 0. A histogram is observed as a quantile of what came in the interval; with fewer than [`FEWEST`]
//! observations the interval goes on. Several series are summed: levels and rates as they are, buckets of equal bound.
//!
//! Only samples that are new count: a target that is scraped every 15 seconds gives four a minute, however often it ticks.

use crate::query::eval::{Bucket, bucket_quantile};

/// Observations that a quantile is computed from at least: the 95th percentile of fewer is their maximum.
const FEWEST: f64 = 20.0;

/// What lies farther apart is not joined by a rate, milliseconds.
const GAP_MS: i64 = 300_000;

/// How fast the mean follows that says which extreme is the stranger one: 2 % an interval.
const SLOW: f64 = 0.02;

/// What a series is observed as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// Its value.
    Level,
    /// How fast it grows a second.
    Rate,
    /// This quantile.
    Quantile(f64),
}

/// A series that is read.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its number, for the life of the process.
    pub(super) number: u32,
    /// Its place in the columns of a tick.
    pub(super) slot: u32,
    /// Upper bound of a bucket.
    bound: f64,
    /// The last sample.
    value: f64,
    t: i64,
    /// What a counter has grown by since the last observation, and within which time.
    grown: f64,
    covered_ms: i64,
}

impl Member {
    pub(super) fn new(number: u32, slot: u32, bound: f64) -> Self {
        Member { number, slot, bound, value: f64::NAN, t: i64::MIN, grown: 0.0, covered_ms: 0 }
    }
}

/// The samples of a stream since its last observation.
#[derive(Debug)]
pub(super) struct Reading {
    form: Form,
    /// By bound, for a quantile.
    members: Vec<Member>,
    least: f64,
    greatest: f64,
    sum: f64,
    count: u32,
    slow: f64,
}

impl Reading {
    pub(super) fn new(form: Form, members: Vec<Member>) -> Self {
        let mut reading = Reading {
            form,
            members: Vec::new(),
            least: 0.0,
            greatest: 0.0,
            sum: 0.0,
            count: 0,
            slow: f64::NAN,
        };
        reading.set_members(members);
        reading
    }

    /// Those it is made of from now on; what is known of those that stay is kept.
    pub(super) fn set_members(&mut self, mut members: Vec<Member>) {
        for member in &mut members {
            if let Some(known) = self.members.iter().find(|known| known.number == member.number) {
                *member = Member { slot: member.slot, ..known.clone() };
            }
        }
        members.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        self.members = members;
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Memory of what it points at, bytes.
    pub(super) fn heap(&self) -> usize {
        self.members.capacity() * size_of::<Member>()
    }

    /// The sample of one member; one that is not after the last is none.
    pub(super) fn sample(&mut self, at: usize, t: i64, value: f64) -> bool {
        let form = self.form;
        let member = &mut self.members[at];
        if t == member.t {
            return false;
        }
        let apart = t.saturating_sub(member.t);
        if form != Form::Level
            && value.is_finite()
            && member.value.is_finite()
            && (1..=GAP_MS).contains(&apart)
        {
            member.grown += if value >= member.value { value - member.value } else { value };
            member.covered_ms += apart;
        }
        // Also where the clock was set back: from here on it counts anew.
        (member.t, member.value) = (t, value);
        true
    }

    /// All samples of one time have come.
    pub(super) fn fold(&mut self) {
        if self.form != Form::Level {
            return;
        }
        let mut present = self.members.iter().map(|member| member.value).filter(|value| value.is_finite());
        let Some(first) = present.next() else { return };
        let level = present.fold(first, |sum, value| sum + value);
        if self.count == 0 {
            (self.least, self.greatest, self.sum) = (level, level, 0.0);
        }
        self.least = self.least.min(level);
        self.greatest = self.greatest.max(level);
        self.sum += level;
        self.count += 1;
    }

    /// The samples of a tick, by the columns of values and of own times.
    pub(super) fn tick(&mut self, values: &[f64], times: &[i64], now_ms: i64) {
        let mut new = false;
        for at in 0..self.members.len() {
            let slot = self.members[at].slot as usize;
            let (Some(&value), Some(&time)) = (values.get(slot), times.get(slot)) else { continue };
            let t = if time == crate::series::NO_TIME { now_ms } else { time };
            new |= self.sample(at, t, value);
        }
        if new {
            self.fold();
        }
    }

    /// The observation of the interval that ends here, if there is one.
    pub(super) fn close(&mut self) -> Option<f64> {
        let observed = match self.form {
            Form::Level => self.extreme(),
            Form::Rate => self.rate(),
            Form::Quantile(q) => return self.quantile(q),
        };
        self.clear();
        observed.filter(|value| value.is_finite())
    }

    fn clear(&mut self) {
        self.count = 0;
        for member in &mut self.members {
            (member.grown, member.covered_ms) = (0.0, 0);
        }
    }

    fn extreme(&mut self) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let mean = self.sum / f64::from(self.count);
        if self.slow.is_nan() {
            self.slow = mean;
        }
        let slow = self.slow;
        self.slow += SLOW * (mean - slow);
        Some(if self.greatest - slow >= slow - self.least { self.greatest } else { self.least })
    }

    fn rate(&self) -> Option<f64> {
        let known = self.members.iter().filter(|member| member.covered_ms > 0);
        known.map(|member| member.grown * 1000.0 / member.covered_ms as f64).reduce(|sum, rate| sum + rate)
    }

    #[allow(clippy::float_cmp)]
    fn quantile(&mut self, q: f64) -> Option<f64> {
        let mut buckets: Vec<Bucket> = Vec::with_capacity(self.members.len());
        for member in &self.members {
            match buckets.last_mut() {
                Some(last) if last.upper == member.bound => last.count += member.grown,
                _ => buckets.push(Bucket { upper: member.bound, count: member.grown }),
            }
        }
        if buckets.last()?.count < FEWEST {
            return None;
        }
        self.clear();
        Some(bucket_quantile(q, &mut buckets)).filter(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(form: Form, bounds: &[f64]) -> Reading {
        let member = |(number, bound): (u32, &f64)| Member::new(number, number, *bound);
        Reading::new(form, (0..).zip(bounds).map(member).collect())
    }

    fn at(reading: &mut Reading, t: i64, values: &[f64]) {
        reading.tick(values, &vec![crate::series::NO_TIME; values.len()], t);
    }

    #[test]
    fn f73_a_counter_is_a_rate_and_goes_on_after_a_reset() {
        let mut reading = of(Form::Rate, &[0.0]);
        at(&mut reading, 0, &[1000.0]);
        assert_eq!(reading.close(), None, "one sample is no rate");
        at(&mut reading, 10_000, &[1020.0]);
        assert_eq!(reading.close(), Some(2.0));
        at(&mut reading, 20_000, &[1030.0]);
        at(&mut reading, 30_000, &[5.0]);
        assert_eq!(reading.close(), Some(0.75), "10 before the reset and 5 after it");
        at(&mut reading, 40_000, &[f64::NAN]);
        at(&mut reading, 50_000, &[25.0]);
        assert_eq!(reading.close(), None, "what was not there is not bridged");
        at(&mut reading, 60_000, &[35.0]);
        assert_eq!(reading.close(), Some(1.0));
        at(&mut reading, 500_000, &[9000.0]);
        assert_eq!(reading.close(), None, "nor is a long gap");
        at(&mut reading, 400_000, &[9001.0]);
        at(&mut reading, 401_000, &[9003.0]);
        assert_eq!(reading.close(), Some(2.0), "a clock that was set back costs one sample");
    }

    #[test]
    fn f73_a_histogram_is_the_quantile_of_what_came_in_the_interval() {
        let mut reading = of(Form::Quantile(0.95), &[0.1, 1.0, f64::INFINITY]);
        at(&mut reading, 0, &[900.0, 1000.0, 1000.0]);
        assert_eq!(reading.close(), None);
        at(&mut reading, 1000, &[910.0, 1010.0, 1010.0]);
        assert_eq!(reading.close(), None, "ten are too few");
        at(&mut reading, 2000, &[990.0, 1100.0, 1100.0]);
        // 90 of 100 up to 0.1: the 95th lies in the middle of 0.1 to 1.
        assert_eq!(reading.close(), Some(0.55));
        assert_eq!(reading.close(), None);
        at(&mut reading, 3000, &[40.0, 40.0, 40.0]);
        assert!((reading.close().unwrap() - 0.095).abs() < 1e-9, "all after the reset are up to 0.1");
    }

    #[test]
    fn a_gauge_is_its_extreme_and_an_old_sample_is_none() {
        let mut reading = of(Form::Level, &[0.0]);
        for (t, value) in [(0, 10.0), (1, 11.0), (2, 9.5)] {
            at(&mut reading, t, &[value]);
        }
        assert_eq!(reading.close(), Some(11.0));
        for (t, value) in [(3, 10.0), (4, 2.0), (5, f64::NAN), (6, 12.0)] {
            at(&mut reading, t, &[value]);
        }
        assert_eq!(reading.close(), Some(2.0), "the stranger one of 2 and 12");
        reading.tick(&[5.0], &[7], 100);
        assert_eq!(reading.close(), Some(5.0));
        reading.tick(&[5.0], &[7], 200);
        assert_eq!(reading.close(), None, "the same sample at a later tick");
    }

    #[test]
    fn summed_series_are_one_and_those_that_come_later_bring_no_jump() {
        let mut reading = of(Form::Rate, &[0.0, 0.0]);
        at(&mut reading, 0, &[0.0, 100.0]);
        at(&mut reading, 1000, &[3.0, 101.0]);
        assert_eq!(reading.close(), Some(4.0));
        reading.set_members((0..3).map(|number| Member::new(number, number, 0.0)).collect());
        at(&mut reading, 2000, &[6.0, 102.0, 1e9]);
        assert_eq!(reading.close(), Some(4.0));
        at(&mut reading, 3000, &[9.0, 103.0, 1e9 + 5.0]);
        assert_eq!(reading.close(), Some(9.0));
    }
}

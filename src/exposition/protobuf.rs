//! Protobuf: `io.prometheus.client.MetricFamily` messages, each after its length.
//!
//! Written by hand to the wire, field numbers from Prometheus' `metrics.proto`: few messages, and no code
//! generator at build time. Families are those of text 0.0.4, so a series has the same name whichever format
//! Prometheus asks for; that is why a gaugehistogram is not written as GAUGE_HISTOGRAM (Prometheus would call its sum
//! `X_sum`, not `X_gsum`) but as gauges, and why `X_created` stands as a gauge beside the field that says it too.
//!
//! Native histograms have no text. A histogram that has one (see [`Tick::native`]) is written with it, and with its
//! classic buckets if it has series for them.

use std::sync::Arc;

use super::escape::Escaping;
use super::layout::{Block, by_name};
use super::{openmetrics, text};
use crate::series::{Exemplar, Family, Kind, NO_TIME, NativeHistogram, Role, Series, Tick, key};

/// Writes `families`, which are those of the tick's schema or a part of them.
#[must_use]
pub fn encode(tick: &Tick, families: &[Arc<Family>], escaping: Escaping) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        let blocks = match family.meta.kind {
            Kind::GaugeHistogram => by_name(&family.meta, family.series.iter(), |_| Kind::Gauge),
            _ => text::blocks(family),
        };
        for block in &blocks {
            let writer = Writer { tick, family, escaping };
            delimited(&mut out, |out| writer.family(out, block));
        }
    }
    out
}

struct Writer<'a> {
    tick: &'a Tick,
    family: &'a Family,
    escaping: Escaping,
}

impl Writer<'_> {
    /// MetricFamily: name 1, help 2, type 3, metric 4, unit 5.
    fn family(&self, out: &mut Vec<u8>, block: &Block<'_>) {
        bytes(out, 1, self.escaping.metric(&block.name).as_bytes());
        if !block.help.is_empty() {
            bytes(out, 2, block.help.as_bytes());
        }
        let kind = match block.kind {
            Kind::Counter => 0,
            Kind::Summary => 2,
            Kind::Unknown => 3,
            Kind::Histogram => 4,
            _ => 1,
        };
        integer(out, 3, kind);
        if matches!(block.kind, Kind::Histogram | Kind::Summary) {
            // Series of one metric stand together.
            for metric in block.series.chunk_by(|a, b| a.group() == b.group()) {
                message(out, 4, |out| self.metric(out, block.kind, metric));
            }
        } else {
            for series in &block.series {
                message(out, 4, |out| self.metric(out, block.kind, std::slice::from_ref(series)));
            }
        }
        if !self.family.meta.unit.is_empty() {
            bytes(out, 5, self.family.meta.unit.as_bytes());
        }
    }

    /// Metric: label 1, gauge 2, counter 3, summary 4, untyped 5, timestamp_ms 6, histogram 7.
    fn metric(&self, out: &mut Vec<u8>, kind: Kind, metric: &[&Arc<Series>]) {
        let Some(first) = metric.first() else { return };
        let reserved = match kind {
            Kind::Histogram => "le",
            Kind::Summary => "quantile",
            _ => "",
        };
        for (name, value) in first.labels().filter(|(name, _)| name != reserved) {
            pair(out, 1, &self.escaping.label(&name), &value);
        }
        match kind {
            Kind::Histogram => message(out, 7, |out| self.histogram(out, metric)),
            Kind::Summary => message(out, 4, |out| self.summary(out, metric)),
            Kind::Counter => message(out, 3, |out| {
                double(out, 1, self.tick.value(first));
                if let Some(found) = self.tick.exemplar(first) {
                    message(out, 2, |out| exemplar(out, found));
                }
                self.created(out, 3, first.group());
            }),
            Kind::Unknown => message(out, 5, |out| double(out, 1, self.tick.value(first))),
            _ => message(out, 2, |out| double(out, 1, self.tick.value(first))),
        }
        if let Some(time_ms) = self.tick.own_time(first) {
            signed(out, 6, time_ms);
        }
    }

    /// Summary: sample_count 1, sample_sum 2, quantile 3 (quantile 1, value 2), created_timestamp 4.
    fn summary(&self, out: &mut Vec<u8>, metric: &[&Arc<Series>]) {
        for series in metric {
            let value = self.tick.value(series);
            match series.role {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
                Role::Count => integer(out, 1, value as u64),
                Role::Sum => double(out, 2, value),
                _ => message(out, 3, |out| {
                    double(out, 1, series.bound());
                    double(out, 2, value);
                }),
            }
        }
        self.created(out, 4, metric[0].group());
    }

    /// Histogram: sample_count 1, sample_sum 2, bucket 3, sample_count_float 4, created_timestamp 15; see
    /// [`native`] for the rest. Bucket: cumulative_count 1, upper_bound 2, exemplar 3, cumulative_count_float 4.
    fn histogram(&self, out: &mut Vec<u8>, metric: &[&Arc<Series>]) {
        let group = metric[0].group();
        let found = self.tick.native(&self.family.meta.name, group);
        for series in metric {
            let value = self.tick.value(series);
            match series.role {
                Role::Count if found.is_none() => count(out, 1, value),
                Role::Sum if found.is_none() => double(out, 2, value),
                Role::Bucket => message(out, 3, |out| {
                    count(out, 1, value);
                    double(out, 2, series.bound());
                    if openmetrics::may_have_exemplar(&self.family.meta, series)
                        && let Some(found) = self.tick.exemplar(series)
                    {
                        message(out, 3, |out| exemplar(out, found));
                    }
                }),
                _ => {}
            }
        }
        match found {
            Some(found) => native(out, found),
            None => self.created(out, 15, group),
        }
    }

    /// The moment in the `_created` series of a metric.
    fn created(&self, out: &mut Vec<u8>, field: u32, group: &str) {
        // The series are sorted by group, then role. (Looking at each, a page would take the square of its length.)
        let all = &self.family.series;
        let sought = (group, Role::Created);
        let at = all.binary_search_by(|series| (series.group(), series.role).cmp(&sought)).ok();
        let series = at.map(|at| &all[at]);
        #[allow(clippy::cast_possible_truncation)] // saturates
        if let Some(ms) = series.map(|series| (self.tick.value(series) * 1000.0).round() as i64) {
            message(out, field, |out| timestamp(out, ms));
        }
    }
}

/// The native part of a Histogram: schema 5, zero_threshold 6, zero_count 7, negative_span 9, negative_delta 10,
/// positive_span 12, positive_delta 13; and count, sum and creation, which come from the same moment.
fn native(out: &mut Vec<u8>, native: &NativeHistogram) {
    integer(out, 1, native.count);
    double(out, 2, native.sum);
    integer(out, 5, u64::from(zigzag(i64::from(native.schema)) as u32));
    double(out, 6, native.zero_threshold);
    integer(out, 7, native.zero_count);
    let span = |out: &mut Vec<u8>, field, (offset, length): (i32, u32)| {
        message(out, field, |out| {
            integer(out, 1, zigzag(i64::from(offset)));
            integer(out, 2, u64::from(length));
        });
    };
    for (spans, deltas, field) in [
        (&native.negative_spans, &native.negative_deltas, 9),
        (&native.positive_spans, &native.positive_deltas, 12),
    ] {
        spans.iter().for_each(|&one| span(out, field, one));
        deltas.iter().for_each(|&delta| integer(out, field + 1, zigzag(delta)));
    }
    // Prometheus knows a native histogram by its spans or its zero bucket. One without any observation has neither
    // and says so by an empty span, as the Go client does.
    let spans = native.negative_spans.len() + native.positive_spans.len();
    if spans == 0 && native.zero_count == 0 && native.zero_threshold == 0.0 {
        span(out, 12, (0, 0));
    }
    if native.created_ms != NO_TIME {
        message(out, 15, |out| timestamp(out, native.created_ms));
    }
}

/// Exemplar: label 1, value 2, timestamp 3.
fn exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let text = format!("_{}", exemplar.labels);
    for (name, value) in key::labels(&text) {
        pair(out, 1, &name, &value);
    }
    double(out, 2, exemplar.value);
    if exemplar.time_ms != NO_TIME {
        message(out, 3, |out| timestamp(out, exemplar.time_ms));
    }
}

/// google.protobuf.Timestamp: seconds 1, nanos 2.
fn timestamp(out: &mut Vec<u8>, ms: i64) {
    signed(out, 1, ms.div_euclid(1000));
    signed(out, 2, ms.rem_euclid(1000) * 1_000_000);
}

/// LabelPair: name 1, value 2.
fn pair(out: &mut Vec<u8>, field: u32, name: &str, value: &str) {
    message(out, field, |out| {
        bytes(out, 1, name.as_bytes());
        bytes(out, 2, value.as_bytes());
    });
}

/// A count: a whole number, or three fields on the same as a float (1 and 4 in both messages that have one).
fn count(out: &mut Vec<u8>, field: u32, value: f64) {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if value >= 0.0 && value.fract() == 0.0 && value < 18_446_744_073_709_551_616.0 {
        integer(out, field, value as u64);
    } else {
        double(out, field + 3, value);
    }
}

fn delimited(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // The length stands before what it measures, and is known after it. One byte is kept for it; of a longer one the
    // other bytes are turned to the front.
    let start = out.len();
    out.push(0);
    write(out);
    let end = out.len();
    varint(out, (end - start - 1) as u64);
    out[start] = out.pop().expect("a varint has a byte");
    let by = out.len() - end;
    out[start..].rotate_right(by);
}

fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    varint(out, u64::from(field << 3 | 2));
    delimited(out, write);
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn integer(out: &mut Vec<u8>, field: u32, value: u64) {
    varint(out, u64::from(field << 3));
    varint(out, value);
}

/// An int64, which is not zigzag.
#[allow(clippy::cast_sign_loss)]
fn signed(out: &mut Vec<u8>, field: u32, value: i64) {
    integer(out, field, value as u64);
}

fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    varint(out, u64::from(field << 3 | 1));
    out.extend_from_slice(&value.to_le_bytes());
}

#[allow(clippy::cast_sign_loss)]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
#[path = "protobuf_tests.rs"]
mod tests;

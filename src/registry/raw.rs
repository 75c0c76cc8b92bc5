//! Metrics of prometheus-client's own types, written by its own encoders.
//!
//! Each stands in a registry of its own, so that one that fails takes nothing else with it. Whether a histogram has
//! native buckets shows only in the protobuf encoding: it is asked for once, when there is something to encode.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_protobuf::{self, prometheus_data_model as proto};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::histogram::native;
use super::instrument::{Lines, Natives, bound_text};
use super::labels::is_sample_line;
use crate::series::{Kind, key};

const UNSEEN: u8 = 0;
const PLAIN: u8 = 1;
const NATIVE: u8 = 2;

/// One registered metric or family of prometheus-client.
#[derive(Debug)]
pub(super) struct Raw {
    registry: Registry,
    one: Arc<One>,
    kind: Kind,
    /// Only of histograms.
    encoding: AtomicU8,
}

/// The metric with its description, in the shape of a collector: registered as a metric, a full stop would be added
/// to its help.
#[derive(Debug)]
struct One {
    name: String,
    help: String,
    unit: Option<Unit>,
    metric: Box<dyn Metric>,
}

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let one = &self.0;
        let kind = one.metric.metric_type();
        one.metric.encode(encoder.encode_descriptor(&one.name, &one.help, one.unit.as_ref(), kind)?)
    }
}

#[derive(Debug)]
struct Exposed(Arc<One>);

/// Appends to bytes.
struct Bytes<'a>(&'a mut Vec<u8>);

impl fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The type of a metric of prometheus-client.
pub(super) fn kind(metric: &impl EncodeMetric) -> Kind {
    match metric.metric_type() {
        MetricType::Counter => Kind::Counter,
        MetricType::Gauge => Kind::Gauge,
        MetricType::Histogram => Kind::Histogram,
        MetricType::Info => Kind::Info,
        MetricType::Unknown => Kind::Unknown,
    }
}

impl Raw {
    pub(super) fn new(name: &str, help: &str, unit: Option<Unit>, metric: impl Metric) -> Self {
        let kind = kind(&metric);
        let mut escaped = String::new();
        key::escape_into(help, &mut escaped);
        let one = Arc::new(One { name: name.to_owned(), help: escaped, unit, metric: Box::new(metric) });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposed(Arc::clone(&one))));
        Raw { registry, one, kind, encoding: AtomicU8::new(UNSEEN) }
    }

    /// Appends the family, comment lines included. `name` is with unit.
    ///
    /// # Errors
    /// The encoder failed, or wrote what would break the page. What was appended is then to be cut off.
    pub(super) fn write(
        &self,
        name: &str,
        header: &str,
        out: &mut Vec<u8>,
        natives: &mut Natives,
    ) -> Result<(), fmt::Error> {
        if self.one.metric.is_empty() {
            return Ok(());
        }
        if self.kind == Kind::Histogram && self.encoding.load(Ordering::Relaxed) != PLAIN {
            let families = prometheus_protobuf::encode(&self.registry)?;
            let metrics: Vec<_> = families.into_iter().flat_map(|family| family.metric).collect();
            let histograms = metrics.iter().filter_map(|metric| metric.histogram.as_ref());
            let found = if histograms.clone().any(is_native) { NATIVE } else { PLAIN };
            if metrics.is_empty() {
                return Ok(());
            }
            self.encoding.store(found, Ordering::Relaxed);
            if found == NATIVE {
                out.extend_from_slice(header.as_bytes());
                return metrics.into_iter().try_for_each(|metric| write_native(name, metric, out, natives));
            }
        }
        let start = out.len();
        text::encode_registry(&mut Bytes(out), &self.registry)?;
        // The first lines are ours, with the help escaped; the rest is what the labels of others made of it.
        let written = std::str::from_utf8(&out[start..]).map_err(|_| fmt::Error)?;
        let samples = written.strip_prefix(header).ok_or(fmt::Error)?;
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', samples.as_bytes()) {
            if !is_sample_line(&samples[from..end], name) {
                return Err(fmt::Error);
            }
            from = end + 1;
        }
        if from == samples.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// How a reader of the protobuf format tells: by spans or a zero bucket.
fn is_native(histogram: &proto::Histogram) -> bool {
    histogram.zero_threshold != 0.0
        || histogram.zero_count != 0
        || !histogram.positive_span.is_empty()
        || !histogram.negative_span.is_empty()
}

fn write_native(
    name: &str,
    metric: proto::Metric,
    out: &mut Vec<u8>,
    natives: &mut Natives,
) -> Result<(), fmt::Error> {
    let Some(histogram) = metric.histogram else { return Err(fmt::Error) };
    let mut pairs: Vec<(String, String)> =
        metric.label.into_iter().map(|pair| (pair.name, pair.value)).filter(|(_, v)| !v.is_empty()).collect();
    pairs.sort();
    let bad = |(i, (label, _)): (usize, &(String, String))| {
        !key::is_legacy_label(label) || label == "le" || (i > 0 && pairs[i - 1].0 == *label)
    };
    if pairs.iter().enumerate().any(bad) {
        return Err(fmt::Error);
    }
    let rendered = key::render("x", &pairs);
    let labels = key::label_text(&rendered);
    let mut lines = Lines { out, natives, name, labels };
    #[allow(clippy::cast_precision_loss)] // as every reader of the exposition has it
    for bucket in histogram.bucket.iter().filter(|bucket| bucket.upper_bound < f64::MAX) {
        lines.labelled("_bucket", "le", &bound_text(bucket.upper_bound), bucket.cumulative_count as f64);
    }
    #[allow(clippy::cast_precision_loss)]
    lines.labelled("_bucket", "le", "+Inf", histogram.sample_count as f64);
    lines.float("_sum", histogram.sample_sum);
    lines.whole("_count", histogram.sample_count);
    lines.native(native(histogram));
    Ok(())
}

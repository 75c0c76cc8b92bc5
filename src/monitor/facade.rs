//! A recorder for the crate `metrics`, so that what libraries say through that facade is in our registry.
//!
//! ```
//! use gaugecast::monitor::facade::Facade;
//! use gaugecast::registry::Registry;
//!
//! let registry = Registry::new();
//! let facade = Facade::new(&registry)?;
//! metrics::with_local_recorder(&facade, || { // in a program: metrics::set_global_recorder(facade)
//!     metrics::describe_histogram!("db.query.ms", metrics::Unit::Milliseconds, "Time of a query.");
//!     metrics::histogram!("db.query.ms", "table" => "users").record(12.0);
//!     metrics::counter!("cache.hits").increment(2);
//! });
//! let mut page = Vec::new();
//! registry.page(&mut page);
//! let page = String::from_utf8(page)?;
//! assert!(page.contains("db_query_seconds_sum{table=\"users\"} 0.012\n"));
//! assert!(page.contains("cache_hits_total 2\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Names become such as Prometheus wants: other characters are `_`, letters small, words that only tell the type (`_total`,
//! `_counter`, `_count`) go, and a unit at the end, or the one that was described, becomes its base unit, with the values:
//! milliseconds are seconds, kibibytes bytes. What cannot be exposed all the same (a name that is taken by another type)
//! records nowhere, counts in `gaugecast_facade_refused_total`, and is said once in the log. Families have the registry's caps.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{CounterFn, GaugeFn, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString};

use crate::registry::{
    self, Buckets, Counter, Desc, Family, FloatGauge, Handle, Instrument, RegisterError, Registry, Unit,
};

/// Most names that are described; further descriptions are not kept.
const MOST_DESCRIBED: usize = 10_000;

/// Most names whose refusal is remembered, so that each is said once.
const MOST_REFUSED: usize = 1_000;

/// Words that only tell the type, which the exposition does.
const TYPE_WORDS: [&str; 12] = [
    "total",
    "info",
    "bucket",
    "sum",
    "count",
    "created",
    "metric",
    "counter",
    "gauge",
    "histogram",
    "summary",
    "untyped",
];

/// Words for units: the base unit, and what a value is multiplied by.
const UNITS: [(&str, Base, f64); 21] = [
    ("seconds", Base::Seconds, 1.0),
    ("secs", Base::Seconds, 1.0),
    ("sec", Base::Seconds, 1.0),
    ("s", Base::Seconds, 1.0),
    ("milliseconds", Base::Seconds, 1e-3),
    ("millis", Base::Seconds, 1e-3),
    ("ms", Base::Seconds, 1e-3),
    ("microseconds", Base::Seconds, 1e-6),
    ("micros", Base::Seconds, 1e-6),
    ("us", Base::Seconds, 1e-6),
    ("nanoseconds", Base::Seconds, 1e-9),
    ("nanos", Base::Seconds, 1e-9),
    ("ns", Base::Seconds, 1e-9),
    ("bytes", Base::Bytes, 1.0),
    ("kibibytes", Base::Bytes, 1024.0),
    ("mebibytes", Base::Bytes, 1_048_576.0),
    ("gibibytes", Base::Bytes, 1_073_741_824.0),
    ("tebibytes", Base::Bytes, 1_099_511_627_776.0),
    ("percent", Base::Ratio, 0.01),
    ("ratio", Base::Ratio, 1.0),
    ("minutes", Base::Seconds, 60.0),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Seconds,
    Bytes,
    Ratio,
}

impl From<Base> for Unit {
    fn from(base: Base) -> Unit {
        match base {
            Base::Seconds => Unit::Seconds,
            Base::Bytes => Unit::Bytes,
            Base::Ratio => Unit::Ratios,
        }
    }
}

/// A name of the facade as a family of ours.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    /// Without unit.
    name: String,
    unit: Option<Base>,
    /// What a value is multiplied by.
    scale: f64,
}

/// Labels as they are exposed.
type Labels = Vec<(String, String)>;

/// The recorder; clones share it.
#[derive(Clone)]
pub struct Facade {
    registry: Registry,
    buckets: Buckets,
    refused: Counter,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Unit and help by the facade's name.
    described: HashMap<String, (Option<metrics::Unit>, String)>,
    refused: std::collections::HashSet<String>,
}

impl fmt::Debug for Facade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facade").finish_non_exhaustive()
    }
}

impl Facade {
    /// A recorder into this registry, whose histograms have [`Buckets::seconds`].
    ///
    /// # Errors
    /// The registry holds a metric under the name of the recorder's own.
    pub fn new(registry: &Registry) -> Result<Self, RegisterError> {
        let help = "Metrics of the facade that could not be registered; they record nowhere.";
        let refused = registry.counter(("gaugecast_facade_refused", help))?;
        Ok(Facade { registry: registry.clone(), buckets: Buckets::seconds(), refused, state: Arc::default() })
    }

    /// The buckets of all histograms that are registered from now on, in base units.
    #[must_use]
    pub fn buckets(self, buckets: Buckets) -> Self {
        Facade { buckets, ..self }
    }

    fn describe(&self, name: &KeyName, unit: Option<metrics::Unit>, help: &SharedString) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.described.len() < MOST_DESCRIBED {
            state.described.insert(name.as_str().to_owned(), (unit, help.to_string()));
        }
    }

    /// The metric of a key, and what its values are multiplied by; `None` is one that is refused. `whole` numbers are not
    /// scaled to fractions: such a unit is left out.
    fn metric<M: Instrument>(&self, key: &Key, config: M::Config, whole: bool) -> Option<(Handle<M>, f64)> {
        let described = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.described.get(key.name()).cloned()
        };
        let (unit, help) = described.unwrap_or_default();
        let mut named = named(key.name(), unit);
        if whole && named.scale < 1.0 {
            named = Named { unit: None, scale: 1.0, ..named };
        }
        let help = if help.trim().is_empty() { format!("{} of the facade.", key.name()) } else { help };
        let mut desc = Desc::new(&named.name, &help);
        if let Some(unit) = named.unit {
            desc = desc.unit(unit.into());
        }
        let family: Result<Family<Labels, M>, RegisterError> = self.registry.family(desc, config);
        match family {
            Ok(family) => Some((family.get(&labels(key, &named.name)), named.scale)),
            Err(error) => {
                self.refused.inc();
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.refused.len() < MOST_REFUSED && state.refused.insert(key.name().to_owned()) {
                    tracing::warn!(name = key.name(), %error, "a metric of the facade is not recorded");
                }
                None
            }
        }
    }
}

/// The words of a name: letters, digits, everything else is between them.
fn named(name: &str, described: Option<metrics::Unit>) -> Named {
    let lower: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let mut words: Vec<&str> = lower.split('_').filter(|word| !word.is_empty()).collect();
    // The first word is the namespace, and may be anything.
    let mut at = 0;
    words.retain(|word| {
        at += 1;
        at == 1 || !TYPE_WORDS.contains(word)
    });
    let of_word = |word: &str| UNITS.iter().find(|(known, ..)| *known == word);
    let in_name = if words.len() > 1 { words.last().and_then(|word| of_word(word)) } else { None };
    if in_name.is_some() {
        words.pop();
    }
    let unit = described.and_then(|unit| of_word(unit.as_str())).or(in_name);
    let mut name = words.join("_");
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "x_");
        name.truncate(name.trim_end_matches('_').len());
    }
    Named { name, unit: unit.map(|(_, base, _)| *base), scale: unit.map_or(1.0, |(.., scale)| *scale) }
}

/// Labels with names that can be exposed: other characters are `_`; those that are reserved get `exported_` in front, as
/// Prometheus does; of two that become the same the first stays.
fn labels(key: &Key, family: &str) -> Labels {
    let mut labels = Labels::new();
    for label in key.labels() {
        let mut name: String = label
            .key()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
            .collect();
        let digit = name.starts_with(|c: char| c.is_ascii_digit());
        if name.is_empty() || digit || name.starts_with("__") || ["le", "quantile", family].contains(&&*name)
        {
            name.insert_str(0, "exported_");
        }
        if labels.iter().all(|(known, _)| *known != name) {
            labels.push((name, label.value().to_owned()));
        }
    }
    labels.sort();
    labels
}

impl Recorder for Facade {
    fn describe_counter(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> metrics::Counter {
        let metric = self.metric::<Counter>(key, (), true);
        metric.map_or_else(metrics::Counter::noop, |(metric, scale)| {
            metrics::Counter::from_arc(Arc::new(Scaled { metric, scale }))
        })
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> metrics::Gauge {
        let metric = self.metric::<FloatGauge>(key, (), false);
        metric.map_or_else(metrics::Gauge::noop, |(metric, scale)| {
            metrics::Gauge::from_arc(Arc::new(Scaled { metric, scale }))
        })
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> metrics::Histogram {
        let metric = self.metric::<registry::Histogram>(key, self.buckets.clone(), false);
        metric.map_or_else(metrics::Histogram::noop, |(metric, scale)| {
            metrics::Histogram::from_arc(Arc::new(Scaled { metric, scale }))
        })
    }
}

/// A metric in its base unit.
struct Scaled<M> {
    metric: Handle<M>,
    scale: f64,
}

impl CounterFn for Scaled<Counter> {
    fn increment(&self, value: u64) {
        self.metric.inc_by(self.whole(value));
    }

    fn absolute(&self, value: u64) {
        self.metric.raise_to(self.whole(value));
    }
}

impl Scaled<Counter> {
    /// Bytes of a larger unit; the scale is a whole number.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn whole(&self, value: u64) -> u64 {
        value.saturating_mul(self.scale as u64)
    }
}

impl GaugeFn for Scaled<FloatGauge> {
    fn increment(&self, value: f64) {
        self.metric.add(value * self.scale);
    }

    fn decrement(&self, value: f64) {
        self.metric.add(-value * self.scale);
    }

    fn set(&self, value: f64) {
        self.metric.set(value * self.scale);
    }
}

impl HistogramFn for Scaled<registry::Histogram> {
    fn record(&self, value: f64) {
        // Dividing by a thousand is exact where a multiplication by its inverse is not.
        self.metric.observe(if self.scale < 1.0 {
            value / self.scale.recip().round()
        } else {
            value * self.scale
        });
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, describe_counter, describe_gauge, gauge, histogram, with_local_recorder};

    use super::*;

    fn page(record: impl FnOnce()) -> String {
        let registry = Registry::new();
        with_local_recorder(&Facade::new(&registry).unwrap(), record);
        let mut page = Vec::new();
        registry.page(&mut page);
        String::from_utf8(page).unwrap()
    }

    fn has(page: &str, lines: &[&str]) {
        for line in lines {
            assert!(page.contains(&format!("{line}\n")), "{line} in\n{page}");
        }
    }

    #[test]
    fn counters_gauges_and_histograms_are_exposed_with_their_help() {
        let page = page(|| {
            describe_counter!("http.requests", "Requests, answered.");
            counter!("http.requests", "code" => "200").increment(3);
            counter!("http.requests", "code" => "500").absolute(7);
            counter!("http.requests", "code" => "500").absolute(6);
            gauge!("queue_depth").set(5.0);
            gauge!("queue_depth").decrement(1.5);
            histogram!("wait_seconds").record(0.02);
        });
        has(
            &page,
            &[
                "# HELP http_requests Requests, answered.",
                "http_requests_total{code=\"200\"} 3",
                "http_requests_total{code=\"500\"} 7",
                "queue_depth 3.5",
                "wait_seconds_bucket{le=\"0.025\"} 1",
                "wait_seconds_count 1",
            ],
        );
    }

    #[test]
    fn units_become_base_units_by_description_or_by_the_name() {
        let page = page(|| {
            describe_gauge!("heap", metrics::Unit::Mebibytes, "Heap.");
            describe_counter!("sent", metrics::Unit::Kibibytes, "Sent.");
            gauge!("heap").set(2.0);
            counter!("sent").increment(2);
            histogram!("request_duration_ms").record(250.0);
            counter!("busy_ms_total").increment(9);
        });
        has(
            &page,
            &[
                "heap_bytes 2097152",
                "sent_bytes_total 2048",
                "request_duration_seconds_sum 0.25",
                "busy_total 9",
            ],
        );
    }

    #[test]
    fn names_and_labels_of_any_text_can_be_exposed() {
        let page = page(|| {
            counter!("9 Löwen!\n{x}").increment(1);
            counter!("").increment(1);
            counter!("my_counter_total", "le" => "a", "é" => "b\"\n", "__name__" => "c", "" => "d")
                .increment(1);
        });
        has(
            &page,
            &[
                "x_9_l_wen_x_total 1",
                "x_total 1",
                "my_total{_=\"b\\\"\\n\",exported_=\"d\",exported___name__=\"c\",exported_le=\"a\"} 1",
            ],
        );
    }

    #[test]
    fn what_is_taken_by_another_type_records_nowhere_and_is_counted() {
        let page = page(|| {
            counter!("jobs").increment(1);
            gauge!("jobs").set(7.0);
            histogram!("jobs").record(7.0);
        });
        has(&page, &["jobs_total 1", "gaugecast_facade_refused_total 2"]);
        assert!(!page.contains(" 7\n"), "{page}");
    }
}

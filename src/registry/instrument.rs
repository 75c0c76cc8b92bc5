//! What a metric type has to do to be registered and exposed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use super::error::ValueError;
use crate::exposition::number;
use crate::series::{Kind, NativeHistogram, key, native_key};

/// A metric type: a handle that is cheap to clone, whose clones record into the same place.
pub trait Instrument: Clone + fmt::Debug + Send + Sync + 'static {
    /// What stands in the `# TYPE` line.
    const KIND: Kind;
    /// What it is made from: the buckets of a histogram, the states of a state set.
    type Config: Clone + fmt::Debug + PartialEq + Send + Sync + 'static;

    /// A new one at its start.
    fn create(config: &Self::Config, refused: &Refused) -> Self;

    /// Appends its samples.
    fn write(&self, lines: &mut Lines<'_>);

    /// A number that differs after anything was recorded; by it a family sees which of its series are idle.
    fn activity(&self) -> u64;
}

/// Native histograms of a page by [`native_key`].
pub(super) type Natives = HashMap<Box<str>, Arc<NativeHistogram>>;

/// Appends the sample lines of one metric: one label set of one family.
pub struct Lines<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) natives: &'a mut Natives,
    pub(super) name: &'a str,
    /// With braces, or empty.
    pub(super) labels: &'a str,
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("name", &self.name)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

impl Lines<'_> {
    /// Name of the family.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The same metric with other labels (rendered, with braces): for an instrument that writes many label sets by itself.
    pub(crate) fn with<'b>(&'b mut self, labels: &'b str) -> Lines<'b> {
        Lines { out: self.out, natives: self.natives, name: self.name, labels }
    }

    /// A sample.
    pub fn float(&mut self, suffix: &str, value: f64) {
        self.start(suffix);
        self.out.extend_from_slice(self.labels.as_bytes());
        self.end(|out| number::push(out, value));
    }

    /// A sample with a whole number, exact beyond 2^53 too.
    pub fn whole(&mut self, suffix: &str, value: impl itoa::Integer) {
        self.start(suffix);
        self.out.extend_from_slice(self.labels.as_bytes());
        self.end(|out| out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()));
    }

    /// A sample with one label more. `text` needs no escaping.
    pub fn labelled(&mut self, suffix: &str, label: &str, text: &str, value: f64) {
        self.start(suffix);
        match self.labels.strip_suffix('}') {
            Some(open) => {
                self.out.extend_from_slice(open.as_bytes());
                self.out.push(b',');
            }
            None => self.out.push(b'{'),
        }
        for part in [label, "=\"", text, "\"}"] {
            self.out.extend_from_slice(part.as_bytes());
        }
        self.end(|out| number::push(out, value));
    }

    /// The native histogram of this metric, which text cannot carry.
    pub fn native(&mut self, native: NativeHistogram) {
        self.natives.insert(native_key(self.name, self.labels).into(), Arc::new(native));
    }

    fn start(&mut self, suffix: &str) {
        self.out.extend_from_slice(self.name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
    }

    fn end(&mut self, value: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(b' ');
        value(self.out);
        self.out.push(b'\n');
    }
}

/// `le` and `quantile` as OpenMetrics writes them: always with a point, `1.0`.
pub(super) fn bound_text(bound: f64) -> String {
    format!("{bound:?}")
}

/// Counts what instruments refuse, by reason: `gaugecast_registry_refused_total`.
#[derive(Clone, Debug)]
pub struct Refused(pub(super) Arc<Tally>);

impl Refused {
    /// Counts a refusal. Debug builds say it in the log too, as an error.
    #[cold]
    pub(super) fn count(&self, error: ValueError) {
        if cfg!(debug_assertions) {
            tracing::error!(%error, "a value was not recorded");
        }
        self.0.add(error.as_str());
    }
}

/// A counter with one label, for the registry's own figures: it must not depend on what it counts.
pub(super) struct Tally {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    counts: Mutex<BTreeMap<Box<str>, u64>>,
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tally {
    pub(super) fn new(name: &'static str, help: &'static str, label: &'static str) -> Self {
        Tally { name, help, label, counts: Mutex::default() }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    #[cold]
    pub(super) fn add(&self, which: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(which) {
            Some(count) => *count += 1,
            None => {
                counts.insert(which.into(), 1);
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, natives: &mut Natives) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.is_empty() {
            return;
        }
        out.extend_from_slice(header(self.name, self.help, "", Kind::Counter).as_bytes());
        for (which, count) in &*counts {
            let labels = key::render("x", &[(self.label, which)]);
            let labels = key::label_text(&labels);
            Lines { out, natives, name: self.name, labels }.whole("_total", *count);
        }
    }
}

/// The comment lines that open a family in OpenMetrics. `unit` may be empty.
pub(super) fn header(name: &str, help: &str, unit: &str, kind: Kind) -> String {
    let mut out = format!("# HELP {name} ");
    key::escape_into(help, &mut out);
    out.push_str(&format!("\n# TYPE {name} {}\n", kind.as_str()));
    if !unit.is_empty() {
        out.push_str(&format!("# UNIT {name} {unit}\n"));
    }
    out
}

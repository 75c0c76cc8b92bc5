//! Who exists: families and their series, in the order of the exposition.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::key;

/// Type of a metric family, in OpenMetrics' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Only goes up, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets of observations, with sum and count.
    Histogram,
    /// Buckets of a current distribution, which can go down.
    GaugeHistogram,
    /// Quantiles computed by the source, with sum and count.
    Summary,
    /// Facts as labels, value 1.
    Info,
    /// One 0/1 series a state.
    StateSet,
    /// Not said. `untyped` in text 0.0.4.
    Unknown,
}

impl Kind {
    /// The word of OpenMetrics and of the JSON API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Summary => "summary",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
            Kind::Unknown => "unknown",
        }
    }
}

/// What a source says about a family.
///
/// `name` is the name under which Prometheus stores it: a counter's with `_total` if its samples have it, an
/// info's with `_info`, a histogram's without `_bucket`. It is the name in the `# TYPE` line of text 0.0.4;
/// OpenMetrics writes it without `_total` and `_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyMeta {
    /// See the type.
    pub name: Arc<str>,
    /// Type of all its series.
    pub kind: Kind,
    /// HELP text, unescaped; may be empty.
    pub help: Box<str>,
    /// Unit by OpenMetrics (`seconds`, `bytes`), a suffix of the name; empty when not said.
    pub unit: Box<str>,
}

/// What a series is within its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The value itself: gauge, counter, quantile of a summary, state, info.
    Value,
    /// Cumulative bucket, label `le`.
    Bucket,
    /// `_sum` or `_gsum`.
    Sum,
    /// `_count` or `_gcount`.
    Count,
    /// `_created`: Unix seconds at which the counting began.
    Created,
}

/// Whose figures a source brings, and so where they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of this process, its host, and whoever pushes its own here: shown to scrapers too.
    Own,
    /// Those of others who have been scraped already, by us or by a Prometheus that writes them here. A scraper of
    /// `/metrics` does not see them; `/federate` gives them on.
    Foreign,
}

/// Number of a source in [`Schema::sources`], until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u16);

/// One series: its identity, and where its values stand in a [`Tick`](super::Tick).
#[derive(Debug)]
pub struct Series {
    /// The number clients know it by, for the life of the process. Not reused for another series.
    pub number: u32,
    /// Where its values stand in a tick; reused once the series is gone.
    pub(crate) slot: u32,
    /// Offset of the tick in which it appeared, or came back.
    pub born: u64,
    /// Which source feeds it.
    pub source: SourceId,
    /// Name of its family, [`FamilyMeta::name`].
    pub family: Arc<str>,
    /// What it is within its family.
    pub role: Role,
    key: Box<str>,
    /// Label text without `le` and `quantile`, where the key has one of them; else that of the key.
    group: Option<Box<str>>,
    /// Value of `le` or `quantile`; 0 where there is none.
    bound: f64,
}

impl Series {
    pub(super) fn new(
        number: u32,
        slot: u32,
        born: u64,
        source: SourceId,
        family: Arc<str>,
        role: Role,
        key: String,
    ) -> Self {
        let reserved = if role == Role::Bucket { "le" } else { "quantile" };
        let (mut group, mut bound) = (None, 0.0);
        if matches!(role, Role::Bucket | Role::Value)
            && let Some(text) = key::label(&key, reserved)
        {
            bound = text.parse().unwrap_or(f64::NAN);
            let others: Vec<_> = key::labels(&key).filter(|(n, _)| n != reserved).collect();
            group = Some(key::label_text(&key::render("_", &others)).into());
        }
        Series { number, slot, born, source, family, role, key: key.into(), group, bound }
    }

    /// `name{labels}`, as it stands in the exposition; see [`key`].
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its metric name, suffix included.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        key::name(&self.key)
    }

    /// Its labels by name, without `__name__`.
    pub fn labels(&self) -> key::Labels<'_> {
        key::labels(&self.key)
    }

    /// The label text (`{a="x"}`, or empty) that all series of one metric share: without `le` and `quantile`.
    /// What OpenMetrics calls a metric, and keeps together.
    #[must_use]
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_else(|| key::label_text(&self.key))
    }

    /// Upper bound of a bucket or the quantile of a summary's value; 0 for others.
    #[must_use]
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// Order within a family: metrics together, buckets and quantiles by bound, then sum, count, created.
    pub(super) fn exposition_order(&self, other: &Series) -> Ordering {
        (self.group().cmp(other.group()))
            .then_with(|| self.role.cmp(&other.role))
            .then_with(|| self.bound.total_cmp(&other.bound))
            .then_with(|| self.key.cmp(&other.key))
    }
}

/// A family and its living series. Never empty in a schema.
#[derive(Clone, Debug)]
pub struct Family {
    /// What its first source said of it.
    pub meta: Arc<FamilyMeta>,
    /// In exposition order.
    pub series: Vec<Arc<Series>>,
}

impl Family {
    /// The family with only those series that `takes` says, if there are any; itself if it is all of them.
    #[must_use]
    pub fn only(self: &Arc<Self>, takes: impl Fn(&Series) -> bool) -> Option<Arc<Self>> {
        let series: Vec<_> = self.series.iter().filter(|series| takes(series)).cloned().collect();
        match series.len() {
            0 => None,
            all if all == self.series.len() => Some(Arc::clone(self)),
            _ => Some(Arc::new(Family { meta: Arc::clone(&self.meta), series })),
        }
    }
}

/// All families, sorted by name. Shared by all ticks until a series comes or goes; a family that did not
/// change keeps its `Arc` from one schema to the next, so that caches can compare pointers.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Counts up with each change; equal versions of one epoch are equal schemas.
    pub version: u64,
    /// Sorted by name.
    pub families: Vec<Arc<Family>>,
    /// The same with the series of [`crate::series::Scope::Own`] alone: what `/metrics` shows. A family that has no others is the same
    /// `Arc` in both.
    pub own: Vec<Arc<Family>>,
    /// Names of the sources, by [`SourceId`]: collectors by their flag's name, others as configured.
    pub sources: Arc<[Arc<str>]>,
    /// Number of series in all families.
    pub len: usize,
}

impl Schema {
    /// All series in exposition order, each with its family.
    pub fn series(&self) -> impl Iterator<Item = (&Arc<Family>, &Arc<Series>)> {
        self.families.iter().flat_map(|family| family.series.iter().map(move |series| (family, series)))
    }

    /// The family of that name (see [`FamilyMeta::name`]).
    #[must_use]
    pub fn family(&self, name: &str) -> Option<&Arc<Family>> {
        let at = self.families.binary_search_by(|family| (*family.meta.name).cmp(name)).ok()?;
        Some(&self.families[at])
    }
}

//! Registration over prometheus-client, for applications and for our own figures.
//!
//! A [`Registry`] takes metrics by type and gives back handles: [`Counter`], [`FloatCounter`], [`Gauge`],
//! [`FloatGauge`], [`Histogram`], [`Summary`], [`StateSet`], facts as [`info`](Registry::info), and a [`Family`] of
//! any of them by label set. [`register`](Registry::register) takes a metric of prometheus-client itself. Everything
//! is checked when it is registered, so that what is registered is exposed: prometheus-client neither checks names
//! nor escapes help, and one metric it cannot encode fails all.
//!
//! Recording through a handle takes no lock (but for summaries and native histograms, a short one). Once a tick the
//! registry writes its [`page`](Registry::page), OpenMetrics text which the series table reads like any other
//! source's, and [`natives`](Registry::natives) beside it, which text cannot carry. A family that cannot be written
//! is left out of the page, counted and logged once. Idle series go in [`expire`](Registry::expire).
//!
//! ```
//! use std::time::Duration;
//!
//! use gaugecast::registry::{Buckets, Counter, Desc, Family, Registry, Unit};
//!
//! gaugecast::label_set! {
//!     struct Request { method: &'static str, status: u16 }
//! }
//!
//! let registry = Registry::new();
//! let requests: Family<Request, Counter> = registry.family(
//!     Desc::new("http_requests", "Requests answered").ttl(Duration::from_secs(3600)).limit(500),
//!     (),
//! )?;
//! let duration = registry.histogram(
//!     Desc::new("http_request_duration", "Time to answer a request").unit(Unit::Seconds),
//!     Buckets::seconds(),
//! )?;
//!
//! requests.get(&Request { method: "GET", status: 200 }).inc();
//! duration.observe_duration(Duration::from_millis(3));
//!
//! let mut page = Vec::new();
//! registry.page(&mut page);
//! let page = String::from_utf8(page)?;
//! assert!(page.contains("http_requests_total{method=\"GET\",status=\"200\"} 1\n"));
//! assert!(page.contains("http_request_duration_seconds_bucket{le=\"0.005\"} 1\n"));
//! assert!(page.ends_with("# EOF\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The registry's own figures stand on its page once there is something to tell:
//!
//! | family | labels | counts |
//! | --- | --- | --- |
//! | `gaugecast_registry_refused_total` | `reason` | values and label sets that were refused |
//! | `gaugecast_registry_overflow_total` | `family` | lookups that a cap sent to `{__overflow__="true"}` |
//! | `gaugecast_registry_encode_failures_total` | `family` | times a family was left out of a page |

mod counter;
mod error;
mod fact;
mod family;
mod gauge;
mod histogram;
mod instrument;
mod labels;
mod name;
mod raw;
mod summary;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::HashMap as StdHashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hashbrown::HashMap;

pub use prometheus_client;
pub use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
pub use prometheus_client::metrics;
pub use prometheus_client::registry::{Metric, Unit};

pub use counter::{Counter, FloatCounter};
pub use error::{LabelError, RegisterError, ValueError};
pub use fact::{Info, StateSet, States};
pub use family::{Family, Handle, LabelSet};
pub use gauge::{FloatGauge, Gauge};
pub use histogram::{BucketError, Buckets, Histogram, MAX_BUCKETS};
pub use instrument::{Instrument, Lines, Refused};
pub use summary::{QuantileError, Quantiles, Summary};

use crate::clock::Moment;
use crate::series::{Kind, NativeHistogram};
use family::{Single, Source};
use instrument::{Natives, Tally, header};
use raw::Raw;

/// Most label sets of a family, where its description says nothing else.
pub const DEFAULT_FAMILY_LIMIT: usize = 10_000;
/// Most label sets of all families of a registry.
pub const DEFAULT_LIMIT: usize = 200_000;

/// Describes what is to be registered. `("name", "help")` is one too.
#[derive(Clone, Debug)]
pub struct Desc<'a> {
    name: &'a str,
    help: &'a str,
    unit: Option<Unit>,
    limit: usize,
    ttl: Option<Duration>,
}

impl<'a> Desc<'a> {
    /// `name` is in snake case, without `_total`, `_info` and the unit, which are added. `help` is a sentence for
    /// people, of any characters.
    #[must_use]
    pub fn new(name: &'a str, help: &'a str) -> Self {
        Desc { name, help, unit: None, limit: DEFAULT_FAMILY_LIMIT, ttl: None }
    }

    /// The unit: a base unit (seconds, bytes, …). It is added to the name.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Most label sets of a family; [`DEFAULT_FAMILY_LIMIT`] by default. Without effect on a single metric.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// How long a series of a family may be idle before it goes; for ever by default. Without effect on a single
    /// metric.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl<'a> From<(&'a str, &'a str)> for Desc<'a> {
    fn from((name, help): (&'a str, &'a str)) -> Self {
        Desc::new(name, help)
    }
}

/// A registry of metrics. Clones share it.
///
/// Registering the same thing again (name, type, help, unit, label set type and settings) gives the same metric;
/// anything else under a name that is taken is an error. No method panics.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    families: RwLock<Families>,
    limits: Arc<Limits>,
    /// Of the last page.
    natives: Mutex<Arc<Natives>>,
}

#[derive(Default)]
struct Families {
    entries: Vec<Entry>,
    /// Which entry exposes a series name.
    claims: StdHashMap<String, usize>,
}

struct Entry {
    name: Arc<str>,
    help: String,
    unit: Option<String>,
    kind: Kind,
    header: String,
    body: Body,
    /// Was its failure logged?
    failed: AtomicBool,
}

enum Body {
    Typed(Box<dyn Source>),
    Raw(Raw),
}

/// What families share: the cap over all, and what is counted of them.
struct Limits {
    most: usize,
    live: AtomicUsize,
    refused: Arc<Tally>,
    overflow: Tally,
    failures: Tally,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry for [`DEFAULT_LIMIT`] label sets.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// An empty registry whose families have at most `limit` label sets together.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        let limits = Arc::new(Limits::new(limit));
        let mut families = Families::default();
        // The entries of our own figures are not in the list, but their names are taken.
        for tally in [limits.refused.name(), limits.overflow.name(), limits.failures.name()] {
            families
                .claims
                .extend(name::claims(tally, Kind::Counter).into_iter().map(|name| (name, usize::MAX)));
        }
        let shared = Shared { families: RwLock::new(families), limits, natives: Mutex::default() };
        Registry { shared: Arc::new(shared) }
    }

    /// Registers a [`Counter`].
    ///
    /// # Errors
    /// See [`RegisterError`]; so for the other methods.
    pub fn counter<'a>(&self, desc: impl Into<Desc<'a>>) -> Result<Counter, RegisterError> {
        self.metric(desc, ())
    }

    /// Registers a [`FloatCounter`].
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn float_counter<'a>(&self, desc: impl Into<Desc<'a>>) -> Result<FloatCounter, RegisterError> {
        self.metric(desc, ())
    }

    /// Registers a [`Gauge`].
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn gauge<'a>(&self, desc: impl Into<Desc<'a>>) -> Result<Gauge, RegisterError> {
        self.metric(desc, ())
    }

    /// Registers a [`FloatGauge`].
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn float_gauge<'a>(&self, desc: impl Into<Desc<'a>>) -> Result<FloatGauge, RegisterError> {
        self.metric(desc, ())
    }

    /// Registers a [`Histogram`].
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn histogram<'a>(
        &self,
        desc: impl Into<Desc<'a>>,
        buckets: Buckets,
    ) -> Result<Histogram, RegisterError> {
        self.metric(desc, buckets)
    }

    /// Registers a [`Summary`].
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn summary<'a>(
        &self,
        desc: impl Into<Desc<'a>>,
        quantiles: Quantiles,
    ) -> Result<Summary, RegisterError> {
        self.metric(desc, quantiles)
    }

    /// Registers a [`StateSet`]; at its start no state holds.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn stateset<'a>(&self, desc: impl Into<Desc<'a>>, states: States) -> Result<StateSet, RegisterError> {
        let desc = desc.into();
        if let Some(reason) = states.fault() {
            return Err(RegisterError::Settings { name: desc.name.to_owned(), reason });
        }
        self.metric(desc, states)
    }

    /// Registers facts: `name_info{labels} 1`. See [`Info`].
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn info<'a, S>(&self, desc: impl Into<Desc<'a>>, labels: S) -> Result<(), RegisterError>
    where
        S: EncodeLabels,
    {
        let desc = desc.into();
        let labels = labels::render(&labels, desc.name)
            .map_err(|source| RegisterError::Labels { name: desc.name.to_owned(), source })?;
        self.single::<Info>(&desc, (), labels).map(drop)
    }

    /// Registers a metric of any [`Instrument`] type.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn metric<'a, M: Instrument>(
        &self,
        desc: impl Into<Desc<'a>>,
        config: M::Config,
    ) -> Result<M, RegisterError> {
        self.single(&desc.into(), config, String::new())
    }

    /// Registers a family: a metric of type `M` for each label set of type `S`. `config` is what each is made from:
    /// [`Buckets`], [`Quantiles`], [`States`], or `()`.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn family<'a, S: LabelSet, M: Instrument>(
        &self,
        desc: impl Into<Desc<'a>>,
        config: M::Config,
    ) -> Result<Family<S, M>, RegisterError> {
        let Desc { name, help, unit, limit, ttl } = desc.into();
        if let Some(reason) = (&config as &dyn Any).downcast_ref::<States>().and_then(States::fault) {
            return Err(RegisterError::Settings { name: name.to_owned(), reason });
        }
        let full = name::check(name, help, unit.as_ref(), M::KIND)?;
        let same = |source: &dyn Any| {
            let family = source.downcast_ref::<Family<S, M>>()?;
            family.is_made_of(&config, limit, ttl).then(|| family.clone())
        };
        self.typed(full, help, unit, M::KIND, same, |name| {
            let refused = Refused(Arc::clone(&self.shared.limits.refused));
            let limits = Arc::clone(&self.shared.limits);
            let family = Family::new(name, config.clone(), (limit, ttl), limits, refused);
            (family.clone(), Box::new(family))
        })
    }

    fn single<M: Instrument>(
        &self,
        desc: &Desc<'_>,
        config: M::Config,
        labels: String,
    ) -> Result<M, RegisterError> {
        let full = name::check(desc.name, desc.help, desc.unit.as_ref(), M::KIND)?;
        let same = |source: &dyn Any| {
            let single = source.downcast_ref::<Single<M>>()?;
            (single.config == config && single.labels == labels).then(|| single.metric.clone())
        };
        self.typed(full, desc.help, desc.unit.clone(), M::KIND, same, |_| {
            let metric = M::create(&config, &Refused(Arc::clone(&self.shared.limits.refused)));
            let (config, labels) = (config.clone(), labels.clone());
            (metric.clone(), Box::new(Single { metric, config, labels }))
        })
    }

    /// Gives back what is registered under the name if it is the `same`, else registers what `make` makes.
    fn typed<T>(
        &self,
        name: String,
        help: &str,
        unit: Option<Unit>,
        kind: Kind,
        same: impl FnOnce(&dyn Any) -> Option<T>,
        make: impl FnOnce(Arc<str>) -> (T, Box<dyn Source>),
    ) -> Result<T, RegisterError> {
        let mut families = self.shared.families.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = families.entries.iter().find(|entry| *entry.name == *name) {
            let difference = entry.difference(help, unit.as_ref(), kind);
            let found = match &entry.body {
                Body::Typed(source) if difference.is_none() => same(&**source as &dyn Any),
                _ => None,
            };
            let difference = difference.unwrap_or("label set or settings");
            return found.ok_or(RegisterError::Redefined { name, difference });
        }
        let name: Arc<str> = name.into();
        let (found, source) = make(Arc::clone(&name));
        families.add(name, help, unit, kind, Body::Typed(source))?;
        Ok(found)
    }

    /// Registers a metric or a family of prometheus-client's own types. `name` comes without `_total`, `_info` and
    /// the unit: they are added. Caps and times to live are not known to such families; keep them small. A native
    /// histogram is found out by itself, and written as [`Buckets::native`] says.
    ///
    /// # Errors
    /// See [`RegisterError`]; a name that is taken is always one.
    pub fn register(
        &self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        metric: impl Metric,
    ) -> Result<(), RegisterError> {
        let kind = raw::kind(&metric);
        let full = name::check(name, help, unit.as_ref(), kind)?;
        let mut families = self.shared.families.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = families.entries.iter().find(|entry| *entry.name == *full) {
            let difference = entry.difference(help, unit.as_ref(), kind).unwrap_or("metric");
            return Err(RegisterError::Redefined { name: full, difference });
        }
        let raw = Raw::new(name, help, unit.clone(), metric);
        families.add(full.into(), help, unit, kind, Body::Raw(raw))
    }

    /// Removes what is registered under this name (with unit, without `_total` and `_info`); `false` if nothing is.
    /// Handles then record for nobody.
    pub fn unregister(&self, name: &str) -> bool {
        let mut families = self.shared.families.write().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = families.entries.iter().position(|entry| *entry.name == *name) else { return false };
        families.entries.remove(at);
        families.claims.retain(|_, entry| *entry != at);
        families
            .claims
            .values_mut()
            .filter(|entry| **entry > at && **entry != usize::MAX)
            .for_each(|e| *e -= 1);
        true
    }

    /// Appends all families as one page of OpenMetrics text with its `# EOF`. Their order is that of registration,
    /// and that of series the one in which they were made: the same from page to page. A family without series is
    /// left out.
    pub fn page(&self, out: &mut Vec<u8>) {
        let mut natives = Natives::default();
        let families = self.shared.families.read().unwrap_or_else(PoisonError::into_inner);
        for entry in &families.entries {
            let start = out.len();
            match &entry.body {
                Body::Typed(source) => {
                    out.extend_from_slice(entry.header.as_bytes());
                    let samples = out.len();
                    source.write(&entry.name, out, &mut natives);
                    if out.len() == samples {
                        out.truncate(start);
                    }
                }
                Body::Raw(raw) => {
                    if raw.write(&entry.name, &entry.header, out, &mut natives).is_err() {
                        out.truncate(start);
                        natives.retain(|key, _| !belongs(key, &entry.name));
                        self.shared.limits.failures.add(&entry.name);
                        if !entry.failed.swap(true, Ordering::Relaxed) {
                            tracing::error!(family = &*entry.name, "a family cannot be encoded; left out");
                        }
                    }
                }
            }
        }
        drop(families);
        let limits = &self.shared.limits;
        for tally in [&*limits.refused, &limits.overflow, &limits.failures] {
            tally.write(out, &mut natives);
        }
        out.extend_from_slice(b"# EOF\n");
        *self.shared.natives.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(natives);
    }

    /// The native histograms of the last [`page`](Self::page), by [`native_key`](crate::series::native_key).
    #[must_use]
    pub fn natives(&self) -> Arc<HashMap<Box<str>, Arc<NativeHistogram>>> {
        Arc::clone(&self.shared.natives.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes the series that are idle for longer than their family's time to live; see [`Family`]. To be called
    /// each tick: the first call after a change is what counts as the time of the change.
    pub fn expire(&self, now: Moment) {
        let families = self.shared.families.read().unwrap_or_else(PoisonError::into_inner);
        for entry in &families.entries {
            if let Body::Typed(source) = &entry.body {
                source.expire(now);
            }
        }
    }
}

/// What [`Registry::info`] takes for labels: whatever prometheus-client can encode.
pub trait EncodeLabels: prometheus_client::encoding::EncodeLabelSet + Clone + Send + Sync + 'static {}

impl<S: prometheus_client::encoding::EncodeLabelSet + Clone + Send + Sync + 'static> EncodeLabels for S {}

/// Is this the native histogram of that family?
fn belongs(key: &str, family: &str) -> bool {
    key.strip_prefix(family).is_some_and(|labels| labels.is_empty() || labels.starts_with('{'))
}

impl Families {
    fn add(
        &mut self,
        name: Arc<str>,
        help: &str,
        unit: Option<Unit>,
        kind: Kind,
        body: Body,
    ) -> Result<(), RegisterError> {
        let claims = name::claims(&name, kind);
        if let Some((series, at)) = claims.iter().find_map(|claim| Some((claim, self.claims.get(claim)?))) {
            let other = self.entries.get(*at).map_or("the registry itself", |entry| &entry.name);
            let (name, series, other) = (name.to_string(), series.clone(), other.to_owned());
            return Err(RegisterError::Clash { name, series, other });
        }
        let at = self.entries.len();
        self.claims.extend(claims.into_iter().map(|claim| (claim, at)));
        let unit = unit.map(|unit| unit.as_str().to_owned());
        let header = header(&name, help, unit.as_deref().unwrap_or(""), kind);
        let failed = AtomicBool::new(false);
        self.entries.push(Entry { name, help: help.to_owned(), unit, kind, header, body, failed });
        Ok(())
    }
}

impl Entry {
    /// In what a new registration of the same name differs.
    fn difference(&self, help: &str, unit: Option<&Unit>, kind: Kind) -> Option<&'static str> {
        if self.kind != kind {
            Some("type")
        } else if self.help != help {
            Some("help")
        } else if self.unit.as_deref() != unit.map(Unit::as_str) {
            Some("unit")
        } else {
            None
        }
    }
}

/// Declares structs as label sets, one label a field: what `#[derive(EncodeLabelSet)]` of prometheus-client does, and
/// the derives a label set needs besides, without that crate among the dependencies. (Its derives work too where it
/// is one; they name it by its path.) Field types are strings, integers, `bool`, `Option` of them, or anything that
/// implements [`EncodeLabelValue`](crate::registry::EncodeLabelValue).
///
/// ```
/// use gaugecast::registry::{Family, Gauge, Registry};
///
/// gaugecast::label_set! {
///     /// Which pump.
///     pub struct Pump { site: String, number: u8 }
/// }
///
/// let running: Family<Pump, Gauge> = Registry::new().family(("pump_running", "Does the pump run"), ())?;
/// running.get(&Pump { site: "north".into(), number: 2 }).set(1);
/// # Ok::<(), gaugecast::registry::RegisterError>(())
/// ```
#[macro_export]
macro_rules! label_set {
    ($($(#[$attr:meta])* $vis:vis struct $name:ident {
        $($(#[$field_attr:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    })*) => {$(
        $(#[$attr])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        $vis struct $name {
            $($(#[$field_attr])* $field_vis $field: $type,)*
        }

        impl $crate::registry::prometheus_client::encoding::EncodeLabelSet for $name {
            fn encode(
                &self,
                encoder: &mut $crate::registry::prometheus_client::encoding::LabelSetEncoder,
            ) -> ::core::result::Result<(), ::core::fmt::Error> {
                use $crate::registry::prometheus_client::encoding::EncodeLabel as _;
                $(($crate::registry::label_name(stringify!($field)), $crate::registry::AsLabel(&self.$field)).encode(encoder.encode_label())?;)*
                ::core::result::Result::Ok(())
            }
        }
    )*};
}

/// The label's name for a field's: of `r#type` it is `type`. For [`label_set!`](crate::label_set).
#[doc(hidden)]
#[must_use]
pub fn label_name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// A borrowed label value. For [`label_set!`](crate::label_set).
#[doc(hidden)]
#[derive(Debug)]
pub struct AsLabel<'a, T>(pub &'a T);

impl<T: prometheus_client::encoding::EncodeLabelValue> prometheus_client::encoding::EncodeLabelValue
    for AsLabel<'_, T>
{
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}

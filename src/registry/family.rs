//! Families: one metric for each label set.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use indexmap::IndexMap;
use prometheus_client::encoding::EncodeLabelSet;

use super::error::LabelError;
use super::instrument::{Instrument, Lines, Natives, Refused, Tally};
use super::{Limits, labels};
use crate::clock::Moment;

/// What can stand for a label set: whatever prometheus-client can encode, by its derive or by
/// [`label_set!`](crate::label_set).
pub trait LabelSet: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static {}

impl<S: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static> LabelSet for S {}

/// One metric for each label set, made when it is first asked for. Clones share them.
///
/// **Cap.** A family takes as many label sets as its description says (10,000 by default), all families of a registry
/// together 200,000. What is asked for beyond that is one metric shared by all, `{__overflow__="true"}`; each such
/// lookup counts in `gaugecast_registry_overflow_total{family}`.
///
/// **Idle series.** With a time to live a series goes when for so long nothing changed it, nobody asked for it, and
/// nobody keeps a [`Handle`] to it. This happens in [`Registry::expire`](super::Registry::expire), by the time given
/// there.
///
/// ```
/// use gaugecast::registry::{Counter, Family, Registry};
///
/// gaugecast::label_set! {
///     struct Request { method: &'static str, status: u16 }
/// }
///
/// let registry = Registry::new();
/// let requests: Family<Request, Counter> = registry.family(("http_requests", "Requests answered"), ())?;
/// requests.get(&Request { method: "GET", status: 200 }).inc();
///
/// // Where it matters, keep the handle: recording through it takes no lock.
/// let ok = requests.get(&Request { method: "GET", status: 200 });
/// ok.inc();
/// assert_eq!(ok.get(), 2); // http_requests_total{method="GET",status="200"} 2
/// # Ok::<(), gaugecast::registry::RegisterError>(())
/// ```
pub struct Family<S, M: Instrument> {
    inner: Arc<Inner<S, M>>,
}

struct Inner<S, M: Instrument> {
    name: Arc<str>,
    config: M::Config,
    limit: usize,
    ttl: Option<Duration>,
    limits: Arc<Limits>,
    refused: Refused,
    members: RwLock<Members<S, M>>,
    overflow: OnceLock<Handle<M>>,
}

/// Label sets that render to the same text share a member.
struct Members<S, M> {
    by_labels: HashMap<S, Handle<M>>,
    by_text: IndexMap<Arc<str>, Member<M>>,
}

struct Member<M> {
    handle: Handle<M>,
    /// Of the last [`Registry::expire`](super::Registry::expire): what the metric was then, and since when.
    activity: u64,
    since: Option<Moment>,
}

/// A metric of a family. Keep it where the same label set is recorded often: recording through it is as fast as
/// through a metric without labels. As long as it is kept its series does not expire; after
/// [`remove`](Family::remove) it records for nobody.
#[derive(Clone, Debug)]
pub struct Handle<M> {
    metric: M,
    life: Arc<Life>,
}

/// Shared by all handles of one series.
#[derive(Debug)]
struct Life {
    text: Arc<str>,
    /// Handles that the family itself holds.
    own: AtomicUsize,
    /// Was it asked for since the last look?
    asked: AtomicBool,
}

impl<M> Deref for Handle<M> {
    type Target = M;

    #[inline]
    fn deref(&self) -> &M {
        &self.metric
    }
}

impl<S, M: Instrument> Clone for Family<S, M> {
    fn clone(&self) -> Self {
        Family { inner: Arc::clone(&self.inner) }
    }
}

impl<S, M: Instrument> fmt::Debug for Family<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl<S: LabelSet, M: Instrument> Family<S, M> {
    pub(super) fn new(
        name: Arc<str>,
        config: M::Config,
        (limit, ttl): (usize, Option<Duration>),
        limits: Arc<Limits>,
        refused: Refused,
    ) -> Self {
        let members = Members { by_labels: HashMap::new(), by_text: IndexMap::new() };
        let inner = Inner {
            name,
            config,
            limit,
            ttl,
            limits,
            refused,
            members: RwLock::new(members),
            overflow: OnceLock::new(),
        };
        Family { inner: Arc::new(inner) }
    }

    /// The metric of this label set, made if need be. Where [`try_get`](Self::try_get) has an error this is the
    /// metric `{__overflow__="true"}`; a label set that cannot be exposed counts in
    /// `gaugecast_registry_refused_total{reason="labels"}`.
    #[must_use]
    pub fn get(&self, labels: &S) -> Handle<M> {
        self.try_get(labels).unwrap_or_else(|error| {
            if error == LabelError::Full {
                self.inner.limits.overflow.add(&self.inner.name);
            } else {
                self.inner.limits.refused.add("labels");
            }
            self.inner.overflow.get_or_init(|| self.make(labels::OVERFLOW.into())).clone()
        })
    }

    /// The metric of this label set, made if need be.
    ///
    /// # Errors
    /// A cap is reached, or the label set cannot be exposed.
    pub fn try_get(&self, labels: &S) -> Result<Handle<M>, LabelError> {
        let members = self.inner.members.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = members.by_labels.get(labels) {
            handle.life.asked.store(true, Ordering::Relaxed);
            return Ok(handle.clone());
        }
        if members.by_labels.len() >= self.inner.limit || self.inner.limits.is_full() {
            return Err(LabelError::Full);
        }
        drop(members);
        let text = labels::render(labels, &self.inner.name)?;
        let mut members = self.inner.members.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = members.by_labels.get(labels) {
            return Ok(handle.clone());
        }
        if members.by_labels.len() >= self.inner.limit || !self.inner.limits.take() {
            return Err(LabelError::Full);
        }
        let handle = match members.by_text.get(&*text) {
            Some(member) => member.handle.clone(),
            None => {
                let handle = self.make(text.into());
                let member = Member { handle: handle.clone(), activity: handle.activity(), since: None };
                handle.life.own.fetch_add(1, Ordering::Relaxed);
                members.by_text.insert(Arc::clone(&handle.life.text), member);
                handle
            }
        };
        handle.life.own.fetch_add(1, Ordering::Relaxed);
        members.by_labels.insert(labels.clone(), handle.clone());
        Ok(handle)
    }

    /// Removes the series of this label set; `false` if there is none. It is missing from the next page.
    pub fn remove(&self, labels: &S) -> bool {
        let mut members = self.inner.members.write().unwrap_or_else(PoisonError::into_inner);
        let Some(handle) = members.by_labels.get(labels) else { return false };
        let gone = Arc::clone(&handle.life.text);
        members.by_text.swap_remove(&gone);
        self.forget(&mut members, |text| *text == *gone);
        true
    }

    /// Number of label sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.members.read().unwrap_or_else(PoisonError::into_inner).by_labels.len()
    }

    /// Are there no label sets?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn make(&self, text: Arc<str>) -> Handle<M> {
        let life = Life { text, own: AtomicUsize::new(0), asked: AtomicBool::new(true) };
        Handle { metric: M::create(&self.inner.config, &self.inner.refused), life: Arc::new(life) }
    }

    fn forget(&self, members: &mut Members<S, M>, gone: impl Fn(&str) -> bool) {
        let before = members.by_labels.len();
        members.by_labels.retain(|_, handle| !gone(&handle.life.text));
        self.inner.limits.give_back(before - members.by_labels.len());
    }
}

impl<S, M: Instrument> Drop for Inner<S, M> {
    fn drop(&mut self) {
        let members = self.members.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.limits.give_back(members.by_labels.len());
    }
}

/// What the registry asks of everything registered by type.
pub(super) trait Source: Any + fmt::Debug + Send + Sync {
    /// Appends all samples.
    fn write(&self, name: &str, out: &mut Vec<u8>, natives: &mut Natives);
    /// Removes idle series.
    fn expire(&self, now: Moment);
}

impl<S: LabelSet, M: Instrument> Source for Family<S, M> {
    fn write(&self, name: &str, out: &mut Vec<u8>, natives: &mut Natives) {
        let members = self.inner.members.read().unwrap_or_else(PoisonError::into_inner);
        let handles = members.by_text.values().map(|member| &member.handle);
        for handle in handles.chain(self.inner.overflow.get()) {
            let labels = &*handle.life.text;
            handle.write(&mut Lines { out, natives, name, labels });
        }
    }

    fn expire(&self, now: Moment) {
        let Some(ttl) = self.inner.ttl else { return };
        let mut members = self.inner.members.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        for (text, member) in &mut members.by_text {
            let life = &member.handle.life;
            let activity = member.handle.activity();
            let asked = life.asked.swap(false, Ordering::Relaxed);
            let kept = Arc::strong_count(life) > life.own.load(Ordering::Relaxed);
            if asked || kept || activity != member.activity {
                member.activity = activity;
                member.since = Some(now);
            }
            if now.since(member.since.get_or_insert(now)) >= ttl {
                gone.push(Arc::clone(text));
            }
        }
        if gone.is_empty() {
            return;
        }
        let gone: std::collections::HashSet<Arc<str>> = gone.into_iter().collect();
        members.by_text.retain(|text, _| !gone.contains(text));
        self.forget(&mut members, |text| gone.contains(text));
    }
}

/// A metric without labels, or an info with its labels.
#[derive(Debug)]
pub(super) struct Single<M: Instrument> {
    pub(super) metric: M,
    pub(super) config: M::Config,
    pub(super) labels: String,
}

impl<M: Instrument> Source for Single<M> {
    fn write(&self, name: &str, out: &mut Vec<u8>, natives: &mut Natives) {
        self.metric.write(&mut Lines { out, natives, name, labels: &self.labels });
    }

    fn expire(&self, _now: Moment) {}
}

impl<S, M: Instrument> Family<S, M> {
    /// Was this family made with these settings?
    pub(super) fn is_made_of(&self, config: &M::Config, limit: usize, ttl: Option<Duration>) -> bool {
        self.inner.config == *config && self.inner.limit == limit && self.inner.ttl == ttl
    }
}

impl Limits {
    pub(super) fn new(most: usize) -> Self {
        let refused = "Values and label sets that were refused, by reason.";
        let overflow = "Lookups that a cap of label sets sent to the overflow series, by family.";
        let failures = "Times a family was left out of a page because it could not be encoded.";
        Limits {
            most,
            live: AtomicUsize::new(0),
            refused: Arc::new(Tally::new("gaugecast_registry_refused", refused, "reason")),
            overflow: Tally::new("gaugecast_registry_overflow", overflow, "family"),
            failures: Tally::new("gaugecast_registry_encode_failures", failures, "family"),
        }
    }

    fn is_full(&self) -> bool {
        self.live.load(Ordering::Relaxed) >= self.most
    }

    fn take(&self) -> bool {
        let more = |live| (live < self.most).then_some(live + 1);
        self.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.live.fetch_sub(count, Ordering::Relaxed);
    }
}

//! The alerts of one rule: pending, firing, over.
//!
//! An alert begins when the condition becomes true for its labels. It is pending until that has lasted for `for`, then it fires.
//! When the condition is not true any more, an alert that fires is asked in this order:
//!
//! 1. Is the number between the threshold and the bound of `gaugecast_clear_below` or `_above`? Then the condition counts as true.
//! 2. Is there no number at all? Then `gaugecast_no_data` decides.
//! 3. Is it within `keep_firing_for`? Then it fires on.
//!
//! One that is pending has only the second with `alert`: not to have been true throughout is what `for` is about. What is over is
//! forgotten: who was told of it is the manager's matter.
//!
//! All times are those of the monotonic clock; the wall clock is for show.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Evaluation;
use super::condition::NoData;
use super::file::{Alerting, RuleSpec, Text};
use crate::alert::Phase;
use crate::alert::template::{Data, Env};
use crate::clock::Moment;
use crate::query::Labels;

/// The label that has the name of the rule.
pub(super) const ALERT_NAME: &str = "alertname";

/// Most alerts of a rule whose group has no `limit`. One that has more has an expression without bounds, and nobody reads them.
pub(super) const MOST: usize = 1000;

/// For so many evaluations an alert without data goes on.
const KEPT: u32 = 2;

/// When something began, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Unix milliseconds, for show.
    pub at_ms: i64,
    /// Monotonic time from which on it is counted here.
    from: Duration,
    /// What counts from before: of another life of the process.
    credit: Duration,
}

impl Since {
    pub(super) fn now(now: Moment) -> Self {
        Since { at_ms: now.unix_ms, from: now.since_start, credit: Duration::ZERO }
    }

    /// Began at `at_ms`, of which `credit` counts.
    pub(super) fn restored(at_ms: i64, credit: Duration, now: Moment) -> Self {
        Since { at_ms, from: now.since_start, credit }
    }

    /// For how long.
    #[must_use]
    pub fn elapsed(&self, now: Moment) -> Duration {
        self.credit + now.since_start.saturating_sub(self.from)
    }
}

/// An alert that is pending or fires.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its annotations, expanded at the last evaluation at which the condition was true.
    pub annotations: BTreeMap<String, String>,
    /// Pending or firing.
    pub phase: Phase,
    /// The value at that evaluation.
    pub value: f64,
    /// Since when it is true.
    pub active: Since,
    /// Since when it fires, Unix milliseconds.
    pub fired_at_ms: Option<i64>,
    /// Since when it fires for `keep_firing_for` alone.
    pub keep: Option<Since>,
    /// At how many evaluations there was no data.
    pub missing: u32,
    /// After a restart, until its condition is true again: since when nobody has looked. Its series may not have been scraped yet.
    pub unseen: Option<Since>,
    /// The labels of the sample without its name; nothing for the alert that says that there are no samples.
    pub series: Option<Labels>,
}

/// An alert as it is saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    labels: Vec<(String, String)>,
    annotations: BTreeMap<String, String>,
    phase: Phase,
    /// A number in JSON cannot be NaN.
    value: String,
    active_at_ms: i64,
    active_ms: u64,
    fired_at_ms: Option<i64>,
    keep: Option<(i64, u64)>,
    series: Option<Vec<(String, String)>>,
}

/// The alerts of a rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts {
    pub(super) active: BTreeMap<Labels, Alert>,
    /// Were there too many the last time?
    pub(super) is_over: bool,
}

/// What is compared: labels and value, by the labels without the name.
type Compared = HashMap<Labels, (Labels, f64)>;

/// What is true at an evaluation.
struct True {
    annotations: BTreeMap<String, String>,
    value: f64,
    series: Option<Labels>,
}

/// A rule, and what it is evaluated with.
pub(super) struct Asked<'a> {
    pub(super) rule: &'a RuleSpec,
    pub(super) alerting: &'a Alerting,
    pub(super) with: Evaluation<'a>,
    /// Most alerts.
    pub(super) limit: usize,
    /// Of the samples, Unix milliseconds.
    pub(super) at_ms: i64,
    pub(super) now: Moment,
}

impl Asked<'_> {
    fn expand(&self, text: &Text, labels: &Labels, value: f64) -> String {
        let Some(template) = &text.template else { return text.text.clone() };
        let query = |text: &str| self.with.ask_text(text, self.at_ms);
        let env = Env { external_url: self.with.external_url, now_ms: self.now.unix_ms, query: &query };
        let data = Data { labels, external_labels: self.with.external_labels, value, env };
        template.expand(&data).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }

    fn annotations(&self, labels: &Labels, value: f64) -> BTreeMap<String, String> {
        let texts = self.alerting.annotations.iter();
        texts.map(|(name, text)| (name.clone(), self.expand(text, labels, value))).collect()
    }

    /// The labels of the alert for a sample.
    fn labels(&self, sample: &Labels, value: f64) -> Labels {
        let sample_labels = sample.without_name();
        let own: Vec<(&str, String)> = self
            .rule
            .labels
            .iter()
            .map(|(name, text)| (name.as_str(), self.expand(text, sample, value)))
            .collect();
        let own = own.iter().map(|(name, text)| (*name, text.as_str()));
        Labels::new(sample_labels.iter().chain(own).chain([(ALERT_NAME, &*self.rule.name)]))
    }

    /// What is compared, by labels without the name; nothing where that cannot be told.
    fn compared(&self) -> Result<Option<Compared>, String> {
        if self.alerting.compared.is_empty() {
            return Ok(None);
        }
        let mut found = HashMap::new();
        for side in &self.alerting.compared {
            for (labels, value) in self.with.ask(&self.rule.text, side, self.at_ms)? {
                found.entry(labels.without_name()).or_insert((labels, value));
            }
        }
        Ok(Some(found))
    }
}

impl Alerts {
    /// Evaluates the rule; the labels of alerts that are over as there is no data for them go to `no_data`. After an error all is as it was, but for one
    /// over the limit, which leaves no alerts, as in Prometheus.
    pub(super) fn evaluate(&mut self, asked: &Asked<'_>, no_data: &mut Vec<Labels>) -> Result<(), String> {
        let alerting = asked.alerting;
        let mut holds: HashMap<Labels, True> = HashMap::new();
        let samples = asked.with.ask(&asked.rule.text, &asked.rule.expr, asked.at_ms)?;
        // Before labels and annotations of very many are made. Of fewer, Prometheus looks at other faults first.
        if samples.len() > asked.limit.max(MOST) {
            return Err(self.over_limit(asked.limit, samples.len()));
        }
        for (sample, value) in samples {
            let labels = asked.labels(&sample, value);
            let annotations = asked.annotations(&sample, value);
            let series = Some(sample.without_name());
            if holds.insert(labels, True { annotations, value, series }).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying alert labels".into()
                );
            }
        }
        let gone = self.without_condition(asked, &mut holds)?;
        let now = asked.now;
        for (labels, held) in &mut holds {
            let alert = self.active.entry(labels.clone()).or_insert_with(|| Alert {
                labels: labels.clone(),
                annotations: BTreeMap::new(),
                phase: Phase::Pending,
                value: held.value,
                active: Since::now(now),
                fired_at_ms: None,
                keep: None,
                missing: 0,
                unseen: None,
                series: None,
            });
            alert.value = held.value;
            alert.annotations = std::mem::take(&mut held.annotations);
            alert.series = held.series.take();
            (alert.keep, alert.missing, alert.unseen) = (None, 0, None);
            if alert.phase == Phase::Pending && alert.active.elapsed(now) >= alerting.hold {
                alert.phase = Phase::Firing;
                alert.fired_at_ms = Some(now.unix_ms);
            }
        }
        let lookback = Duration::from_millis(u64::try_from(asked.with.options.lookback).unwrap_or(0));
        self.active.retain(|labels, alert| {
            if holds.contains_key(labels) {
                return true;
            }
            if alert.phase == Phase::Pending {
                return false;
            }
            let (mut stays, is_gone) = (false, gone.contains(labels));
            if !alerting.keep.is_zero() {
                let keep = *alert.keep.get_or_insert(Since::now(now));
                stays = keep.elapsed(now) < alerting.keep;
            }
            if is_gone && alerting.no_data == NoData::Keep {
                alert.missing += 1;
                stays |= alert.missing <= KEPT;
            }
            // As if the samples from before the restart were still there.
            if is_gone && alert.unseen.is_some_and(|since| since.elapsed(now) < lookback) {
                stays = true;
            }
            if is_gone && !stays {
                no_data.push(labels.clone());
            }
            stays
        });
        if self.active.len() > asked.limit {
            return Err(self.over_limit(asked.limit, self.active.len()));
        }
        self.is_over = false;
        Ok(())
    }

    fn over_limit(&mut self, limit: usize, count: usize) -> String {
        self.active.clear();
        self.is_over = true;
        format!("exceeded limit of {limit} with {count} alerts")
    }

    /// Looks after the alerts whose condition is not true: adds to `holds` those that are held, and gives those without data.
    fn without_condition(
        &self,
        asked: &Asked<'_>,
        holds: &mut HashMap<Labels, True>,
    ) -> Result<Vec<Labels>, String> {
        let policy = asked.alerting.no_data;
        let over: Vec<&Alert> =
            self.active.values().filter(|alert| !holds.contains_key(&alert.labels)).collect();
        let asks = |alert: &&Alert| alert.phase == Phase::Firing || policy == NoData::Alert;
        let all_gone = policy == NoData::Alert && holds.is_empty();
        if !all_gone && !over.iter().any(asks) {
            return Ok(Vec::new());
        }
        let Some(compared) = asked.compared()? else { return Ok(Vec::new()) };
        let mut gone = Vec::new();
        for alert in over.iter().filter(|alert| asks(alert)) {
            let found = alert.series.as_ref().map(|series| compared.get(series));
            match found {
                Some(Some((sample, value))) => {
                    let held = asked.alerting.clear.is_some_and(|clear| !clear.is_passed(*value));
                    if held && alert.phase == Phase::Firing {
                        let annotations = asked.annotations(sample, *value);
                        let held = True { annotations, value: *value, series: alert.series.clone() };
                        holds.insert(alert.labels.clone(), held);
                    }
                }
                // That there is nothing is over when there is something.
                None if !compared.is_empty() => {}
                Some(None) | None if policy == NoData::Alert => {
                    let annotations = alert.annotations.clone();
                    let held = True { annotations, value: alert.value, series: alert.series.clone() };
                    holds.insert(alert.labels.clone(), held);
                }
                Some(None) | None => gone.push(alert.labels.clone()),
            }
        }
        if all_gone && holds.is_empty() && compared.is_empty() {
            let nothing = Labels::empty();
            let annotations = asked.annotations(&nothing, f64::NAN);
            let labels = asked.labels(&nothing, f64::NAN);
            holds.insert(labels, True { annotations, value: f64::NAN, series: None });
        }
        Ok(gone)
    }

    /// The alerts for the file.
    pub(super) fn save(&self, now: Moment) -> Vec<Saved> {
        let pairs = |labels: &Labels| {
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
        };
        let ms = |since: &Since| u64::try_from(since.elapsed(now).as_millis()).unwrap_or(u64::MAX);
        let each = self.active.values().map(|alert| Saved {
            labels: pairs(&alert.labels),
            annotations: alert.annotations.clone(),
            phase: alert.phase,
            value: alert.value.to_string(),
            active_at_ms: alert.active.at_ms,
            active_ms: ms(&alert.active),
            fired_at_ms: alert.fired_at_ms,
            keep: alert.keep.map(|keep| (keep.at_ms, ms(&keep))),
            series: alert.series.as_ref().map(pairs),
        });
        each.collect()
    }

    /// Takes up what was saved `away` ago. An alert that fired fires on. The time in which nobody looked counts neither for `for` nor
    /// for `keep_firing_for`, and an alert whose series nobody has seen since stands for the lookback of queries.
    pub(super) fn restore(&mut self, saved: Vec<Saved>, away: Duration, now: Moment) {
        let shift = i64::try_from(away.as_millis()).unwrap_or(i64::MAX);
        for alert in saved {
            let labels = Labels::new(alert.labels);
            let paused = if alert.phase == Phase::Pending { shift } else { 0 };
            let restored = Alert {
                annotations: alert.annotations,
                phase: alert.phase,
                value: alert.value.parse().unwrap_or(f64::NAN),
                active: Since::restored(
                    alert.active_at_ms.saturating_add(paused),
                    Duration::from_millis(alert.active_ms),
                    now,
                ),
                fired_at_ms: alert.fired_at_ms,
                keep: alert.keep.map(|(at_ms, ms)| Since::restored(at_ms, Duration::from_millis(ms), now)),
                missing: 0,
                unseen: Some(Since::restored(now.unix_ms.saturating_sub(shift), away, now)),
                series: alert.series.map(Labels::new),
                labels: labels.clone(),
            };
            self.active.insert(labels, restored);
        }
    }
}

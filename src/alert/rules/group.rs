//! A group in force: its rules in their order, each with its state.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alerting::{Alert, Alerts, Asked, MOST, Saved};
use super::file::{GroupSpec, OURS, RuleKind, RuleSpec};
use super::overlay::Overlay;
use super::{Evaluation, recording};
use crate::alert::{Active, Origin, Phase, Report};
use crate::clock::Moment;
use crate::query::Labels;
use crate::query::labels::METRIC_NAME;
use crate::query::source::{Sample, stale};

/// The series that says which alerts there are.
pub(super) const ALERTS: &str = "ALERTS";

/// The series that says since when.
pub(super) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// A group of rules and its state.
#[derive(Clone, Debug)]
pub struct Group {
    spec: Arc<GroupSpec>,
    interval: Duration,
    rules: Vec<Rule>,
    last: Option<Moment>,
    took: Duration,
}

/// A rule and its state.
#[derive(Clone, Debug)]
pub struct Rule {
    spec: Arc<RuleSpec>,
    source: Arc<str>,
    generator: Arc<str>,
    alerts: Alerts,
    /// The series of the last evaluation.
    given: HashSet<Labels>,
    status: Status,
}

/// How the last evaluation of a rule went.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Did it go well?
    pub health: Health,
    /// Why not.
    pub error: Option<String>,
    /// When it was.
    pub last: Option<Moment>,
    /// How long it took.
    pub took: Duration,
}

/// Did the last evaluation go well?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There was none.
    #[default]
    Unknown,
    /// Yes.
    Ok,
    /// No.
    Err,
}

/// What came of an evaluation.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// For the manager: one for each rule that alerts and was evaluated.
    pub reports: Vec<Report>,
    /// Series: of each rule that was evaluated all that it gives now.
    pub results: Vec<Results>,
    /// Rules that failed.
    pub failures: usize,
}

/// The series of a rule; those that it gave before and that are not named are over.
#[derive(Clone, Debug)]
pub struct Results {
    /// As in [`Report::source`].
    pub source: Arc<str>,
    /// Does the rule record? Else they are about alerts.
    pub recorded: bool,
    /// The series.
    pub samples: Vec<Produced>,
}

/// A sample of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Produced {
    /// With the name.
    pub labels: Labels,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Value.
    pub value: f64,
}

impl Rule {
    /// What the file says.
    #[must_use]
    pub fn spec(&self) -> &Arc<RuleSpec> {
        &self.spec
    }

    /// As in [`Report::source`]: `file;group;name;n`, where `n` counts the rules of one name in the group. So it stays when other
    /// rules come or go.
    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// How the last evaluation went.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The alerts that are pending or fire, by their labels.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.active.values()
    }

    /// The furthest that one of its alerts is; `None` if there are none.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        let is_firing = |alert: &Alert| alert.phase == Phase::Firing;
        if self.alerts().any(is_firing) {
            Some(Phase::Firing)
        } else {
            self.alerts().next().map(|_| Phase::Pending)
        }
    }

    fn report(&self, now: Moment, no_data: Vec<Labels>) -> Report {
        let active = self.alerts().map(|alert| Active {
            labels: alert.labels.clone(),
            annotations: without_ours(&alert.annotations),
            phase: alert.phase,
            value: alert.value,
            active_at_ms: alert.active.at_ms,
            fired_at_ms: alert.fired_at_ms,
            generator: Arc::clone(&self.generator),
        });
        let (source, active) = (Arc::clone(&self.source), active.collect());
        Report { source, origin: Origin::Rule, at: now, active, no_data }
    }

    /// That the rule has too many alerts, or no longer.
    fn meta(&self, group: &GroupSpec, is_over: bool, now: Moment) -> Report {
        let labels = [
            ("alertname", "RuleExceedsLimit"),
            ("severity", "warning"),
            ("file", &*group.file),
            ("rule_group", &*group.name),
            ("rule", &*self.spec.name),
        ];
        let text = self.status.error.clone().unwrap_or_default();
        let active = is_over.then(|| Active {
            labels: Labels::new(labels),
            annotations: BTreeMap::from([
                ("summary".to_owned(), format!("the rule {} has too many alerts", self.spec.name)),
                ("description".to_owned(), format!("{text}. None of them is told.")),
            ]),
            phase: Phase::Firing,
            value: 1.0,
            active_at_ms: now.unix_ms,
            fired_at_ms: Some(now.unix_ms),
            generator: Arc::clone(&self.generator),
        });
        let source = format!("{};limit", self.source).into();
        let active = active.into_iter().collect();
        Report { source, origin: Origin::Meta, at: now, active, no_data: Vec::new() }
    }

    fn is_alerting(&self) -> bool {
        matches!(self.spec.kind, RuleKind::Alerting(_))
    }

    fn evaluate(
        &mut self,
        with: &Evaluation<'_>,
        limit: usize,
        at_ms: i64,
        now: Moment,
        no_data: &mut Vec<Labels>,
    ) -> Result<Vec<Produced>, String> {
        let produced = |labels, value| Produced { labels, at_ms, value };
        match &self.spec.kind {
            RuleKind::Recording => {
                let series = recording::evaluate(&self.spec, with, limit, at_ms)?;
                Ok(series.into_iter().map(|(labels, value)| produced(labels, value)).collect())
            }
            RuleKind::Alerting(alerting) => {
                let limit = if limit == 0 { MOST } else { limit };
                let asked = Asked { rule: &self.spec, alerting, with: *with, limit, at_ms, now };
                self.alerts.evaluate(&asked, no_data)?;
                let mut samples = Vec::new();
                for alert in self.alerts.active.values() {
                    let state = match alert.phase {
                        Phase::Pending => "pending",
                        Phase::Firing => "firing",
                    };
                    let named = alert.labels.with(METRIC_NAME, ALERTS).with("alertstate", state);
                    samples.push(produced(named, 1.0));
                    #[allow(clippy::cast_precision_loss)] // seconds of our age
                    let since = alert.active.at_ms.div_euclid(1000) as f64;
                    samples.push(produced(alert.labels.with(METRIC_NAME, ALERTS_FOR_STATE), since));
                }
                Ok(samples)
            }
        }
    }
}

fn without_ours(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let theirs = annotations.iter().filter(|(name, _)| !name.starts_with(OURS));
    theirs.map(|(name, text)| (name.clone(), text.clone())).collect()
}

impl Group {
    /// A group without state; `interval` is that of the configuration, for one that says none.
    #[must_use]
    pub fn new(spec: Arc<GroupSpec>, interval: Duration) -> Self {
        let mut names: HashMap<&str, usize> = HashMap::new();
        let rules = spec.rules.iter().map(|rule| {
            let count = names.entry(&rule.name).or_default();
            let source = format!("{};{};{};{count}", spec.file, spec.name, rule.name);
            *count += 1;
            Rule {
                source: source.into(),
                generator: format!("/#query?expr={}", encoded(&rule.text)).into(),
                spec: Arc::clone(rule),
                alerts: Alerts::default(),
                given: HashSet::new(),
                status: Status::default(),
            }
        });
        let rules = rules.collect();
        Group { interval: spec.interval.unwrap_or(interval), spec, rules, last: None, took: Duration::ZERO }
    }

    /// What the file says.
    #[must_use]
    pub fn spec(&self) -> &Arc<GroupSpec> {
        &self.spec
    }

    /// From one evaluation to the next.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// When it was evaluated last.
    #[must_use]
    pub fn last(&self) -> Option<Moment> {
        self.last
    }

    /// How long that took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Evaluates the rules in their order, each with the samples of those before it. A rule that fails keeps its state, gives
    /// neither report nor series, and does not stop the others.
    pub fn evaluate(&mut self, with: &Evaluation<'_>, now: Moment) -> Evaluated {
        let begun = Instant::now();
        let offset = i64::try_from(self.spec.query_offset.as_millis()).unwrap_or(i64::MAX);
        let at_ms = now.unix_ms.saturating_sub(offset);
        let mut overlay = Overlay::new(with.source);
        let mut evaluated = Evaluated::default();
        for rule in &mut self.rules {
            let begun = Instant::now();
            let was_over = rule.alerts.is_over;
            let with = Evaluation { source: &overlay, ..*with };
            let mut no_data = Vec::new();
            let result = rule.evaluate(&with, self.spec.limit, at_ms, now, &mut no_data);
            let failed = result.is_err();
            match result {
                Ok(samples) => {
                    rule.status.health = Health::Ok;
                    rule.status.error = None;
                    let given = samples.iter().map(|sample| sample.labels.clone()).collect();
                    for over in std::mem::replace(&mut rule.given, given) {
                        overlay.add(over, Sample { t: at_ms, v: stale() });
                    }
                    for sample in &samples {
                        overlay.add(sample.labels.clone(), Sample { t: at_ms, v: sample.value });
                    }
                    let recorded = !rule.is_alerting();
                    evaluated.results.push(Results { source: Arc::clone(&rule.source), recorded, samples });
                }
                Err(error) => {
                    rule.status.health = Health::Err;
                    rule.status.error = Some(error);
                    evaluated.failures += 1;
                }
            }
            // One that failed says nothing, unless it is that there are too many: then there are none.
            let is_over = rule.alerts.is_over;
            if rule.is_alerting() && (!failed || is_over) {
                evaluated.reports.push(rule.report(now, no_data));
            }
            if is_over || was_over {
                evaluated.reports.push(rule.meta(&self.spec, is_over, now));
            }
            rule.status.last = Some(now);
            rule.status.took = begun.elapsed();
        }
        self.last = Some(now);
        self.took = begun.elapsed();
        evaluated
    }

    /// Takes over the state of the rules that are in another version of this group: those with the same name, expression and labels,
    /// each once. Gives the sources of those that are not.
    pub fn take_over(&mut self, before: Group) -> Vec<Arc<str>> {
        let mut old: Vec<Option<Rule>> = before.rules.into_iter().map(Some).collect();
        for rule in &mut self.rules {
            let is_it =
                |known: &&mut Option<Rule>| known.as_ref().is_some_and(|known| same(&known.spec, &rule.spec));
            if let Some(known) = old.iter_mut().find(is_it).and_then(Option::take) {
                (rule.alerts, rule.given, rule.status) = (known.alerts, known.given, known.status);
            }
        }
        (self.last, self.took) = (before.last, before.took);
        let kept: HashSet<&Arc<str>> = self.rules.iter().map(|rule| &rule.source).collect();
        old.into_iter().flatten().map(|rule| rule.source).filter(|source| !kept.contains(source)).collect()
    }

    /// The alerts of each rule that has some, for the file.
    pub(super) fn save(&self, now: Moment) -> Vec<(String, Vec<Saved>)> {
        let active = self.rules.iter().filter(|rule| !rule.alerts.active.is_empty());
        active.map(|rule| (rule.source.to_string(), rule.alerts.save(now))).collect()
    }

    /// Takes up what [`save`](Self::save) gave `away` ago.
    pub(super) fn restore(&mut self, saved: &mut BTreeMap<String, Vec<Saved>>, away: Duration, now: Moment) {
        for rule in self.rules.iter_mut().filter(|rule| rule.is_alerting()) {
            if let Some(alerts) = saved.remove(&*rule.source) {
                rule.alerts.restore(alerts, away, now);
            }
        }
    }
}

fn same(a: &RuleSpec, b: &RuleSpec) -> bool {
    let labels =
        |rule: &RuleSpec| rule.labels.iter().map(|(n, l)| (n.clone(), l.text.clone())).collect::<Vec<_>>();
    let kind = |rule: &RuleSpec| matches!(rule.kind, RuleKind::Recording);
    a.name == b.name && a.text == b.text && kind(a) == kind(b) && labels(a) == labels(b)
}

/// A text as part of a URL's query.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

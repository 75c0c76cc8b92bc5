//! What the samples of a target become: its labels, `honor_labels`, `metric_relabel_configs`, limits, times.
//!
//! All of this is done once for a series, when it appears on the page; then the table knows where it goes, or that it is
//! left out. Limits are judged before anything of the page counts.

use std::sync::Arc;

use hashbrown::HashMap;

use super::relabel::{self, Labels};
use super::target::Target;
use crate::exposition::read::{Described, Page, Sample};
use crate::http_client::Failure;
use crate::series::{FamilyMeta, Kind, Mapping, NO_TIME, Role};

/// How far ahead of the clock a sample may be; later ones are refused, as Prometheus does.
const AHEAD_MS: i64 = 600_000;

/// What is known of an entry of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    /// Nothing: it is new.
    #[default]
    New,
    /// It is within the limits.
    Kept,
    /// The rules drop it.
    Dropped,
}

/// The way of a target's samples into the table.
#[derive(Debug)]
pub(super) struct Labelling {
    target: Arc<Target>,
    known: Vec<Known>,
    /// Series that were judged and are not in the table yet.
    fresh: HashMap<u32, Described>,
    /// Families whose name the rules have changed.
    renamed: HashMap<(Arc<str>, String), Arc<FamilyMeta>>,
    /// Time of the scrape, and of the tick.
    at_ms: i64,
    /// Samples of this page that are kept.
    pub(super) kept: usize,
    /// Samples of this page that are too far ahead.
    pub(super) ahead: u64,
}

impl Labelling {
    pub(super) fn new(target: Arc<Target>) -> Self {
        Labelling {
            target,
            known: Vec::new(),
            fresh: HashMap::new(),
            renamed: HashMap::new(),
            at_ms: 0,
            kept: 0,
            ahead: 0,
        }
    }

    /// A page of that time follows.
    pub(super) fn begin(&mut self, at_ms: i64) {
        self.at_ms = at_ms;
        self.kept = 0;
        self.ahead = 0;
        self.fresh.clear();
    }

    /// Holds a page to the limits of the job.
    pub(super) fn judge(&mut self, page: &Page<'_>) -> Result<(), Failure> {
        for &entry in page.gone() {
            if let Some(known) = self.known.get_mut(entry as usize) {
                *known = Known::New;
            }
        }
        let judged = self.judge_samples(page);
        if judged.is_err() {
            // What was not judged to the end is judged again.
            self.known.clear();
        }
        judged
    }

    fn judge_samples(&mut self, page: &Page<'_>) -> Result<(), Failure> {
        for sample in page.samples() {
            let entry = sample.entry as usize;
            if entry >= self.known.len() {
                self.known.resize(entry + 1, Known::New);
            }
            if self.known[entry] == Known::New {
                self.known[entry] = match self.label(page.describe(sample.entry)) {
                    Some(described) => {
                        self.hold_to_limits(&described)?;
                        self.fresh.insert(sample.entry, described);
                        Known::Kept
                    }
                    None => Known::Dropped,
                };
            }
            self.kept += usize::from(self.known[entry] == Known::Kept);
        }
        match self.target.job.limits.samples {
            0 => Ok(()),
            limit if self.kept <= limit => Ok(()),
            limit => {
                Err(Failure::new("limit", format!("{} samples, the sample_limit is {limit}", self.kept)))
            }
        }
    }

    fn hold_to_limits(&self, series: &Described) -> Result<(), Failure> {
        let limits = &self.target.job.limits;
        let over = |what: &str, of: &str, is: usize, limit: usize| {
            let of: String = of.chars().take(80).collect();
            Err(Failure::new("limit", format!("{} of {of:?}: {is}, the {what} is {limit}", series.name)))
        };
        // As in Prometheus the name is a label too.
        let count = series.labels.len() + 1;
        if limits.labels > 0 && count > limits.labels {
            return Err(Failure::new(
                "limit",
                format!("{} has {count} labels, the label_limit is {}", series.name, limits.labels),
            ));
        }
        let name = ("__name__", series.name.as_str());
        let labels = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in std::iter::once(name).chain(labels) {
            if limits.label_name > 0 && name.len() > limits.label_name {
                return over("label_name_length_limit", name, name.len(), limits.label_name);
            }
            if limits.label_value > 0 && value.len() > limits.label_value {
                return over("label_value_length_limit", name, value.len(), limits.label_value);
            }
        }
        Ok(())
    }

    /// The series under the labels of the target and the rules of the job; nothing, if these drop it.
    fn label(&mut self, told: Described) -> Option<Described> {
        let job = Arc::clone(&self.target.job);
        let mut labels: Labels = told.labels.into_iter().collect();
        for (name, value) in &self.target.settled.labels {
            if let Some(of_page) = labels.remove(name) {
                if job.honor_labels {
                    labels.insert(name.clone(), of_page);
                    continue;
                }
                let mut other = format!("exported_{name}");
                while labels.contains_key(&other) || self.target.settled.labels.contains_key(&other) {
                    other.insert_str(0, "exported_");
                }
                labels.insert(other, of_page);
            }
            labels.insert(name.clone(), value.clone());
        }
        let (mut family, mut role, mut name) = (told.family, told.role, told.name);
        if !job.metric_relabel.is_empty() {
            labels.insert("__name__".into(), name.clone());
            if !relabel::apply(&job.metric_relabel, &mut labels) {
                return None;
            }
            let now = labels.remove("__name__")?;
            if now != name {
                (family, role) = self.renamed(&family, role, &name, &now);
                name = now;
            }
        }
        Some(Described { family, role, name, labels: labels.into_iter().collect() })
    }

    /// The family of a series whose name is `now` instead of `before`. What is put before or into the name of a family
    /// leaves it one; another suffix makes the series a family of its own.
    fn renamed(
        &mut self,
        family: &Arc<FamilyMeta>,
        role: Role,
        before: &str,
        now: &str,
    ) -> (Arc<FamilyMeta>, Role) {
        let suffix = before.strip_prefix(&*family.name).unwrap_or_default();
        let base = now.strip_suffix(suffix).filter(|base| !base.is_empty());
        let (name, role, same) = match base {
            Some(base) => (base, role, true),
            None => (now, Role::Value, false),
        };
        let make = || {
            let kind = if same { family.kind } else { Kind::Unknown };
            // The unit is a suffix of the name, by OpenMetrics.
            let unit = if name.contains(&*family.unit) { family.unit.clone() } else { "".into() };
            Arc::new(FamilyMeta { name: name.into(), kind, help: family.help.clone(), unit })
        };
        let known = self.renamed.entry((Arc::clone(&family.name), name.to_owned())).or_insert_with(make);
        (Arc::clone(known), role)
    }
}

impl Mapping for Labelling {
    fn series(&mut self, page: &Page<'_>, entry: u32) -> Option<Described> {
        if self.known.get(entry as usize) == Some(&Known::Dropped) {
            return None;
        }
        // It is not among the fresh if the target was down meanwhile, or another source had the series.
        self.fresh.remove(&entry).or_else(|| self.label(page.describe(entry)))
    }

    fn time(&mut self, sample: &Sample) -> Option<i64> {
        if sample.time_ms == NO_TIME || !self.target.job.honor_timestamps {
            return Some(self.at_ms);
        }
        if sample.time_ms > self.at_ms.saturating_add(AHEAD_MS) {
            self.ahead += 1;
            return None;
        }
        Some(sample.time_ms)
    }
}

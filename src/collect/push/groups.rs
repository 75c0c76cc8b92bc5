//! Groups of metrics that programs push in text, as the Pushgateway keeps them: for jobs that end before anybody scrapes them.
//!
//! A group has the labels of its path (`job` and others), which all its series get. A push replaces the group, or its
//! families of the same names; it is applied whole or not at all. A group that is not pushed again goes after `push.ttl`: what
//! nobody renews is not the present any more, and the history keeps what it was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::text::GroupFeed;
use crate::clock::Moment;
use crate::exposition::parse::{Format, ParseError};
use crate::exposition::read::Reader;
use crate::series::{FamilyMeta, Kind, NO_TIME, Role, key};

/// Most groups.
pub const MOST_GROUPS: usize = 10_000;

/// Most series of all groups together.
pub const MOST_SERIES: usize = 200_000;

/// The labels of a group, sorted by name: `job` and those of its path.
pub type Grouping = Vec<(String, String)>;

/// What a push does to what the group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The group becomes what is pushed.
    Replace,
    /// Families that are pushed are replaced, the others stay.
    Merge,
}

/// Why a push is refused. Nothing of it is applied then.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PushError {
    /// A line that breaks the grammar, or a rule of OpenMetrics.
    #[error(transparent)]
    Syntax(#[from] ParseError),
    /// A line that may stand on a page but not in a push.
    #[error("line {line}: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong, in words.
        reason: &'static str,
    },
    /// A series twice.
    #[error("a series stands twice")]
    Duplicate,
    /// Another group, or gaugecast itself, has a family of the same name and of another type.
    #[error("{family} is a {known} already, not a {pushed}")]
    Type {
        /// Name of the family.
        family: String,
        /// Its type.
        known: &'static str,
        /// That of the push.
        pushed: &'static str,
    },
    /// A family would have a name that stands for a part of another.
    #[error("{part} is a part of {whole}, which is a {kind}: it cannot be a family beside it")]
    Part {
        /// Name of the one.
        part: String,
        /// Name of the other.
        whole: String,
        /// Type of the other.
        kind: &'static str,
    },
    /// There is no room for it.
    #[error("there are {0} already; delete some, or let them go (--push.ttl)")]
    Full(&'static str),
}

/// The groups. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Groups(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) groups: BTreeMap<Grouping, Group>,
    /// Those pushed or deleted since the last tick.
    pub(super) changed: HashSet<Grouping>,
    series: usize,
    /// Type of each family, and how many groups have it.
    families: HashMap<Arc<str>, (Kind, usize)>,
}

/// The series that each group has besides those pushed.
const PUSH_TIME: &str = "push_time_seconds";

/// What parts of a histogram or a summary are called; no other family can have such a name beside it.
const PARTS: [&str; 3] = ["_bucket", "_count", "_sum"];

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    /// By the name of their family.
    families: BTreeMap<Arc<str>, Vec<Pushed>>,
    /// Monotonic time at which it goes.
    pub(super) until: Duration,
    pushed_ms: i64,
}

/// A series as it was pushed.
#[derive(Clone, Debug)]
pub(super) struct Pushed {
    pub(super) family: Arc<FamilyMeta>,
    pub(super) role: Role,
    pub(super) key: String,
    pub(super) value: f64,
}

impl Group {
    fn len(&self) -> usize {
        self.families.values().map(Vec::len).sum()
    }

    /// All its series, and when it was pushed.
    pub(super) fn series(&self, grouping: &Grouping) -> Vec<Pushed> {
        let mut all: Vec<Pushed> = self.families.values().flatten().cloned().collect();
        let meta = FamilyMeta {
            name: PUSH_TIME.into(),
            kind: Kind::Gauge,
            help: "When the group was pushed last, in seconds since 1970.".into(),
            unit: "seconds".into(),
        };
        #[allow(clippy::cast_precision_loss)] // below 2^53
        let value = self.pushed_ms as f64 / 1000.0;
        let key = key::render(PUSH_TIME, grouping);
        all.push(Pushed { family: Arc::new(meta), role: Role::Value, key, value });
        all
    }
}

impl Groups {
    /// No groups; one that is not pushed again for `ttl` goes.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Groups(Arc::new(Shared { ttl, state: Mutex::default() }))
    }

    /// What brings them to the tick. There is to be one.
    #[must_use]
    pub fn feed(&self) -> GroupFeed {
        GroupFeed::new(self.clone())
    }

    /// Takes a push. `known` is the type of a family that another source than the groups has.
    ///
    /// # Errors
    /// See [`PushError`].
    pub fn push(
        &self,
        grouping: &Grouping,
        mode: Mode,
        text: &[u8],
        format: Format,
        known: impl Fn(&str) -> Option<Kind>,
        now: Moment,
    ) -> Result<(), PushError> {
        let families = read(grouping, text, format)?;
        let mut state = self.lock();
        let here =
            |name: &str| state.groups.get(grouping).is_some_and(|group| group.families.contains_key(name));
        let other = |name: &str, but_here: bool| {
            let groups = state.families.get(name).filter(|(_, n)| *n > usize::from(but_here && here(name)));
            let of_groups = || (name == PUSH_TIME).then_some(Kind::Gauge);
            groups.map(|(kind, _)| *kind).or_else(of_groups).or_else(|| known(name))
        };
        let any = |name: &str| match families.get(name) {
            Some(series) => Some(series[0].family.kind),
            None => other(name, mode == Mode::Replace),
        };
        let consists = |kind| matches!(kind, Kind::Histogram | Kind::GaugeHistogram | Kind::Summary);
        for (name, series) in &families {
            let pushed = series[0].family.kind;
            if let Some(kind) = other(name, true).filter(|&kind| kind != pushed) {
                let (known, pushed) = (kind.as_str(), pushed.as_str());
                return Err(PushError::Type { family: name.to_string(), known, pushed });
            }
            let part = |part: &str, whole: &str, kind: Kind| PushError::Part {
                part: part.to_owned(),
                whole: whole.to_owned(),
                kind: kind.as_str(),
            };
            for suffix in PARTS {
                if let Some(whole) = name.strip_suffix(suffix)
                    && let Some(kind) = any(whole).filter(|&kind| consists(kind))
                {
                    return Err(part(name, whole, kind));
                }
                let own_part = format!("{name}{suffix}");
                if consists(pushed) && any(&own_part).is_some() {
                    return Err(part(&own_part, name, pushed));
                }
            }
        }
        let (old, stays) = match state.groups.get(grouping) {
            None if state.groups.len() >= MOST_GROUPS => return Err(PushError::Full("10000 groups")),
            None => (0, BTreeMap::new()),
            Some(group) if mode == Mode::Replace => (group.len(), BTreeMap::new()),
            Some(group) => (group.len(), group.families.clone()),
        };
        let mut all = stays;
        all.extend(families);
        let group = Group {
            families: all,
            until: now.since_start.saturating_add(self.0.ttl),
            pushed_ms: now.unix_ms,
        };
        let series = state.series - old + group.len();
        if series > MOST_SERIES {
            return Err(PushError::Full("200000 series in groups"));
        }
        state.delete(grouping);
        state.series += group.len();
        for (name, series) in &group.families {
            let family = state.families.entry(Arc::clone(name)).or_insert((Kind::Unknown, 0));
            *family = (series[0].family.kind, family.1 + 1);
        }
        state.groups.insert(grouping.clone(), group);
        state.changed.insert(grouping.clone());
        Ok(())
    }

    /// Deletes a group, if it is there.
    pub fn delete(&self, grouping: &Grouping) {
        self.lock().delete(grouping);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole groups behind.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn delete(&mut self, grouping: &Grouping) {
        if let Some(group) = self.groups.remove(grouping) {
            self.series -= group.len();
            for name in group.families.keys() {
                if let Some(family) = self.families.get_mut(name) {
                    family.1 -= 1;
                    if family.1 == 0 {
                        self.families.remove(name);
                    }
                }
            }
            self.changed.insert(grouping.clone());
        }
    }
}

/// Reads a push: its series with the labels of the group, by family.
fn read(
    grouping: &Grouping,
    text: &[u8],
    format: Format,
) -> Result<BTreeMap<Arc<str>, Vec<Pushed>>, PushError> {
    let mut reader = if format == Format::OpenMetrics { Reader::strict() } else { Reader::new() };
    let page = reader.read(text, format)?;
    if page.duplicates() > 0 {
        return Err(PushError::Duplicate);
    }
    let mut keys = HashSet::new();
    let mut families: BTreeMap<Arc<str>, Vec<Pushed>> = BTreeMap::new();
    for (at, sample) in page.samples().iter().enumerate() {
        let line = |reason| PushError::Line { line: line_of(text, at), reason };
        if sample.time_ms != NO_TIME {
            return Err(line("a pushed sample has no timestamp: it is of now"));
        }
        let told = page.describe(sample.entry);
        let counts = matches!(told.family.kind, Kind::Counter | Kind::Histogram)
            || matches!(told.role, Role::Bucket | Role::Count);
        if counts && sample.value.is_nan() {
            return Err(line("what counts cannot be NaN"));
        }
        let number = |label: &str| {
            let value = told.labels.iter().find(|(name, _)| name == label);
            value.map(|(_, value)| value.parse::<f64>().is_ok_and(|number| !number.is_nan()))
        };
        if told.role == Role::Bucket && number("le") != Some(true) {
            return Err(line("a bucket needs a label le that is a number"));
        }
        if told.family.kind == Kind::Summary && number("quantile") == Some(false) {
            return Err(line("the quantile is no number"));
        }
        // The labels of the group stand before those of the series.
        let mut labels: BTreeMap<&str, &str> = told.labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        labels.extend(grouping.iter().map(|(name, value)| (&**name, &**value)));
        let labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let key = key::render(&told.name, &labels);
        if !keys.insert(key.clone()) {
            return Err(PushError::Duplicate);
        }
        let series = Pushed { family: told.family, role: told.role, key, value: sample.value };
        families.entry(Arc::clone(&series.family.name)).or_default().push(series);
    }
    Ok(families)
}

/// Which line the sample number `at`, from 0, stands in, from 1.
fn line_of(text: &[u8], at: usize) -> usize {
    let is_sample = |line: &[u8]| {
        let line = line.trim_ascii();
        !line.is_empty() && line[0] != b'#'
    };
    let mut samples = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| is_sample(line));
    samples.nth(at).map_or(0, |(line, _)| line + 1)
}

/// The labels of the path behind `/api/v1/push/`: the job, then pairs of name and value. A name with `@base64` has its value
/// in base64 with `-` and `_`, with or without padding: for values that are empty or have a slash.
///
/// # Errors
/// What is wrong with the path.
pub fn grouping(path: &str) -> Result<Grouping, &'static str> {
    let mut parts = path.split('/');
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    let job = match parts.next() {
        Some("job@base64") => decode(parts.next().unwrap_or_default()).ok_or("the job is not base64")?,
        job => job.unwrap_or_default().to_owned(),
    };
    if job.is_empty() {
        return Err("the path has no job: /api/v1/push/JOB[/LABEL/VALUE…]");
    }
    labels.insert("job".into(), job);
    while let Some(name) = parts.next() {
        let value = parts.next().ok_or("the path has a label without a value")?;
        let (name, value) = match name.strip_suffix("@base64") {
            Some(name) => (name, decode(value).ok_or("a value of the path is not base64")?),
            None => (name, value.to_owned()),
        };
        if !key::is_legacy_label(name) || name.starts_with("__") {
            return Err("a label of the path has no name that a label may have");
        }
        if labels.len() >= 32 {
            return Err("the path has more than 32 labels");
        }
        if labels.insert(name.to_owned(), value).is_some() {
            return Err("the path has a label twice");
        }
    }
    Ok(labels.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

/// Reads base64url.
fn decode(text: &str) -> Option<String> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    (count < 6).then(|| String::from_utf8(out).ok()).flatten()
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;

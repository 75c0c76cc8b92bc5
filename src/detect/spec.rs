//! Which detector, with which parameters: the table that help, documentation and checks are made from.

use std::fmt;

use super::Detector;
use super::band::{self, Banded};
use super::blocks::Blocks;
use super::ewma::Ewma;
use super::mad::Mad;
use super::novelty::Novelty;
use super::rate::Rate;
use super::seasonal::Seasonal;
use super::zscore::Zscore;
use crate::config::units::{format_duration, parse_duration};
use crate::spelling::nearest;

/// The detectors there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// How rarely such a level has been seen, least of all after those before it.
    #[default]
    Novelty,
    /// Distance from the rolling mean in standard deviations.
    Zscore,
    /// Distance from the rolling median in median absolute deviations.
    Mad,
    /// Distance from the exponentially weighted mean.
    Ewma,
    /// Distance from what this hour of the day was on the days before.
    Seasonal,
    /// How fast the value changes, against how fast it usually does.
    Rate,
}

impl Kind {
    /// All of them, the default first.
    pub const ALL: [Kind; 6] =
        [Kind::Novelty, Kind::Zscore, Kind::Mad, Kind::Ewma, Kind::Seasonal, Kind::Rate];

    /// Its name in configuration, command line and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Novelty => "novelty",
            Kind::Zscore => "zscore",
            Kind::Mad => "mad",
            Kind::Ewma => "ewma",
            Kind::Seasonal => "seasonal",
            Kind::Rate => "rate",
        }
    }

    /// One line on what it does.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Kind::Novelty => "levels hardly ever seen, least of all after those before; the default",
            Kind::Zscore => "distance from the rolling mean in standard deviations",
            Kind::Mad => "distance from the rolling median in median absolute deviations",
            Kind::Ewma => "distance from the exponentially weighted mean",
            Kind::Seasonal => "distance from what this hour of the day was on other days",
            Kind::Rate => "speed of change against the usual one",
        }
    }

    /// Its parameters, in the order in which help shows them.
    #[must_use]
    pub fn params(self) -> Vec<Param> {
        let own: &[Param] = match self {
            Kind::Novelty => return NOVELTY.to_vec(),
            Kind::Zscore => &[PRESET, WINDOW],
            Kind::Mad | Kind::Rate => &[WINDOW],
            Kind::Ewma => &[HALF_LIFE],
            Kind::Seasonal => &[DAYS, OFFSET],
        };
        let mut params = [own, FAMILY].concat();
        for param in &mut params {
            param.default = match (self, param.name) {
                // A step is one single change: nothing to wait for, so the threshold is what keeps noise away.
                (Kind::Rate, "threshold") => "6",
                (Kind::Rate, "k" | "n") => "1",
                // What lasts for some minutes says nothing of the other hours.
                (Kind::Seasonal, "adapt_after") => "1d",
                _ => param.default,
            };
        }
        params
    }
}

/// A parameter of a detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Param {
    /// Its name, snake case.
    pub name: &'static str,
    /// What it does, with its unit.
    pub help: &'static str,
    /// What it takes.
    pub form: Form,
    /// Its default, as it would be written.
    pub default: &'static str,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// A whole number, both ends included.
    Whole(u32, u32),
    /// A number, both ends included, or one of the words that stand for one.
    Number(f64, f64, &'static [(&'static str, f64)]),
    /// A duration as Prometheus writes it (`90s`, `10m`), from 0 to so many seconds.
    Duration(u32),
    /// One of some words.
    Choice(&'static [&'static str]),
}

const NOVELTY: &[Param] = &[
    Param {
        name: "threshold",
        help: "bits of surprise that make an anomaly: sensitive (7), usual (9), quiet (12)",
        form: Form::Number(1.0, 64.0, &[("sensitive", 7.0), ("usual", 9.0), ("quiet", 12.0)]),
        default: "usual",
    },
    Param {
        name: "min_samples",
        help: "merged rows before which nothing is raised; 750 is quieter still",
        form: Form::Whole(0, 100_000),
        default: "150",
    },
    Param {
        name: "block",
        help: "faster rows are merged into one of this length, the extreme one; 0s takes each row as it is",
        form: Form::Duration(86_400),
        default: "1m",
    },
    Param {
        name: "texture",
        help: "also look at roughness and range of the last 30 rows",
        form: Form::Choice(&["on", "off"]),
        default: "on",
    },
];

const PRESET: Param = Param {
    name: "preset",
    help: "classic: threshold 2.5, k 1, n 1",
    form: Form::Choice(&["default", "classic"]),
    default: "default",
};

const WINDOW: Param =
    Param { name: "window", help: "rows looked back on", form: Form::Whole(10, 2_000), default: "300" };

const HALF_LIFE: Param = Param {
    name: "half_life",
    help: "rows after which a row counts half",
    form: Form::Number(1.0, 100_000.0, &[]),
    default: "100",
};

const DAYS: Param = Param {
    name: "days",
    help: "days on which an hour must have been seen before it is judged",
    form: Form::Whole(1, 60),
    default: "3",
};

const OFFSET: Param = Param {
    name: "utc_offset",
    help: "hours by which local time is ahead of UTC",
    form: Form::Number(-14.0, 14.0, &[]),
    default: "0",
};

/// What all detectors that expect a value have in common.
const FAMILY: &[Param] = &[
    Param {
        name: "threshold",
        help: "standard deviations from what is expected",
        form: Form::Number(0.5, 100.0, &[]),
        default: "3.5",
    },
    Param {
        name: "k",
        help: "rows of the last n that must be beyond it, on the same side",
        form: Form::Whole(1, 32),
        default: "3",
    },
    Param { name: "n", help: "rows of which k must be beyond", form: Form::Whole(1, 32), default: "5" },
    Param {
        name: "direction",
        help: "which side is an anomaly",
        form: Form::Choice(&["both", "above", "below"]),
        default: "both",
    },
    Param {
        name: "min_abs",
        help: "smallest distance that can be an anomaly, in the unit of the series",
        form: Form::Number(0.0, f64::MAX, &[]),
        default: "0",
    },
    Param {
        name: "min_rel",
        help: "smallest distance that can be an anomaly, as a share of what is expected",
        form: Form::Number(0.0, 1e6, &[]),
        default: "0",
    },
    Param {
        name: "floor_abs",
        help: "the standard deviation never counts as less",
        form: Form::Number(0.0, f64::MAX, &[]),
        default: "1e-9",
    },
    Param {
        name: "floor_rel",
        help: "nor as less than this share of what is expected",
        form: Form::Number(0.0, 1e6, &[]),
        default: "0.01",
    },
    Param {
        name: "min_samples",
        help: "rows before which the score is 0",
        form: Form::Whole(10, 100_000),
        default: "60",
    },
    Param {
        name: "adapt_after",
        help: "an anomaly that lasts so long, and ten rows, becomes the new normal; 0s: never",
        form: Form::Duration(31_536_000),
        default: "10m",
    },
];

impl Param {
    /// The value that `text` stands for: a number as it is, a duration in seconds, a word by its place.
    fn read(&self, text: &str) -> Option<f64> {
        let within = |value: f64, min: f64, max: f64| (min..=max).contains(&value).then_some(value);
        match self.form {
            Form::Whole(min, max) => {
                text.parse::<u32>().ok().and_then(|value| within(value.into(), min.into(), max.into()))
            }
            Form::Number(min, max, words) => match words.iter().find(|(word, _)| *word == text) {
                Some((_, value)) => Some(*value),
                None => text.parse().ok().and_then(|value| within(value, min, max)),
            },
            Form::Duration(max) => {
                parse_duration(text).ok().and_then(|value| within(value.as_secs_f64(), 0.0, max.into()))
            }
            Form::Choice(words) => words.iter().position(|word| *word == text).map(|at| at as f64),
        }
    }

    /// What it takes, for help and errors.
    #[must_use]
    pub fn takes(&self) -> String {
        match self.form {
            Form::Whole(min, max) => format!("a whole number from {min} to {max}"),
            Form::Number(min, max, words) => {
                let range = match max {
                    f64::MAX => format!("a number of at least {min}"),
                    _ => format!("a number from {min} to {max}"),
                };
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                if words.is_empty() { range } else { format!("{range}, or {}", words.join(", ")) }
            }
            Form::Duration(max) => {
                let longest = format_duration(std::time::Duration::from_secs(max.into()));
                format!("a duration from 0s to {longest}")
            }
            Form::Choice(words) => words.join(", "),
        }
    }
}

/// A detector by name and parameters, checked; builds any number of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    kind: Kind,
    /// One for each of [`Kind::params`], in their order.
    values: Vec<f64>,
    /// What was given, in the order given.
    given: Vec<(&'static str, String)>,
}

impl Default for Spec {
    fn default() -> Self {
        Spec::of(Kind::default())
    }
}

impl Spec {
    /// This kind with its defaults.
    #[must_use]
    pub fn of(kind: Kind) -> Spec {
        let default = |param: &Param| param.read(param.default).expect("a test reads every default");
        Spec { kind, values: kind.params().iter().map(default).collect(), given: Vec::new() }
    }

    /// The detector called `name` with these parameters. Of a parameter given twice the last counts; a preset is applied before
    /// the others, wherever it stands.
    ///
    /// # Errors
    ///
    /// A name or value that does not exist; the text says what is valid and what was probably meant.
    pub fn parse<'a>(
        name: &str,
        params: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Spec, SpecError> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name);
            SpecError::Detector { name: name.into(), meant: meant(name, &names), valid: names.join(", ") }
        })?;
        let mut spec = Spec::of(kind);
        let table = kind.params();
        for (name, text) in params {
            let Some(at) = table.iter().position(|param| param.name == name) else {
                let names: Vec<&str> = table.iter().map(|param| param.name).collect();
                return Err(SpecError::Param {
                    detector: kind.name(),
                    name: name.into(),
                    meant: meant(name, &names),
                    valid: names.join(", "),
                });
            };
            let param = &table[at];
            spec.values[at] = param.read(text).ok_or_else(|| SpecError::Value {
                detector: kind.name(),
                name: param.name,
                text: text.into(),
                takes: param.takes(),
            })?;
            spec.given.push((param.name, text.into()));
        }
        if spec.has("preset") && spec.get("preset") == 1.0 {
            for (name, value) in [("threshold", 2.5), ("k", 1.0), ("n", 1.0)] {
                if !spec.given.iter().any(|(given, _)| *given == name) {
                    spec.set(name, value);
                }
            }
        }
        if spec.has("k") && spec.get("k") > spec.get("n") {
            let (k, n) = (spec.get("k"), spec.get("n"));
            return Err(SpecError::KofN { detector: kind.name(), k, n });
        }
        Ok(spec)
    }

    /// Which detector.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A new detector that has seen nothing.
    #[must_use]
    pub fn build(&self) -> Box<dyn Detector> {
        match self.kind {
            Kind::Novelty => self.novelty(),
            Kind::Zscore => Box::new(Banded::new(self.judge(), Zscore::new(self.whole("window")))),
            Kind::Mad => Box::new(Banded::new(self.judge(), Mad::new(self.whole("window")))),
            Kind::Ewma => Box::new(Banded::new(self.judge(), Ewma::new(self.get("half_life")))),
            Kind::Seasonal => {
                let offset_ms = (self.get("utc_offset") * 3_600_000.0) as i64;
                Box::new(Banded::new(self.judge(), Seasonal::new(self.get("days"), offset_ms)))
            }
            Kind::Rate => Box::new(Rate::new(Banded::new(self.judge(), Mad::new(self.whole("window"))))),
        }
    }

    fn novelty(&self) -> Box<dyn Detector> {
        let texture = self.get("texture") == 0.0;
        let novelty = Novelty::new(self.get("threshold"), self.whole("min_samples") as u64, texture);
        match self.millis("block") {
            0 => Box::new(novelty),
            period_ms => Box::new(Blocks::new(novelty, period_ms)),
        }
    }

    fn judge(&self) -> band::Settings {
        band::Settings {
            threshold: self.get("threshold"),
            k: self.whole("k"),
            n: self.whole("n"),
            direction: match self.get("direction") {
                1.0 => band::Direction::Above,
                2.0 => band::Direction::Below,
                _ => band::Direction::Both,
            },
            min_abs: self.get("min_abs"),
            min_rel: self.get("min_rel"),
            floor_abs: self.get("floor_abs"),
            floor_rel: self.get("floor_rel"),
            min_samples: self.whole("min_samples"),
            adapt_after_ms: self.millis("adapt_after"),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.kind.params().iter().position(|param| param.name == name)
    }

    fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// The value of a parameter that this kind has.
    fn get(&self, name: &str) -> f64 {
        self.values[self.place(name).expect("the kind has the parameters that its detector asks for")]
    }

    fn set(&mut self, name: &str, value: f64) {
        let at = self.place(name).expect("a preset sets what the kind has");
        self.values[at] = value;
    }

    fn whole(&self, name: &str) -> usize {
        self.get(name) as usize
    }

    fn millis(&self, name: &str) -> i64 {
        (self.get(name) * 1000.0) as i64
    }
}

/// The name, and what was given with it: `zscore(window=100)`.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.given.is_empty() {
            return Ok(());
        }
        let given: Vec<String> = self.given.iter().map(|(name, text)| format!("{name}={text}")).collect();
        write!(f, "({})", given.join(", "))
    }
}

/// Why there is no such detector.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// No detector of this name.
    #[error("there is no detector {name:?}{meant}; there are: {valid}")]
    Detector {
        /// As it was given.
        name: String,
        /// What was probably meant, in words.
        meant: String,
        /// All names.
        valid: String,
    },
    /// The detector has no such parameter.
    #[error("the detector {detector} has no parameter {name:?}{meant}; it has: {valid}")]
    Param {
        /// The detector.
        detector: &'static str,
        /// The parameter, as it was given.
        name: String,
        /// What was probably meant, in words.
        meant: String,
        /// All names.
        valid: String,
    },
    /// Not what the parameter takes.
    #[error("{detector}: {name} cannot be {text:?}; it takes {takes}")]
    Value {
        /// The detector.
        detector: &'static str,
        /// The parameter.
        name: &'static str,
        /// As it was given.
        text: String,
        /// What it takes.
        takes: String,
    },
    /// More rows than are looked at.
    #[error("{detector}: k cannot be more than n: {k} of {n} rows")]
    KofN {
        /// The detector.
        detector: &'static str,
        /// Rows wanted.
        k: f64,
        /// Rows looked at.
        n: f64,
    },
}

fn meant(name: &str, valid: &[&str]) -> String {
    nearest(name, valid.iter()).map_or_else(String::new, |near| format!(", did you mean {near:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_every_kind_builds() {
        for kind in Kind::ALL {
            let params = kind.params();
            for param in &params {
                assert!(param.read(param.default).is_some(), "{} {}", kind.name(), param.name);
                assert_eq!(params.iter().filter(|other| other.name == param.name).count(), 1);
            }
            let given = params.iter().map(|param| (param.name, param.default));
            let spec = Spec::parse(kind.name(), given).unwrap();
            assert_eq!(spec.values, Spec::of(kind).values);
            assert!(spec.build().memory() <= 64 << 10, "{spec}");
        }
    }

    #[test]
    fn what_does_not_exist_is_refused_with_what_does() {
        let refused = |name: &str, params: &[(&str, &str)]| {
            Spec::parse(name, params.iter().copied()).unwrap_err().to_string()
        };
        assert_eq!(
            refused("zscor", &[]),
            "there is no detector \"zscor\", did you mean \"zscore\"?; there are: novelty, zscore, mad, ewma, seasonal, rate"
        );
        assert!(refused("mad", &[("treshold", "3")]).contains("did you mean \"threshold\"?"));
        assert!(refused("mad", &[("preset", "classic")]).contains("it has: window, threshold"));
        assert_eq!(
            refused("mad", &[("window", "0")]),
            "mad: window cannot be \"0\"; it takes a whole number from 10 to 2000"
        );
        for bad in ["nan", "inf", "-1", ""] {
            refused("mad", &[("threshold", bad)]);
        }
        assert_eq!(refused("mad", &[("n", "2")]), "mad: k cannot be more than n: 3 of 2 rows");
    }

    #[test]
    fn a_preset_gives_way_to_what_is_given_beside_it() {
        let spec = Spec::parse("zscore", [("threshold", "2"), ("preset", "classic")]).unwrap();
        assert_eq!((spec.get("threshold"), spec.get("k"), spec.get("n")), (2.0, 1.0, 1.0));
        assert_eq!(spec.to_string(), "zscore(threshold=2, preset=classic)");
    }

    #[test]
    fn thresholds_in_words_are_bits() {
        let bits = |word| Spec::parse("novelty", [("threshold", word)]).unwrap().get("threshold");
        assert_eq!(["sensitive", "usual", "quiet", "8.5"].map(bits), [7.0, 9.0, 12.0, 8.5]);
    }
}

//! Types of settings: how a value is read, bounded, written, and where it lives.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::units::{format_duration, format_size, parse_duration, parse_size};
use crate::collect::catalog;
use crate::spelling;

/// Says what is wrong with a text, for people.
pub type Check = fn(&str) -> Result<(), String>;

/// Type, bounds and place of a setting. The function leads to its place in the tree.
#[derive(Clone, Debug)]
pub enum Field {
    /// `true` or `false`.
    Bool(fn(&mut Config) -> &mut bool),
    /// A whole number between two bounds, both included.
    Count(fn(&mut Config) -> Number<'_>, u64, u64),
    /// A size in bytes between two bounds, both included.
    Size(fn(&mut Config) -> &mut usize, usize, usize),
    /// A duration between two bounds, both included.
    Duration(fn(&mut Config) -> &mut Duration, Duration, Duration),
    /// A text that passes a check.
    Text(fn(&mut Config) -> &mut String, Check),
    /// A text that passes a check; empty is none.
    OptionalText(fn(&mut Config) -> &mut Option<String>, Check),
    /// Texts that pass a check.
    Texts(fn(&mut Config) -> &mut Vec<String>, Check),
    /// A path, not empty.
    Path(fn(&mut Config) -> &mut PathBuf),
    /// A path; empty is none.
    OptionalPath(fn(&mut Config) -> &mut Option<PathBuf>),
    /// Paths.
    Paths(fn(&mut Config) -> &mut Vec<PathBuf>),
    /// Addresses with port, at least one.
    Addresses(fn(&mut Config) -> &mut Vec<SocketAddr>),
    /// One of some words; `set` takes the place of the word in `words`.
    Choice {
        /// The words.
        words: &'static [&'static str],
        /// The word of a configuration.
        get: fn(&Config) -> &'static str,
        /// Sets it.
        set: fn(&mut Config, usize),
    },
    /// Collectors with an interval each, `NAME=DURATION`, between two bounds, both included.
    Intervals(fn(&mut Config) -> &mut BTreeMap<String, Duration>, Duration, Duration),
    /// A collector: its name, and whether it runs when nothing is said.
    Switch(&'static str, bool),
    /// A regular expression: the name under which the collector asks for it, and the default.
    Filter(&'static str, &'static str),
}

/// The place of a whole number.
#[derive(Debug)]
pub enum Number<'a> {
    /// As most are.
    Usize(&'a mut usize),
    /// A rate.
    U32(&'a mut u32),
}

impl<'a> From<&'a mut usize> for Number<'a> {
    fn from(place: &'a mut usize) -> Self {
        Number::Usize(place)
    }
}

impl<'a> From<&'a mut u32> for Number<'a> {
    fn from(place: &'a mut u32) -> Self {
        Number::U32(place)
    }
}

impl Number<'_> {
    fn get(&self) -> u64 {
        match self {
            Number::Usize(place) => **place as u64,
            Number::U32(place) => u64::from(**place),
        }
    }

    /// Sets it. The bounds of a setting lie within its type; where they do not, the type's own bound is taken.
    fn set(self, number: u64) {
        match self {
            Number::Usize(place) => *place = usize::try_from(number).unwrap_or(usize::MAX),
            Number::U32(place) => *place = u32::try_from(number).unwrap_or(u32::MAX),
        }
    }
}

/// A duration setting with bounds in milliseconds.
pub(crate) fn duration(place: fn(&mut Config) -> &mut Duration, min_ms: u64, max_ms: u64) -> Field {
    Field::Duration(place, Duration::from_millis(min_ms), Duration::from_millis(max_ms))
}

/// A size setting with bounds in bytes.
pub(crate) fn size(place: fn(&mut Config) -> &mut usize, min: usize, max: usize) -> Field {
    Field::Size(place, min, max)
}

/// A value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A boolean, number, duration, size or word: written bare in YAML.
    Bare(String),
    /// A text, written with quotes in YAML where it needs them.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Shown {
    /// The values as [`Field::set`] takes them.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        match self {
            Shown::Bare(text) | Shown::Text(text) => vec![text],
            Shown::List(texts) => texts.iter().map(String::as_str).collect(),
        }
    }

    /// The value in one line, as a flag or a variable has it.
    #[must_use]
    pub fn line(&self) -> String {
        self.words().join(",")
    }
}

/// A value that cannot be taken: which of the values given, and why.
pub type Refused = (usize, String);

impl Field {
    /// Whether it takes several values.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self, Field::Texts(..) | Field::Paths(_) | Field::Addresses(_) | Field::Intervals(..))
    }

    /// Whether its flag may stand without a value, and has a `--no-` form.
    #[must_use]
    pub fn is_bool(&self) -> bool {
        matches!(self, Field::Bool(_) | Field::Switch(..))
    }

    /// Whether YAML must write it without quotes.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.is_bool() || matches!(self, Field::Count(..))
    }

    /// The type in words, with its bounds.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Field::Bool(_) | Field::Switch(..) => "true or false".into(),
            Field::Count(_, min, max) => format!("whole number, {min} to {max}"),
            Field::Size(_, min, max) => format!("size, {} to {}", format_size(*min), format_size(*max)),
            Field::Duration(_, min, max) => {
                format!("duration, {} to {}", format_duration(*min), format_duration(*max))
            }
            Field::Text(..) | Field::OptionalText(..) => "text".into(),
            Field::Texts(..) => "list of texts".into(),
            Field::Path(_) | Field::OptionalPath(_) => "path".into(),
            Field::Paths(_) => "list of paths".into(),
            Field::Addresses(_) => "list of addresses".into(),
            Field::Choice { words, .. } => words.join(", "),
            Field::Intervals(_, min, max) => {
                format!("list of NAME=DURATION, {} to {}", format_duration(*min), format_duration(*max))
            }
            Field::Filter(..) => "regular expression".into(),
        }
    }

    /// Reads the values and puts them in place. Only a list may be given other than one value.
    ///
    /// # Errors
    /// [`Refused`]; the configuration is unchanged.
    pub fn set(&self, config: &mut Config, values: &[&str]) -> Result<(), Refused> {
        let first = values.first().copied().unwrap_or_default();
        let one = |reason: String| (0, reason);
        match self {
            Field::Bool(place) => *place(config) = boolean(first).map_err(one)?,
            Field::Switch(name, _) => {
                let on = boolean(first).map_err(one)?;
                config.collect.switches.insert((*name).to_owned(), on);
            }
            Field::Count(place, min, max) => {
                let count = first
                    .parse::<u64>()
                    .map_err(|_| one(format!("{first:?} is not a whole number from {min} to {max}")))?;
                place(config).set(within(count, *min, *max, |n| n.to_string()).map_err(one)?);
            }
            Field::Size(place, min, max) => {
                let size = parse_size(first).map_err(one)?;
                *place(config) = within(size, *min, *max, format_size).map_err(one)?;
            }
            Field::Duration(place, min, max) => {
                let duration = parse_duration(first).map_err(one)?;
                *place(config) = within(duration, *min, *max, format_duration).map_err(one)?;
            }
            Field::Text(place, check) => {
                check(first).map_err(one)?;
                *place(config) = first.to_owned();
            }
            Field::OptionalText(place, check) => {
                if !first.is_empty() {
                    check(first).map_err(one)?;
                }
                *place(config) = (!first.is_empty()).then(|| first.to_owned());
            }
            Field::Texts(place, check) => {
                *place(config) = each(values, |text| check(text).map(|()| text.to_owned()))?;
            }
            Field::Path(place) => *place(config) = path(first).map_err(one)?,
            Field::OptionalPath(place) => *place(config) = (!first.is_empty()).then(|| first.into()),
            Field::Paths(place) => *place(config) = each(values, path)?,
            Field::Addresses(place) => {
                let addresses = each(values, address)?;
                if addresses.is_empty() {
                    return Err(one("at least one address is needed".into()));
                }
                if let Some(i) = (1..addresses.len()).find(|&i| addresses[..i].contains(&addresses[i])) {
                    return Err((i, format!("{} is given twice", addresses[i])));
                }
                *place(config) = addresses;
            }
            Field::Choice { words, set, .. } => match words.iter().position(|word| *word == first) {
                Some(i) => set(config, i),
                None => return Err(one(format!("{first:?} is none of {}", words.join(", ")))),
            },
            Field::Intervals(place, min, max) => {
                *place(config) = each(values, |text| interval(text, *min, *max))?.into_iter().collect();
            }
            Field::Filter(name, _) => {
                regex::Regex::new(first).map_err(|e| one(regex_reason(first, &e)))?;
                config.collect.filters.insert((*name).to_owned(), first.to_owned());
            }
        }
        Ok(())
    }

    /// The value in a configuration. Takes it mutably only because the place is one for both.
    #[must_use]
    pub fn get(&self, config: &mut Config) -> Shown {
        match self {
            Field::Bool(place) => Shown::Bare(place(config).to_string()),
            Field::Switch(name, default) => {
                let collect = &config.collect;
                let on = collect.switches.get(*name).copied();
                Shown::Bare(on.unwrap_or(*default && !collect.disable_defaults).to_string())
            }
            Field::Count(place, ..) => Shown::Bare(place(config).get().to_string()),
            Field::Size(place, ..) => Shown::Bare(format_size(*place(config))),
            Field::Duration(place, ..) => Shown::Bare(format_duration(*place(config))),
            Field::Text(place, _) => Shown::Text(place(config).clone()),
            Field::OptionalText(place, _) => Shown::Text(place(config).clone().unwrap_or_default()),
            Field::Texts(place, _) => Shown::List(place(config).clone()),
            Field::Path(place) => Shown::Text(place(config).display().to_string()),
            Field::OptionalPath(place) => {
                Shown::Text(place(config).as_ref().map(|path| path.display().to_string()).unwrap_or_default())
            }
            Field::Paths(place) => {
                Shown::List(place(config).iter().map(|path| path.display().to_string()).collect())
            }
            Field::Addresses(place) => Shown::List(place(config).iter().map(ToString::to_string).collect()),
            Field::Choice { get, .. } => Shown::Bare(get(config).into()),
            Field::Intervals(place, ..) => {
                let text =
                    |(name, interval): (&String, &Duration)| format!("{name}={}", format_duration(*interval));
                Shown::List(place(config).iter().map(text).collect())
            }
            Field::Filter(name, default) => {
                let given = config.collect.filters.get(*name);
                Shown::Text(given.map_or_else(|| (*default).to_owned(), Clone::clone))
            }
        }
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn within<T: PartialOrd + Copy>(value: T, min: T, max: T, show: impl Fn(T) -> String) -> Result<T, String> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{} is not between {} and {}", show(value), show(min), show(max)))
    }
}

fn each<T>(values: &[&str], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Refused> {
    values.iter().enumerate().map(|(i, text)| read(text).map_err(|reason| (i, reason))).collect()
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".into()) } else { Ok(text.into()) }
}

/// `NAME=DURATION` with the name of a collector.
fn interval(text: &str, min: Duration, max: Duration) -> Result<(String, Duration), String> {
    let Some((name, interval)) = text.split_once('=') else {
        return Err(format!("{text:?} is not NAME=DURATION, such as filesystem=10s"));
    };
    let names = || catalog::all().iter().map(|known| known.name);
    if !names().any(|known| known == name) {
        let near = spelling::nearest(name, names()).map(|near| format!("; did you mean {near}?"));
        return Err(format!("there is no collector {name:?}{}", near.unwrap_or_default()));
    }
    let interval = within(parse_duration(interval)?, min, max, format_duration)?;
    Ok((name.to_owned(), interval))
}

/// An address to listen on: `IP:PORT`, `localhost:PORT`, or `:PORT` for all addresses of both families.
fn address(text: &str) -> Result<SocketAddr, String> {
    let host_and_port = text.rsplit_once(':');
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    match host_and_port {
        Some(("", given)) if port(given).is_some() => {
            Ok((Ipv6Addr::UNSPECIFIED, port(given).unwrap_or_default()).into())
        }
        Some(("localhost", given)) if port(given).is_some() => {
            Ok((Ipv4Addr::LOCALHOST, port(given).unwrap_or_default()).into())
        }
        Some((_, given))
            if !given.is_empty() && given.bytes().all(|b| b.is_ascii_digit()) && port(given).is_none() =>
        {
            Err(format!("{text:?}: {given} is not a port; the highest is 65535"))
        }
        None if port(text).is_some() => {
            Err(format!("{text:?} is not an address; write 127.0.0.1:{text}, or :{text} for all addresses"))
        }
        _ if text.parse::<std::net::IpAddr>().is_ok() => Err(format!(
            "{text:?} has no port, write for example {}",
            SocketAddr::new(text.parse().unwrap_or(Ipv4Addr::LOCALHOST.into()), 7171)
        )),
        _ => Err(format!(
            "{text:?} is not an address; write IP:PORT, such as 127.0.0.1:7171 or [::1]:7171, or :PORT"
        )),
    }
}

/// The last line of what the regex crate says; the lines before draw the expression once more.
fn regex_reason(text: &str, error: &regex::Error) -> String {
    let told = error.to_string();
    let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("{text:?} is not a regular expression: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_prometheus_programs_take_them() {
        for (text, address) in [
            ("127.0.0.1:7171", "127.0.0.1:7171"),
            ("[::1]:0", "[::1]:0"),
            (":7171", "[::]:7171"),
            ("localhost:80", "127.0.0.1:80"),
        ] {
            assert_eq!(super::address(text).unwrap().to_string(), address);
        }
    }

    #[test]
    fn a_bad_address_says_what_would_be_right() {
        for (text, told) in [
            ("7171", "write 127.0.0.1:7171"),
            ("127.0.0.1", "write for example 127.0.0.1:7171"),
            ("::1", "write for example [::1]:7171"),
            ("127.0.0.1:99999", "the highest is 65535"),
            ("host.example:80", "write IP:PORT"),
            (":", "write IP:PORT"),
            (":+80", "write IP:PORT"),
            ("", "write IP:PORT"),
        ] {
            let error = super::address(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_bad_regular_expression_is_told_in_one_line() {
        let error = Field::Filter("x", "").set(&mut Config::default(), &["(a"]).unwrap_err();
        assert_eq!(error, (0, "\"(a\" is not a regular expression: unclosed group".into()));
    }
}

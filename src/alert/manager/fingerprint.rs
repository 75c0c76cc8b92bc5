//! The name of an alert for all time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::alert::{Origin, Severity};

/// Hash of an alert's origin and its labels but for the level: the same after a restart and on another machine. Shown as 16
/// hexadecimal digits.
///
/// FNV-1a over names and values that are told apart by bytes which UTF-8 does not have, as Prometheus does it. Two of 10,000
/// alerts meet by chance once in 400 billion tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of labels that are sorted by name.
    pub(super) fn of<'a>(origin: Origin, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        add(match origin {
            Origin::Rule => "rule",
            Origin::Anomaly => "anomaly",
            Origin::Meta => "meta",
            Origin::External => "external",
        });
        for (name, value) in labels.filter(|(name, _)| *name != Severity::LABEL) {
            add(name);
            add(value);
        }
        Fingerprint(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| u64::from_str_radix(text, 16).ok().map(Fingerprint)).flatten().ok_or(())
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|()| de::Error::custom("a fingerprint has 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_no_part_of_it_and_it_never_changes() {
        let of = |origin, labels: &[(&'static str, &'static str)]| {
            Fingerprint::of(origin, labels.iter().copied()).to_string()
        };
        let plain = of(Origin::Rule, &[("alertname", "A"), ("job", "x")]);
        assert_eq!(plain, of(Origin::Rule, &[("alertname", "A"), ("job", "x"), ("severity", "critical")]));
        assert_ne!(plain, of(Origin::Anomaly, &[("alertname", "A"), ("job", "x")]));
        assert_ne!(plain, of(Origin::Rule, &[("alertname", "Aj"), ("ob", "x")]));
        // State files of earlier versions hold it.
        assert_eq!(plain, "39a4721316f1ae87");
        assert_eq!(plain.parse::<Fingerprint>().map(|read| read.to_string()), Ok(plain));
        assert!("+123456789abcdef".parse::<Fingerprint>().is_err());
    }
}

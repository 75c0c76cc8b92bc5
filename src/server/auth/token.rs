//! Tokens: 256 random bits, of which only the SHA-256 is kept.
//!
//! A token is not a password: nobody chooses it, so that a fast hash is as good as a slow one. Its text is `gct_` and 64
//! hexadecimal digits, which can stand in a header and in a WebSocket's subprotocol (`bearer.gct_…`) as it is.

use std::fmt;
use std::hint::black_box;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a token begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "gct_";

/// Longer ones are none of ours, and are not hashed.
const MOST_BYTES: usize = 256;

/// Makes a token.
///
/// # Errors
/// When the system has no randomness.
pub fn make() -> Result<String, RandomError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

/// The system has no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct RandomError;

/// What is kept of a token: its SHA-256.
#[derive(Clone, Copy)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of the text of a token; nothing for one that is too long.
    #[must_use]
    pub fn of(token: &str) -> Option<Hash> {
        let bytes = (token.len() <= MOST_BYTES).then(|| digest(&SHA256, token.as_bytes()))?;
        <[u8; 32]>::try_from(bytes.as_ref()).ok().map(Hash)
    }

    /// Are they the same? Takes the same time whether and wherever they differ.
    #[must_use]
    pub fn is(&self, other: &Hash) -> bool {
        let differs = self.0.iter().zip(&other.0).fold(0, |differs, (a, b)| differs | black_box(a ^ b));
        black_box(differs) == 0
    }
}

/// The first digits tell hashes apart and no token.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({}…)", &hex(&self.0)[..8])
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text).map(Hash).ok_or_else(|| serde::de::Error::custom("a SHA-256 is 64 hexadecimal digits"))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let bytes: Vec<u8> =
        digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_all_different_and_fit_into_a_subprotocol() {
        let (a, b) = (make().unwrap(), make().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 68 && a.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{a}");
    }

    #[test]
    fn the_hash_is_sha_256_and_reads_back() {
        // FIPS 180-2, B.1.
        let abc = Hash::of("abc").unwrap();
        let text = serde_json::to_string(&abc).unwrap();
        assert_eq!(text, "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
        let back: Hash = serde_json::from_str(&text).unwrap();
        assert!(back.is(&abc) && !back.is(&Hash::of("abd").unwrap()));
        for bad in
            ["\"\"", "\"ba78\"", "\"zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""]
        {
            assert!(serde_json::from_str::<Hash>(bad).is_err(), "{bad}");
        }
        assert!(Hash::of(&"x".repeat(1000)).is_none());
        assert!(!format!("{abc:?}").contains("414140"));
    }
}

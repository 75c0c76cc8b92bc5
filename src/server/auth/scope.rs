//! What a request needs, and what a token may have.

use std::fmt;
use std::str::FromStr;

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing: the page's own files, health, this API's description.
    Nothing,
    /// A token of this scope.
    Scope(Scope),
}

/// A right that a token may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Look at everything but the administration: metrics, queries, history, rules, alerts.
    Read,
    /// Open a stream.
    Stream,
    /// Write samples.
    Push,
    /// Acknowledge, silence and clear alerts.
    AlertsWrite,
    /// Everything, the other scopes included.
    Admin,
}

impl Scope {
    /// All.
    pub const ALL: [Scope; 5] = [Scope::Read, Scope::Stream, Scope::Push, Scope::AlertsWrite, Scope::Admin];

    /// Its word, in files, on the command line and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Stream => "stream",
            Scope::Push => "push",
            Scope::AlertsWrite => "alerts:write",
            Scope::Admin => "admin",
        }
    }

    /// Does it change something? Without tokens such operations are for this machine only, as is all of `admin`.
    pub(in super::super) const fn is_guarded(self) -> bool {
        matches!(self, Scope::Push | Scope::AlertsWrite | Scope::Admin)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| {
            let all = Scope::ALL.map(Scope::as_str).join(", ");
            format!("{word:?} is no scope; there are {all}")
        })
    }
}

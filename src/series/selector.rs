//! Picking series by PromQL label matchers.

/// Placeholder of the interface; see the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    text: String,
}

/// Why a selector was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct SelectorError {
    /// Position in characters, from 1.
    pub column: usize,
    /// What is wrong, in words.
    pub reason: String,
}

impl Selector {
    /// Parses `name`, `name{a="x"}`, `{__name__=~"node_.*"}`.
    ///
    /// # Errors
    /// Syntax, an unknown operator, a bad or too large regular expression, or a selector that would match all.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Ok(Selector { text: text.to_owned() })
    }

    /// Does it pick the series of this key (see [`super::key`])?
    #[must_use]
    pub fn matches(&self, _key: &str) -> bool {
        !self.text.is_empty()
    }
}

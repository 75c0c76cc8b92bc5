//! The grammar of text 0.0.4 and OpenMetrics 1.0.

/// Which grammar a page follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0 text, ends with `# EOF`.
    OpenMetrics,
}

/// Why a page was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}: {excerpt:?}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// What is wrong, in words.
    pub reason: String,
    /// The line, cut to 80 characters.
    pub excerpt: String,
}

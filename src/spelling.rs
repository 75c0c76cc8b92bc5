//! "Did you mean …?"

/// The candidate that a mistyped word is nearest to, if one is near enough to be meant. Case and the difference
/// between `-` and `_` count for nothing.
pub(crate) fn nearest<T: AsRef<str>>(word: &str, candidates: impl Iterator<Item = T>) -> Option<T> {
    let plain = |text: &str| text.replace('-', "_").to_lowercase();
    let word = plain(word);
    candidates
        .map(|candidate| (strsim::jaro_winkler(&word, &plain(candidate.as_ref())), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

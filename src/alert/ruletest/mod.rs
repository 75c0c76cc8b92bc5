//! Judges rule files without a server: `rules check` and `rules test`, with the verdicts of promtool.

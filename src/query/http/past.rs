//! What is asked of the past: series and a range of times that ends, unless it says so, now.

use std::sync::Arc;

use super::{Fault, Params, Request, named_time, params};
use crate::query::eval::Error;
use crate::query::promql;
use crate::query::source::Series;
use crate::series::selector::Matcher;

/// How long a range is that does not say it: an hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Series and a range: `match[]`, and `start`, `end`, `last`.
#[derive(Clone, Debug)]
pub struct Past {
    /// One a `match[]`; none of them is satisfied by everything.
    pub selectors: Vec<Arc<[Matcher]>>,
    /// Begin in milliseconds, included.
    pub start: i64,
    /// End in milliseconds, included; not before the begin.
    pub end: i64,
    /// Did the request say how far back the range reaches?
    said: bool,
}

impl Past {
    /// Reads `match[]` (at least one), `start` and `end` (seconds or RFC 3339), or instead of `start` the length of the range
    /// as `last`. It ends at `now` (milliseconds) and lasts an hour where nothing is said.
    ///
    /// # Errors
    /// A selector or a time is wrong, missing, or too much.
    pub fn read(params: &Params, now: i64) -> Result<Self, Fault> {
        let selectors = selectors(params)?;
        if selectors.is_empty() {
            return Err(Fault::BadData("no match[] parameter provided".into()));
        }
        Self::read_range(params, selectors, now, HOUR)
    }

    /// The same with selectors that are known, and a range that lasts `length` milliseconds where it does not say so; with
    /// a `start` and without an `end` it ends as long after it.
    ///
    /// # Errors
    /// A time is wrong, or too much.
    pub fn read_long(
        params: &Params,
        selectors: Vec<Arc<[Matcher]>>,
        now: i64,
        length: i64,
    ) -> Result<Self, Fault> {
        let end = match (params.get("start"), params.get("end")) {
            (Some(start), None) => named_time("start", start)?.saturating_add(length),
            _ => now,
        };
        Self::read_range(params, selectors, end, length)
    }

    fn read_range(
        params: &Params,
        selectors: Vec<Arc<[Matcher]>>,
        now: i64,
        length: i64,
    ) -> Result<Self, Fault> {
        let end = params.get("end").map_or(Ok(now), |text| named_time("end", text))?;
        let start = match (params.get("start"), params.get("last")) {
            (Some(_), Some(_)) => return Err(Fault::parameter("last", "there is a start already")),
            (Some(text), None) => named_time("start", text)?,
            (None, Some(text)) => {
                let last = params::duration(text).map_err(|reason| Fault::parameter("last", reason))?;
                if last <= 0 {
                    return Err(Fault::parameter("last", "it must be longer than zero"));
                }
                end.saturating_sub(last)
            }
            (None, None) => end.saturating_sub(length),
        };
        if end < start {
            return Err(Fault::parameter("end", "end timestamp must not be before start time"));
        }
        let said = params.get("start").or(params.get("last")).is_some();
        Ok(Past { selectors, start, end, said })
    }

    /// The series with a sample between `from` and the end, each once, sorted by labels.
    ///
    /// # Errors
    /// There are more than `most`, or they cannot be read.
    pub fn select(&self, request: &Request<'_>, from: i64, most: usize) -> Result<Vec<Series>, Fault> {
        let mut found: Vec<Series> = Vec::new();
        for matchers in &self.selectors {
            request.interrupt.check()?;
            found.extend(request.source.select(matchers, from, self.end, most).map_err(Error::from)?);
            found.sort_by(|a, b| a.labels.cmp(&b.labels));
            found.dedup_by(|a, b| a.labels == b.labels);
            if found.len() > most {
                return Err(Fault::execution(format!(
                    "there are more than {most} series: pick fewer by match[]"
                )));
            }
        }
        Ok(found)
    }

    /// What there is to say of a range that begins before the oldest sample, though it was asked for so. A range that only
    /// lasts an hour because nobody said otherwise is no promise.
    #[must_use]
    pub fn warnings(&self, oldest: Option<i64>) -> Vec<String> {
        let begins_before = oldest.is_some_and(|oldest| self.said && self.start < oldest);
        begins_before
            .then(|| "the range begins before the oldest sample that is kept".to_owned())
            .into_iter()
            .collect()
    }
}

/// The selectors of `match[]`.
///
/// # Errors
/// One of them is wrong, or is satisfied by everything.
pub(super) fn selectors(params: &Params) -> Result<Vec<Arc<[Matcher]>>, Fault> {
    let read = |text| {
        let matchers = promql::parse_selector(text).map_err(|error| Fault::parameter("match[]", error))?;
        if matchers.iter().all(|matcher| matcher.accepts("")) {
            return Err(Fault::parameter("match[]", "match[] must contain at least one non-empty matcher"));
        }
        Ok(matchers)
    };
    params.all("match[]").map(read).collect()
}

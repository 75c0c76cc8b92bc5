//! The rules of OpenMetrics 1.0 that hold between lines.
//!
//! [`check`] holds a page to all of them: metadata before samples and once, families and metrics in one piece,
//! names that do not clash, what values each type may have, buckets in order and complete, exemplars where they
//! may be, `# EOF` at the end. Its verdicts agree with OpenMetrics' own test data, all of it
//! (`tests/openmetrics_verdicts.rs`).

use hashbrown::HashSet;

use super::number;
use super::parse::{self, Format, Key, LINE_LIMIT, Meta, ParseError, Reason, Rest};
use crate::series::{Kind, NO_TIME, key as series_key};

/// Checks a page.
///
/// # Errors
/// The first line that breaks a rule. A rule on a whole family (a missing bucket, a name that clashes) is broken
/// at the first line of the family.
pub(super) fn check(page: &[u8]) -> Result<(), ParseError> {
    let mut names = HashSet::new();
    let mut family: Option<Family> = None;
    let (mut at, mut ended) = (0, false);
    while at < page.len() {
        let end = memchr::memchr(b'\n', &page[at..]).map_or(page.len(), |skip| at + skip);
        let line = &page[at..end];
        let fail = |reason: Reason| ParseError::at(page, at, reason);
        if ended {
            return Err(fail("text after # EOF".into()));
        }
        if line.is_empty() || line.len() > LINE_LIMIT {
            return Err(fail(if line.is_empty() { "a blank line" } else { "the line is too long" }.into()));
        }
        if line[0] == b'#' {
            let meta = parse::meta(line, Format::OpenMetrics).map_err(fail)?;
            let name = match &meta {
                Meta::Help(name, _) | Meta::Type(name, _) | Meta::Unit(name, _) => &**name,
                Meta::Eof | Meta::Comment => {
                    ended = true;
                    at = end + 1;
                    continue;
                }
            };
            if family.as_ref().is_none_or(|family| family.name != name) {
                close(family.replace(Family::new(name, at)), page, &mut names)?;
            }
            family.as_mut().expect("set above").declare(&meta).map_err(fail)?;
        } else {
            let key = parse::key(line, Format::OpenMetrics).map_err(fail)?;
            let rest = parse::rest(&line[key.len..], Format::OpenMetrics).map_err(fail)?;
            if !family.as_ref().is_some_and(|family| family.takes(&key.name)) {
                close(family.replace(Family::new(&key.name, at)), page, &mut names)?;
            }
            family.as_mut().expect("set above").sample(&key, &rest).map_err(fail)?;
        }
        at = end + 1;
    }
    close(family, page, &mut names)?;
    if ended {
        Ok(())
    } else {
        Err(ParseError::at(page, page.len(), "the page does not end with # EOF".into()))
    }
}

fn close(family: Option<Family>, page: &[u8], names: &mut HashSet<String>) -> Result<(), ParseError> {
    let Some(mut family) = family else { return Ok(()) };
    family.close(names).map_err(|reason| ParseError::at(page, family.at, reason))
}

/// The family being read.
struct Family {
    name: String,
    at: usize,
    kind: Option<Kind>,
    help: bool,
    unit: Option<bool>,
    /// Metrics seen, by their labels without `le`, `quantile` and the state; the last of them and its timestamp.
    metrics: HashSet<String>,
    metric: Option<(String, i64)>,
    histogram: Option<Histogram>,
}

/// What has been seen of one histogram.
#[derive(Default)]
struct Histogram {
    bucket: Option<(f64, f64)>,
    negative_bound: bool,
    sum: Option<f64>,
    gsum: Option<f64>,
    count: Option<f64>,
}

impl Family {
    fn new(name: &str, at: usize) -> Self {
        Family {
            name: name.to_owned(),
            at,
            kind: None,
            help: false,
            unit: None,
            metrics: HashSet::new(),
            metric: None,
            histogram: None,
        }
    }

    fn suffixes(&self) -> &'static [&'static str] {
        match self.kind {
            Some(Kind::Counter) => &["_total", "_created"],
            Some(Kind::Summary) => &["", "_count", "_sum", "_created"],
            Some(Kind::Histogram) => &["_count", "_sum", "_bucket", "_created"],
            Some(Kind::GaugeHistogram) => &["_gcount", "_gsum", "_bucket"],
            Some(Kind::Info) => &["_info"],
            Some(Kind::Gauge | Kind::StateSet | Kind::Unknown) | None => &[""],
        }
    }

    fn takes(&self, name: &str) -> bool {
        name.strip_prefix(&*self.name).is_some_and(|suffix| self.suffixes().contains(&suffix))
    }

    fn declare(&mut self, meta: &Meta<'_>) -> Result<(), Reason> {
        if self.metric.is_some() {
            return Err("metadata after samples".into());
        }
        let repeated = match meta {
            Meta::Help(..) => std::mem::replace(&mut self.help, true),
            Meta::Type(_, kind) => self.kind.replace(*kind).is_some(),
            Meta::Unit(_, unit) => self.unit.replace(!unit.is_empty()).is_some(),
            Meta::Eof | Meta::Comment => false,
        };
        if repeated { Err("metadata stands twice".into()) } else { Ok(()) }
    }

    fn sample(&mut self, key: &Key<'_>, rest: &Rest) -> Result<(), Reason> {
        let kind = *self.kind.get_or_insert(Kind::Unknown);
        let suffix = &key.name[self.name.len()..];
        if key.trailing_comma {
            return Err("a comma after the last label".into());
        }
        check_value(kind, suffix, rest.value)?;
        let with_exemplars = match kind {
            Kind::Counter => suffix == "_total",
            Kind::Histogram | Kind::GaugeHistogram => suffix == "_bucket",
            _ => false,
        };
        if rest.exemplar_too_long {
            return Err(format!("the exemplar has more than {} characters", parse::EXEMPLAR_LIMIT).into());
        }
        if rest.exemplar.is_some() && !with_exemplars {
            return Err("only buckets and totals of counters may have exemplars".into());
        }
        let label = |name: &str| key.labels.iter().find(|(n, _)| n == name).map(|(_, value)| &**value);
        let (reserved, bound) = match (kind, suffix) {
            (_, "_bucket") => ("le", Some(bound(label("le"))?)),
            (Kind::Summary, "") => {
                let quantile = bound(label("quantile"))?;
                if !(0.0..=1.0).contains(&quantile) {
                    return Err("the quantile is not from 0 to 1".into());
                }
                ("quantile", None)
            }
            (Kind::StateSet, _) if label(&self.name).is_none() => {
                return Err("a state needs the label of the family's name".into());
            }
            (Kind::StateSet, _) => (&*self.name, None),
            _ => ("", None),
        };
        let labels: Vec<_> = key.labels.iter().filter(|(n, _)| kind != Kind::Info && n != reserved).collect();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        let metric = series_key::render("_", &labels);
        let same = self.follow(metric, rest.time_ms, kind)?;
        if matches!(kind, Kind::Histogram | Kind::GaugeHistogram) {
            if !same {
                self.close_histogram()?;
            }
            self.histogram.get_or_insert_default().sample(suffix, bound, rest.value)?;
        }
        Ok(())
    }

    /// Goes on to the metric of a sample; is it the one before, at the same time?
    fn follow(&mut self, metric: String, time_ms: i64, kind: Kind) -> Result<bool, Reason> {
        let last = self.metric.take();
        let mut same = false;
        if let Some((last, last_ms)) = &last {
            if *last != metric && self.metrics.contains(&metric) {
                return Err("the metric's samples are not in one piece".into());
            }
            if *last == metric {
                same = *last_ms == time_ms;
                if (*last_ms == NO_TIME) != (time_ms == NO_TIME) {
                    return Err("the metric has samples with and without timestamp".into());
                }
                if *last_ms > time_ms && kind != Kind::Info {
                    return Err("the timestamps go backwards".into());
                }
            }
        }
        self.metrics.insert(metric.clone());
        self.metric = Some((metric, time_ms));
        Ok(same)
    }

    fn close_histogram(&mut self) -> Result<(), Reason> {
        self.histogram.take().map_or(Ok(()), |histogram| histogram.close())
    }

    fn close(&mut self, names: &mut HashSet<String>) -> Result<(), Reason> {
        let own = if self.suffixes().contains(&"") { &[][..] } else { &[""][..] };
        for suffix in self.suffixes().iter().chain(own) {
            let name = format!("{}{suffix}", self.name);
            if names.contains(&name) {
                return Err(format!("the name {name} clashes with another family's").into());
            }
            names.insert(name);
        }
        if self.unit == Some(true) && matches!(self.kind, Some(Kind::Info | Kind::StateSet)) {
            return Err("this type has no unit".into());
        }
        self.close_histogram()
    }
}

impl Histogram {
    fn sample(&mut self, suffix: &str, bound: Option<f64>, value: f64) -> Result<(), Reason> {
        match (suffix, bound) {
            ("_bucket", Some(bound)) => {
                if let Some((last_bound, last)) = self.bucket {
                    if bound <= last_bound {
                        return Err("the buckets are not in order".into());
                    }
                    if value < last {
                        return Err("the bucket is smaller than the one before".into());
                    }
                }
                self.negative_bound |= bound < 0.0;
                self.bucket = Some((bound, value));
            }
            ("_count" | "_gcount", _) => self.count = Some(value),
            ("_sum", _) => self.sum = Some(value),
            ("_gsum", _) => self.gsum = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn close(&self) -> Result<(), Reason> {
        let all =
            self.bucket.filter(|(bound, _)| *bound == f64::INFINITY).ok_or("the bucket +Inf is missing")?.1;
        let summed = self.sum.is_some() || self.gsum.is_some();
        #[allow(clippy::float_cmp)] // both are counts
        let mistake = if self.count.is_some_and(|count| count != all) {
            "the count is not that of the bucket +Inf"
        } else if summed != self.count.is_some() {
            "sum and count go together"
        } else if self.negative_bound && self.sum.is_some() {
            "a histogram with negative bounds has no sum"
        } else if !self.negative_bound && self.gsum.is_some_and(|sum| sum < 0.0) {
            "the sum is negative without a negative bound"
        } else {
            return Ok(());
        };
        Err(mistake.into())
    }
}

fn check_value(kind: Kind, suffix: &str, value: f64) -> Result<(), Reason> {
    let counts = matches!(suffix, "_total" | "_sum" | "_count" | "_bucket" | "_gcount");
    let mistake = if (counts || suffix == "_gsum") && value.is_nan() {
        "the value is NaN"
    } else if counts && value < 0.0 {
        "the value is negative"
    } else if matches!(suffix, "_bucket" | "_count" | "_gcount") && value.fract() != 0.0 {
        "the value is no whole number"
    } else if kind == Kind::StateSet && value != 0.0 && value != 1.0 {
        "a state is 0 or 1"
    } else if kind == Kind::Info && value != 1.0 {
        "the value of an info is 1"
    } else if kind == Kind::Summary && suffix.is_empty() && value < 0.0 {
        "a quantile's value is negative"
    } else {
        return Ok(());
    };
    Err(mistake.into())
}

/// The number in `le` or `quantile`. Infinity must be written `+Inf`, so that the label is the same everywhere.
fn bound(label: Option<&str>) -> Result<f64, Reason> {
    let text = label.ok_or("the label le or quantile is missing")?;
    match number::take(text.as_bytes()) {
        Some((value, len)) if len == text.len() && !value.is_nan() => {
            if value == f64::INFINITY && text != "+Inf" {
                Err("infinity is written +Inf".into())
            } else {
                Ok(value)
            }
        }
        _ => Err("the label le or quantile is no number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_rule_is_told_with_its_line() {
        for (page, line, reason) in [
            ("a 1\n\n# EOF\n", 2, "a blank line"),
            ("# TYPE a counter\na_total -1\n# EOF\n", 2, "the value is negative"),
            ("# TYPE a histogram\na_bucket{le=\"1\"} 1\n# EOF\n", 1, "the bucket +Inf is missing"),
            ("a 1\n", 2, "the page does not end with # EOF"),
            (
                "# TYPE a counter\n# TYPE a_total gauge\n# EOF\n",
                2,
                "the name a_total clashes with another family's",
            ),
        ] {
            let error = check(page.as_bytes()).expect_err(page);
            assert_eq!((error.line, &*error.reason), (line, reason), "{page}");
        }
    }

    #[test]
    fn a_page_in_order_passes() {
        let page = "# TYPE a counter\n# UNIT a \na_total 1 # {x=\"y\"} 0.5\na_created 5\n\
                    # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\n# EOF";
        assert_eq!(check(page.as_bytes()), Ok(()));
    }
}

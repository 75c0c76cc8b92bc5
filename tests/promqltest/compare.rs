//! Comparing what came back with what a script expects.

use gaugecast::query::Sample;

use super::script::{Case, Expect, Text};
use super::{Answer, Metric, Output};

/// Does the answer meet the case?
pub fn check(case: &Case, answer: &Result<Answer, String>) -> Result<(), String> {
    let answer = match (case.fails(), answer) {
        (Some(want), Err(error)) => return says(want, std::slice::from_ref(error), "failure"),
        (Some(_), Ok(answer)) => return Err(format!("should fail, gave {:?}", answer.output)),
        (None, Err(error)) => return Err(format!("failed: {error}")),
        (None, Ok(answer)) => answer,
    };
    for expect in &case.expects {
        match expect {
            Expect::Warn(want) => says(want, &answer.warnings, "warning")?,
            Expect::Info(want) => says(want, &answer.infos, "info")?,
            Expect::NoWarn if !answer.warnings.is_empty() => {
                return Err(format!("warns: {:?}", answer.warnings));
            }
            Expect::NoInfo if !answer.infos.is_empty() => return Err(format!("informs: {:?}", answer.infos)),
            Expect::Text(want) => {
                return match &answer.output {
                    Output::Text(text) if text == want => Ok(()),
                    other => Err(format!("expected {want:?}, got {other:?}")),
                };
            }
            _ => {}
        }
    }
    check_values(case, &answer.output)
}

fn says(want: &Text, texts: &[String], what: &str) -> Result<(), String> {
    let found = match want {
        Text::Any => !texts.is_empty(),
        Text::Exact(want) => texts.contains(want),
        Text::Pattern(pattern) => {
            let pattern = regex::Regex::new(pattern).unwrap();
            texts.iter().any(|text| pattern.is_match(text))
        }
    };
    if found { Ok(()) } else { Err(format!("expected {what} {want:?}, got {texts:?}")) }
}

/// Are the values those of the case?
pub fn check_values(case: &Case, output: &Output) -> Result<(), String> {
    match output {
        Output::Scalar(value) => {
            let want = case.scalar.ok_or_else(|| format!("got the scalar {value}"))?;
            equal(*value, want).then_some(()).ok_or_else(|| format!("expected {want}, got {value}"))
        }
        Output::Text(text) => Err(format!("got the string {text:?}")),
        Output::Vector(found) => {
            if let Some(want) = case.scalar {
                return Err(format!("expected the scalar {want}, got {found:?}"));
            }
            let mut want = Vec::new();
            for line in &case.series {
                let samples = line.samples();
                let [sample] = samples[..] else { return Err(format!("case has {} values", samples.len())) };
                want.push((&line.metric, sample.v));
            }
            if case.ordered() {
                let same = found.len() == want.len()
                    && found
                        .iter()
                        .zip(&want)
                        .all(|(found, want)| found.0 == *want.0 && equal(found.1, want.1));
                return same
                    .then_some(())
                    .ok_or_else(|| format!("expected {want:?}\n    got      {found:?}"));
            }
            pairs(&want, found, |want, found| equal(*want, *found))
        }
        Output::Matrix(found) => {
            let want: Vec<(&Metric, Vec<Sample>)> =
                case.series.iter().map(|line| (&line.metric, line.samples())).collect();
            let want: Vec<_> = want.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
            pairs(&want, found, |want, found| {
                want.len() == found.len()
                    && want.iter().zip(found).all(|(want, found)| want.t == found.t && equal(want.v, found.v))
            })
        }
    }
}

fn pairs<T: std::fmt::Debug, U: std::fmt::Debug>(
    want: &[(&Metric, T)],
    found: &[(Metric, U)],
    same: impl Fn(&T, &U) -> bool,
) -> Result<(), String> {
    for (metric, want) in want {
        match found.iter().find(|(found, _)| found == *metric) {
            None => return Err(format!("expected {metric:?} {want:?}, got {found:?}")),
            Some((_, found)) if !same(want, found) => {
                return Err(format!("{metric:?}: expected {want:?}\n    got {found:?}"));
            }
            _ => {}
        }
    }
    for (metric, value) in found {
        if !want.iter().any(|(want, _)| *want == metric) {
            return Err(format!("not expected: {metric:?} {value:?}"));
        }
    }
    if found.len() == want.len() { Ok(()) } else { Err(format!("a series twice: {found:?}")) }
}

/// The values of a range at one time, in the shape of the instant answer.
pub fn at_time(output: Output, time: i64, like: &Output) -> Output {
    let Output::Matrix(series) = output else { return output };
    let mut out = Vec::new();
    for (metric, samples) in series {
        if let Some(sample) = samples.iter().find(|sample| sample.t == time) {
            out.push((metric, sample.v));
        }
    }
    match (like, &out[..]) {
        (Output::Scalar(_), [(metric, value)]) if metric.is_empty() => Output::Scalar(*value),
        _ => Output::Vector(out),
    }
}

/// Equal within a relative 1e-6, as Prometheus compares; NaNs are equal.
#[allow(clippy::float_cmp)]
fn equal(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-6;
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

//! The short form: selectors and a word such as `rate`, as PromQL expressions.

use std::time::Duration;

use super::super::number::quoted;
use crate::series::Selector;
use crate::series::selector::Matcher;

/// Why a short form has no meaning; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DerivedError(String);

/// The words, and what stands before the range vector for each.
const WORDS: [(&str, &str); 12] = [
    ("rate", "rate("),
    ("increase", "increase("),
    ("delta", "delta("),
    ("avg", "avg_over_time("),
    ("min", "min_over_time("),
    ("max", "max_over_time("),
    ("sum", "sum_over_time("),
    ("count", "count_over_time("),
    ("stddev", "stddev_over_time("),
    ("p50", "quantile_over_time(0.5, "),
    ("p95", "quantile_over_time(0.95, "),
    ("p99", "quantile_over_time(0.99, "),
];

/// The window where none is said: as long as Prometheus' rule of thumb wants it, four intervals, and at least this.
const SHORTEST: Duration = Duration::from_secs(30);

/// The word for what the detection of anomalies says; it has no window.
const ANOMALY: &str = "anomaly";

/// The expressions for `words` over what `selectors` pick, with frames every `interval`. A word is `rate`, or `rate[1m]` with
/// its window. The series are named after what they are made of: `http_requests_total:rate30s`. The word `anomaly` gives the values
/// themselves, and of those that are watched `…:anomaly_score`, `…:anomaly_expected`, `…:anomaly_lower` and `…:anomaly_upper`.
///
/// # Errors
/// No word, an unknown one, or one whose window is no duration. The selectors are not looked at.
pub fn derived(
    selectors: &[String],
    words: &[String],
    interval: Duration,
) -> Result<Vec<String>, DerivedError> {
    if words.is_empty() {
        return Err(DerivedError("derived is a list of at least one word".into()));
    }
    let window = SHORTEST.max(interval.saturating_mul(4)).as_secs();
    let default = if window.is_multiple_of(60) { format!("{}m", window / 60) } else { format!("{window}s") };
    let mut all = Vec::new();
    for word in words {
        if word == ANOMALY {
            for selector in selectors {
                all.push(selector.clone());
                all.extend(["score", "expected", "lower", "upper"].map(|what| anomaly(selector, what)));
            }
            continue;
        }
        let (name, window) = match word.split_once('[') {
            None => (word.as_str(), default.as_str()),
            Some((name, rest)) => {
                let window = rest.strip_suffix(']').unwrap_or_default();
                if super::super::promql::duration::parse(window).is_err() {
                    return Err(DerivedError(format!("{word:?}: the window is a duration such as 30s")));
                }
                (name, window)
            }
        };
        let Some((_, call)) = WORDS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = WORDS.iter().map(|(known, _)| *known).chain([ANOMALY]).collect();
            return Err(DerivedError(format!("{word:?} is none of {}", known.join(", "))));
        };
        for selector in selectors {
            let named = quoted(&format!("${{1}}:{name}{window}"));
            all.push(format!(
                "label_replace({call}{selector}[{window}]), \"__name__\", {named}, \"__name__\", \"(.+)\")"
            ));
        }
    }
    Ok(all)
}

/// What is said of the series that a selector picks. Scores have the labels of their series, and its name as `metric`; see
/// [`crate::detect`].
fn anomaly(selector: &str, what: &str) -> String {
    // A selector that is none is told by the expression before.
    let Ok(selector) = Selector::parse(selector) else { return selector.to_owned() };
    let condition = |matcher: &Matcher| {
        let label = match matcher.label() {
            "__name__" => "metric",
            label => label,
        };
        format!("{}{}{}", label_name(label), matcher.op().as_str(), quoted(matcher.value()))
    };
    let conditions: Vec<String> = selector.matchers().iter().map(condition).collect();
    let named = quoted(&format!("${{1}}:anomaly_{what}"));
    format!(
        "label_replace(gaugecast_anomaly_{what}{{{}}}, \"__name__\", {named}, \"metric\", \"(.+)\")",
        conditions.join(",")
    )
}

fn label_name(label: &str) -> String {
    if crate::series::key::is_legacy_label(label) { label.to_owned() } else { quoted(label) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(selectors: &[&str], words: &[&str], seconds: u64) -> Result<Vec<String>, DerivedError> {
        let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        derived(&texts(selectors), &texts(words), Duration::from_secs(seconds))
    }

    #[test]
    fn f46_words_are_promql_over_the_selectors_and_name_their_series_after_them() {
        let rate = r#"label_replace(rate(a[30s]), "__name__", "${1}:rate30s", "__name__", "(.+)")"#;
        assert_eq!(of(&["a"], &["rate"], 1).unwrap(), [rate]);
        let p95 = r#"label_replace(quantile_over_time(0.95, b{c="d"}[5m]), "__name__", "${1}:p955m", "__name__", "(.+)")"#;
        assert_eq!(of(&["b{c=\"d\"}"], &["p95[5m]"], 1).unwrap(), [p95]);
        assert!(of(&["a"], &["avg"], 60).unwrap()[0].contains("avg_over_time(a[4m])"));
        assert_eq!(of(&["a", "b"], &["rate", "max"], 1).unwrap().len(), 4);
    }

    #[test]
    fn f76_anomaly_is_the_value_with_score_expected_and_bounds_of_the_same_series() {
        let all = of(&["a{b!=\"c\",d=~\"e.*\"}"], &["anomaly"], 1).unwrap();
        assert_eq!((all.len(), &*all[0]), (5, "a{b!=\"c\",d=~\"e.*\"}"));
        let score = r#"label_replace(gaugecast_anomaly_score{metric="a",b!="c",d=~"e.*"}, "__name__", "${1}:anomaly_score", "metric", "(.+)")"#;
        assert_eq!(all[1], score);
        assert!(all.iter().all(|text| super::super::promql::parse(text).is_ok()), "{all:?}");
        assert_eq!(of(&["a"], &["rate", "anomaly"], 1).unwrap().len(), 6);
    }

    #[test]
    fn f46_a_word_that_is_none_is_told_with_those_there_are() {
        assert!(of(&["a"], &["speed"], 1).unwrap_err().to_string().contains("rate, increase"));
        assert!(of(&["a"], &["rate[x]"], 1).unwrap_err().to_string().contains("duration"));
        assert!(of(&["a"], &["rate[30s"], 1).is_err());
        assert!(of(&["a"], &[], 1).is_err());
    }
}

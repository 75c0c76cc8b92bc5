//! What the HTTP API is asked, and reading what it answers.

use gaugecast::query::Sample;
use serde_json::Value;

use super::{Answer, Metric, Output, When};

/// The parameters of a query.
pub fn params(text: &str, when: When) -> Vec<(String, String)> {
    let seconds = |ms: i64| {
        let sign = if ms < 0 { "-" } else { "" };
        format!("{sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)
    };
    let mut params = vec![("query".to_owned(), text.to_owned())];
    match when {
        When::Instant(at) => params.push(("time".to_owned(), seconds(at))),
        When::Range { start, end, step } => params.extend(
            [("start", start), ("end", end), ("step", step)].map(|(n, ms)| (n.to_owned(), seconds(ms))),
        ),
    }
    params
}

/// An answer, from its status and its body.
pub fn answer(status: u16, body: &[u8]) -> Result<Answer, String> {
    let answer: Value = serde_json::from_slice(body).unwrap();
    if status != 200 {
        let error = answer["error"].as_str().unwrap();
        return Err(error.strip_prefix("invalid parameter \"query\": ").unwrap_or(error).to_owned());
    }
    let result = &answer["data"]["result"];
    let metric = |one: &Value| -> Metric { serde_json::from_value(one["metric"].clone()).unwrap() };
    let all = || result.as_array().unwrap().iter();
    let samples = |one: &Value| one["values"].as_array().unwrap().iter().map(sample).collect();
    let output = match answer["data"]["resultType"].as_str().unwrap() {
        "scalar" => Output::Scalar(number(&result[1])),
        "string" => Output::Text(result[1].as_str().unwrap().to_owned()),
        "vector" => Output::Vector(all().map(|one| (metric(one), number(&one["value"][1]))).collect()),
        _ => Output::Matrix(all().map(|one| (metric(one), samples(one))).collect()),
    };
    let notes = |name: &str| serde_json::from_value(answer[name].clone()).unwrap_or_default();
    Ok(Answer { output, warnings: notes("warnings"), infos: notes("infos") })
}

/// A number as the API writes it.
fn number(text: &Value) -> f64 {
    text.as_str().unwrap().parse().unwrap()
}

/// `[seconds, "value"]`.
fn sample(pair: &Value) -> Sample {
    #[allow(clippy::cast_possible_truncation)]
    let t = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
    Sample { t, v: number(&pair[1]) }
}

/// Series of one `load`, each once: of one that stands twice the last counts, as for Prometheus.
pub fn last_of_each(series: Vec<(Metric, Vec<Sample>)>) -> Vec<(Metric, Vec<Sample>)> {
    let mut out: Vec<(Metric, Vec<Sample>)> = Vec::new();
    for one in series.into_iter().rev() {
        if out.iter().all(|(metric, _)| *metric != one.0) {
            out.push(one);
        }
    }
    out.reverse();
    out
}

//! Prometheus: `prometheus.yml`, the rule files that it loads, and the Alertmanager that it tells.

use std::collections::BTreeMap;

use super::{DEFAULT_JOB, File, Invalid, Options, put, quoted};
use crate::alert::rules;

const CONFIG: &str = include_str!("../../prometheus.yml");

pub(super) fn files(options: &Options) -> Vec<File> {
    let mut files = vec![
        File::new("prometheus.yml", config(options)),
        File::new("packaging/alertmanager.yml", include_str!("../../packaging/alertmanager.yml")),
    ];
    files.extend(rules(options).into_iter().map(|(name, text)| File::new(format!("rules/{name}"), text)));
    files
}

/// The rule files with the options put in, by their names: what Prometheus loads, and what Grafana's alerting is made of.
pub(super) fn rules(options: &Options) -> Vec<(&'static str, String)> {
    let job = |text: &str| text.replace(&selector(DEFAULT_JOB), &selector(&options.job));
    let not = |text: &str| text.replace(&other(DEFAULT_JOB), &other(&options.job));
    let files = rules::with_thresholds(&rules::BUILT_IN, &options.thresholds);
    let files = files.expect("thresholds were checked before");
    let runbooks = |text: &str| text.replace(rules::RUNBOOKS, &options.runbooks());
    files.into_iter().map(|(name, text)| (name, runbooks(&not(&job(&text))))).collect()
}

/// Thresholds that no alert has are refused.
pub(super) fn check(thresholds: &BTreeMap<String, f64>) -> Result<(), Invalid> {
    rules::with_thresholds(&rules::BUILT_IN, thresholds).map(|_| ()).map_err(Invalid)
}

fn other(job: &str) -> String {
    format!("job!=\"{job}\"")
}

fn selector(job: &str) -> String {
    format!("job=\"{job}\"")
}

fn config(options: &Options) -> String {
    let text = put(CONFIG, "- job_name: gaugecast\n", &format!("- job_name: {}\n", quoted_if(&options.job)));
    let mut target = format!("      - targets: [{}]\n", quoted_if(&options.address()));
    if !options.labels.is_empty() {
        target.push_str("        labels:\n");
        for (name, value) in &options.labels {
            target.push_str(&format!("          {name}: {}\n", quoted(value)));
        }
    }
    put(&text, "      - targets: [localhost:7171]\n", &target)
}

/// Quoted unless it is a word that YAML takes for nothing else.
fn quoted_if(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if word && !text.ends_with(':') { text.into() } else { quoted(text) }
}

//! Seam for the templates, which another branch builds: the same names and types.

use std::collections::BTreeMap;

use crate::query::Labels;

#[derive(Clone, Debug)]
pub struct Template(String);

#[derive(Clone, Copy)]
pub struct Env<'a> {
    pub external_url: &'a str,
    pub now_ms: i64,
    pub query: &'a dyn Fn(&str) -> Result<Vec<(Labels, f64)>, String>,
}

#[derive(Clone, Copy)]
pub struct Data<'a> {
    pub labels: &'a Labels,
    pub external_labels: &'a BTreeMap<String, String>,
    pub value: f64,
    pub env: Env<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template:{line}:{column}: {message}")]
pub struct TemplateError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Template(text.to_owned()))
    }

    pub fn expand(&self, data: &Data<'_>) -> Result<String, TemplateError> {
        let mut out = self.0.clone();
        for (name, value) in data.labels.iter() {
            out = out.replace(&format!("{{{{ $labels.{name} }}}}"), value);
        }
        Ok(out.replace("{{ $value }}", &crate::query::number::general(data.value)))
    }
}

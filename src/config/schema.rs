//! A JSON Schema of the configuration file, for editors. It knows keys, types and words; bounds of durations and
//! what does not fit together is for `gaugecast check config`.

use serde_json::{Map, Value, json};

use super::field::{Field, Shown};
use super::section::{Part, parts};
use super::settings::{Setting, default_of, settings};

/// The schema, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut root = section();
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "gaugecast configuration".into();
    for setting in settings() {
        let Some(key) = &setting.key else { continue };
        let mut place = &mut root;
        for part in key.split('.') {
            let properties = place["properties"].as_object_mut().expect("a section has properties");
            place = properties.entry(part).or_insert_with(section);
        }
        *place = property(setting);
    }
    for part in parts() {
        let mut place = &mut root;
        for name in part.key.split('.') {
            let properties = place["properties"].as_object_mut().expect("a section has properties");
            place = properties.entry(name).or_insert_with(section);
        }
        *place = whole(part);
    }
    // `cpu: false` is short for `cpu: {enabled: false}`.
    let collectors = root["properties"]["collectors"]["properties"].as_object_mut();
    for collector in collectors.into_iter().flat_map(Map::values_mut) {
        if collector["properties"]["enabled"].is_object() {
            let long = collector.take();
            *collector = json!({ "anyOf": [{ "type": "boolean" }, long] });
        }
    }
    root
}

fn section() -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": false, "properties": {} })
}

/// What stands in a part is for `gaugecast check config`; those of Prometheus have schemas of other hands.
fn whole(part: &Part) -> Value {
    let object = json!({ "type": "object" });
    let mut whole = match part.list {
        true => json!({ "type": ["array", "null"], "items": object }),
        false => json!({ "type": ["object", "null"] }),
    };
    whole["description"] = part.help.into();
    whole
}

fn property(setting: &Setting) -> Value {
    // A value may also come from the environment, `${NAME}`.
    let variable = json!({ "type": "string", "pattern": "\\$\\{" });
    let one = match &setting.field {
        Field::Bool(_) | Field::Switch(..) => json!({ "anyOf": [{ "type": "boolean" }, variable] }),
        Field::Count(_, min, max) => {
            json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, variable] })
        }
        Field::Choice { words, .. } => json!({ "anyOf": [{ "enum": words }, variable] }),
        Field::Filter(..) => json!({ "type": "string", "format": "regex" }),
        field if field.is_list() => {
            json!({ "type": ["string", "array"], "items": { "type": "string" } })
        }
        Field::Size(..) => json!({ "type": ["string", "integer"] }),
        _ => json!({ "type": "string" }),
    };
    let mut property = one;
    property["description"] =
        format!("{} ({}). --{}", setting.help, setting.field.describe(), setting.flag).into();
    let default = match default_of(setting) {
        Shown::Bare(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Shown::Text(text) => Value::String(text),
        Shown::List(texts) => texts.into(),
    };
    if default != "" {
        property["default"] = default;
    }
    property
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_file_is_in_the_schema() {
        let schema = schema();
        let keys = settings().iter().filter_map(|setting| setting.key.as_deref());
        for key in keys.chain(parts().iter().map(|part| part.key)) {
            let mut place = &schema;
            for part in key.split('.') {
                let long =
                    if place["anyOf"][1]["properties"].is_object() { &place["anyOf"][1] } else { place };
                place = &long["properties"][part];
            }
            assert!(place["description"].is_string(), "{key}: {place}");
        }
    }
}

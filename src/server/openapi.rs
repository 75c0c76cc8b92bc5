//! `/api/v1/openapi.json`: what can be asked of this server, as OpenAPI 3.1, made from its own [`routes`](super::routes).
//!
//! The shapes of answers are in `schemas.json`, by name; a test holds real answers against them. HEAD is taken wherever GET is,
//! but by streams, and OPTIONS everywhere; they are not written out.

use std::sync::LazyLock;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use serde_json::{Map, Value, json};

use super::auth::{Need, Scope};
use super::body::Body;
use super::routes::{Kind, Operation, Parameter, Routes};

/// Shapes of JSON, by name.
static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("schemas.json")).expect("the file is part of the program and tested")
});

/// `GET /api/v1/openapi.json`.
pub(super) fn answer(routes: &Routes) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{:#}\n", document(routes))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn document(routes: &Routes) -> Value {
    let mut paths = Map::new();
    for operation in routes.operations() {
        let (path, variable) = templated(&operation.path);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        for method in operation.methods.iter().filter(|method| **method != Method::HEAD) {
            item[method.as_str().to_ascii_lowercase()] = described(operation, method, variable.as_deref());
        }
    }
    let scopes = Scope::ALL.map(|scope| format!("`{scope}`")).join(", ");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gaugecast",
            "summary": "The live edge of Prometheus",
            "description": format!(
                "Where the server has tokens (`--web.token-file`), an operation needs one of the scope that it names: {scopes}. \
                 Without, what changes something is for programs of the same machine only."
            ),
            "version": crate::build::VERSION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": if routes.prefix.is_empty() { "/" } else { &routes.prefix } }],
        "paths": paths,
        "components": {
            "schemas": *SCHEMAS,
            "responses": { "Error": { "description": "What is wrong", "content": content("application/json", "Error") } },
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// A path as OpenAPI writes it, and its variable part.
fn templated(path: &str) -> (String, Option<String>) {
    let mut variable = None;
    let segments = path.split('/').map(|segment| match segment.strip_prefix([':', '*']) {
        Some(name) => {
            variable = Some(name.to_owned());
            format!("{{{name}}}")
        }
        None => segment.to_owned(),
    });
    let path = segments.collect::<Vec<_>>().join("/");
    (path, variable)
}

fn described(operation: &Operation, method: &Method, variable: Option<&str>) -> Value {
    let mut told = json!({
        "operationId": id(method, &operation.path),
        "summary": operation.about,
        "tags": [tag(&operation.path)],
        "responses": responses(operation),
    });
    if let Need::Scope(scope) = operation.need {
        told["security"] = json!([{ "bearer": [scope.as_str()] }]);
    }
    // A form holds what else stands in the query.
    let in_form = operation.form && *method == Method::POST;
    let mut parameters: Vec<Value> = variable
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }))
        .into_iter()
        .collect();
    if in_form {
        let properties: Map<String, Value> =
            operation.parameters.iter().map(|one| (one.name.to_owned(), schema(one))).collect();
        told["requestBody"] = json!({ "content": { "application/x-www-form-urlencoded": {
            "schema": { "type": "object", "properties": properties },
        } } });
    } else {
        parameters.extend(operation.parameters.iter().map(parameter));
    }
    if !parameters.is_empty() {
        told["parameters"] = parameters.into();
    }
    if let Some((content_type, schema)) = operation.body {
        told["requestBody"] = json!({ "content": content(content_type, schema) });
    }
    told
}

fn parameter(one: &Parameter) -> Value {
    json!({
        "name": one.name,
        "in": "query",
        "required": one.required,
        "description": one.about,
        "schema": schema(one),
    })
}

fn schema(one: &Parameter) -> Value {
    match one.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Integer => json!({ "type": "integer", "minimum": 0 }),
        Kind::Number => json!({ "type": "number", "minimum": 0 }),
        Kind::Flag => json!({ "type": "string", "enum": ["0", "1"] }),
        Kind::Time => json!({ "type": ["string", "number"], "description": "RFC 3339 or Unix seconds" }),
        Kind::Duration => json!({ "type": ["string", "number"], "description": "such as 1m30s, or seconds" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
    }
}

fn responses(operation: &Operation) -> Value {
    let (types, schema) = operation.answer;
    let mut all = Map::new();
    for status in operation.status {
        let mut told = json!({ "description": if *status < 300 { "All is well" } else { "Not now" } });
        if !types.is_empty() {
            let contents = types.iter().map(|one| ((*one).to_owned(), typed(one, schema)));
            told["content"] = Value::Object(contents.collect());
        }
        all.insert(status.to_string(), told);
    }
    all.insert("default".into(), json!({ "$ref": "#/components/responses/Error" }));
    all.into()
}

fn content(content_type: &str, schema: &str) -> Value {
    json!({ content_type: typed(content_type, schema) })
}

/// What is of one type: JSON by its schema.
fn typed(content_type: &str, schema: &str) -> Value {
    match content_type == "application/json" && !schema.is_empty() {
        true => json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } }),
        false => json!({}),
    }
}

/// `get_api_v1_label_name_values`.
fn id(method: &Method, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    format!("{}_{}", method.as_str().to_ascii_lowercase(), words.join("_"))
}

/// Under which heading an operation stands.
fn tag(path: &str) -> &'static str {
    const TAGS: [(&str, &str); 7] = [
        ("/api/v1/admin", "admin"),
        ("/api/v1/stream", "stream"),
        ("/api/v1/baselines", "baselines"),
        ("/api/v1/push", "push"),
        ("/api/v1/write", "push"),
        ("/api/v2", "alertmanager"),
        ("/-/", "lifecycle"),
    ];
    let found = TAGS.iter().find(|(start, _)| path.starts_with(start));
    found.map_or(if path.starts_with("/api/") { "api" } else { "metrics" }, |(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::super::routes::{does, get};
    use super::super::table::table;
    use super::*;
    use crate::server::listener::tests::app;

    #[test]
    fn every_schema_that_a_row_names_is_there_and_none_is_idle() {
        let routes = Routes::new("", table(&app()));
        let text = document(&routes).to_string();
        let schemas = SCHEMAS.as_object().unwrap();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "no schema {name}");
        }
    }

    #[test]
    fn a_variable_part_is_a_parameter() {
        let row = get("/a/:name/b", "", does!(_c => Err(crate::server::Problem::internal(""))));
        let told = document(&Routes::new("live", vec![row]));
        let operation = &told["paths"]["/a/{name}/b"]["get"];
        assert_eq!(
            (&operation["parameters"][0]["in"], &told["servers"][0]["url"]),
            (&json!("path"), &json!("/live"))
        );
        assert_eq!(operation["operationId"], "get_a_name_b");
    }
}

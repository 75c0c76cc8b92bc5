//! The corpus: templates with what promtool makes of them. tests/judges/test_rules_test.py holds the file to promtool.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::query::eval::{Interrupt, Options, Output, Query, Times};
use crate::query::promql;
use crate::query::source::{MemorySource, Sample};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    template: String,
    /// What comes of it.
    gives: Option<String>,
    /// It cannot be read.
    #[serde(default)]
    refused: bool,
    /// It cannot be expanded.
    #[serde(default)]
    fails: bool,
}

fn ask(text: &str) -> Result<Vec<(Labels, f64)>, String> {
    let mut source = MemorySource::default();
    for (value, v) in [("x", 1.0), ("y", 2.5)] {
        source.add(&Labels::new([("__name__", "q"), ("a", value)]), Sample { t: 0, v });
    }
    let expr = promql::parse(text).map_err(|error| error.to_string())?;
    let query = Query { text, expr: &expr, times: Times::Instant(0) };
    let answer = query
        .evaluate(&source, &Options::default(), &Interrupt::default())
        .map_err(|error| error.to_string())?;
    match answer.output {
        Output::Vector(_, series) => {
            Ok(series.into_iter().map(|(metric, value)| (metric.to_labels(), value)).collect())
        }
        Output::Scalar(_, value) => Ok(vec![(Labels::empty(), value)]),
        Output::Text(..) | Output::Matrix(_) => Err("neither a vector nor a scalar".into()),
    }
}

fn expand(text: &str) -> Result<Result<String, TemplateError>, TemplateError> {
    let labels = Labels::new([
        ("__name__", "m"),
        ("instance", "web-1.example.com:9100"),
        ("job", "node"),
        ("path", "/a b"),
    ]);
    let external_labels = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
    let env = Env { external_url: "http://prom.example:9090/p/x", now_ms: 0, query: &ask };
    let data = Data { labels: &labels, external_labels: &external_labels, value: 1234.5678, env };
    Template::parse(text).map(|template| template.expand(&data))
}

#[test]
fn each_template_of_the_corpus_is_read_and_expanded_as_prometheus_does() {
    let text = include_str!("../../../tests/fixtures/rules/templates.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let right = match expand(&case.template) {
            Err(_) => case.refused,
            Ok(Err(_)) => case.fails,
            Ok(Ok(text)) => case.gives.as_deref() == Some(&text),
        };
        if !right {
            wrong.push(format!("{:?}: {:?}, want {:?}", case.template, expand(&case.template), case.gives));
        }
    }
    assert!(cases.len() > 290 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_promtool_cannot_test_is_as_documented() {
    // promtool has no address there, and none of the newer functions.
    for (text, want) in [
        ("{{ externalURL }} {{ pathPrefix }}", "http://prom.example:9090/p/x /p/x"),
        ("{{ query \"sum(q)\" }}", "[{map[] 3.5}]"),
        ("{{ now }} {{ toDuration 90.5 }} {{ (toDuration 90).Seconds }}", "0 1m30.5s 90"),
        ("{{ urlQueryEscape \"a b&c\" }}", "a+b%26c"),
        ("{{ with $labels.x }}a{{ else with $labels.job }}{{ . }}{{ end }}", "node"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
    ] {
        assert_eq!(expand(text).unwrap().unwrap(), want, "{text}");
    }
}

#[test]
fn a_fault_has_its_line_and_column() {
    for (text, at, message) in [
        ("a\nbé{{ nope }}", (2, 6), "function \"nope\" not defined"),
        ("{{ humanise 1 }}", (1, 4), "function \"humanise\" not defined; did you mean humanize?"),
        ("{{ $x }}", (1, 4), "undefined variable \"$x\""),
        ("\n {{ if true }}", (2, 2), "this is not closed by {{end}}"),
        ("{{ tmpl \"a\" . }}", (1, 4), "function \"tmpl\" is known in console templates only"),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert_eq!(((error.line, error.column), &*error.message), (at, message), "{text}");
    }
    let error = expand("x\n{{ .Nope }}").unwrap().unwrap_err();
    assert_eq!(error.to_string(), "template:2:4: can't evaluate field Nope in type struct");
}

#[test]
fn what_would_run_or_grow_without_end_is_stopped() {
    for (text, message) in [
        ("{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}", "deep"),
        ("{{ define \"r\" }}{{ template \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}", "deep"),
        ("{{ range 9223372036854775807 }}{{ end }}", "steps"),
        ("{{ range 90000 }}xxxxxxxxxxxx{{ end }}", "bytes"),
        ("{{ $x := \"xxxxxxxx\" }}{{ range 40 }}{{ $x = print $x $x }}{{ end }}", "bytes"),
        ("{{ printf \"%1000000d\" 1 }}", "bytes"),
        ("{{ printf \"%999999s%999999s%999999s\" \"\" \"\" \"\" }}", "bytes"),
        ("{{ range 100 }}{{ query \"q\" }}{{ end }}", "queries"),
        ("{{ $a := args 1 }}{{ range 40 }}{{ $a = args $a $a }}{{ end }}{{ $a }}", "within args"),
        ("{{ $a := args 1 }}{{ range 20000 }}{{ $a = args $a }}{{ end }}", "within args"),
        ("{{ match \"a\" (printf \"%20000d\" 1) }}", "longer"),
        ("{{ range 1000 }}{{ if match \"a\" \"b\" }}{{ end }}{{ end }}", "steps"),
        (
            &format!("{{{{ reReplaceAll \".*\" \"{}\" (printf \"%16000d\" 1) }}}}", "$0".repeat(20_000)),
            "too much",
        ),
        ("{{ reReplaceAll \"\" (printf \"%9999d\" 1) (printf \"%9999d\" 1) }}", "too much"),
    ] {
        let error = expand(text).unwrap().unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
    }
    // Many times the same long text: refused before it is joined.
    let many = "$t ".repeat(18_000);
    for function in ["print", "println", "html", "js", "urlquery", "printf \"\""] {
        let error = expand(&format!("{{{{ $t := printf \"%200000d\" 1 }}}}{{{{ $u := {function} {many}}}}}"));
        assert!(error.unwrap().unwrap_err().message.contains("more than 262144 bytes"), "{function}");
    }
    for text in ["(".repeat(10_000), "if true}}{{".repeat(10_000), "x".repeat(MAX_TEXT)] {
        assert!(Template::parse(&format!("{{{{{text}")).is_err());
    }
}

#[test]
fn a_message_has_a_dot_and_variables_of_its_own() {
    let template =
        Template::parse_with("{{ .Title }} {{ $n }}{{ range .Items }} {{ . }}{{ end }}", &["$n"]).unwrap();
    let items = Value::List([Value::text("a"), Value::Int(1)].into());
    let dot = Value::record("message", vec![("Title", Value::text("hello")), ("Items", items)]);
    let env = Env { external_url: "", now_ms: 0, query: &|_| Err("no queries here".into()) };
    assert_eq!(template.expand_with(dot, &[Value::Float(0.5)], &env).unwrap(), "hello 0.5 a 1");
}

proptest! {
    /// Words of the language in any order: read or refused, expanded or refused, without a panic.
    #[test]
    fn no_text_panics(words in prop::collection::vec(prop::sample::select(vec![
        "{{", "}}", "{{-", "-}}", " ", "if", "else", "end", "range", "with", "define", "template", "block", "break",
        "$labels", "$value", "$x", ":=", "=", ".", ".Labels", ".job", "(", ")", "|", ",", "\"a\"", "`b`", "'c'", "1",
        "-2.5", "0x", "printf", "\"%5.2f%s%[1]d%*d\"", "query", "\"q\"", "first", "humanize", "slice", "index", "len",
        "eq", "and", "toTime", "reReplaceAll", "é", "/*", "*/", "\\", "\n", "nil", "true", "humanizeDuration", "1e300",
    ]), 0..30), spaced in any::<bool>()) {
        let text = words.join(if spaced { " " } else { "" });
        let _ = expand(&text);
        let _ = expand(&format!("{{{{ {text} }}}}"));
    }
}

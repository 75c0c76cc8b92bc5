//! The table of operations: everything that can be asked of the server, a row each. See [`routes`](super::routes) for what is
//! made of it.
//!
//! A row stands in the table where the part of the program is there that answers it.

use hyper::{Method, Request, Response};

use super::anomalies;
use super::app::App;
use super::assets::{self, FILES};
use super::auth::{Bearer, Need, Scope, Who};
use super::baselines::{self, Saved};
use super::body::Body;
use super::problem::Problem;
use super::queries::{self, Api};
use super::routes::Kind::{Choice, Duration, Flag, Integer, Number, Text, Texts, Time};
use super::routes::{Call, Operation, Parameter, does, get, operation};
use super::{admin, federate, handlers, openapi, pushes, request, rules, targets};

const MATCH: Parameter = Parameter::may("match[]", Texts, "PromQL selector; several are joined");
const MUST_MATCH: Parameter = Parameter::must("match[]", Texts, "PromQL selector; several are joined");
const START: Parameter = Parameter::may("start", Time, "begin of the range");
const END: Parameter = Parameter::may("end", Time, "end of the range, by default now");
const LAST: Parameter = Parameter::may("last", Duration, "length of the range up to now");
const LIMIT: Parameter = Parameter::may("limit", Integer, "most entries of the answer");
const EXPRESSION: Parameter = Parameter::must("query", Text, "PromQL expression");
const TIMEOUT: Parameter = Parameter::may("timeout", Duration, "shorter than query.timeout");

/// What `/api/v1/rules` is asked.
pub(super) const RULES: [Parameter; 8] = [
    Parameter::may("type", Choice(&["alert", "record"]), "only these; both by default"),
    Parameter::may("rule_name[]", Texts, "only rules of these names"),
    Parameter::may("rule_group[]", Texts, "only groups of these names"),
    Parameter::may("file[]", Texts, "only groups of these files"),
    Parameter::may("match[]", Texts, "only rules with labels that one of these selectors accepts"),
    Parameter::may("exclude_alerts", Choice(&["true", "false"]), "true leaves the alerts out"),
    Parameter::may("group_limit", Integer, "most groups of the answer"),
    Parameter::may("group_next_token", Text, "where the answer before ended"),
];

/// Rules and their alerts.
fn judged(rows: &mut Vec<Operation>) {
    rows.extend([
        get(
            "/api/v1/rules",
            "The rules that are evaluated, with their alerts",
            does!(c => rules::rules(c.app.rules.as_ref().ok_or_else(Problem::not_found)?, &c.parts)),
        )
        .asks(&RULES)
        .json("Rules"),
        get(
            "/api/v1/alerts",
            "The alerts of rules that are pending or fire",
            does!(c => rules::alerts(c.app.rules.as_ref().ok_or_else(Problem::not_found)?)),
        )
        .json("Alerts"),
    ]);
}

/// All operations of an app.
pub(super) fn table(app: &App) -> Vec<Operation> {
    let mut rows = Vec::new();
    page(&mut rows);
    live(app, &mut rows);
    if app.queries.is_some() {
        queries(&mut rows);
    }
    if app.rules.is_some() {
        judged(&mut rows);
    }
    if app.exports.is_some() {
        rows.push(
            get("/api/v1/export", "Samples as CSV or JSON", does!(c => handlers::export(&c).await))
                .or_form()
                .asks(&[
                    MUST_MATCH,
                    START,
                    END,
                    Parameter::may("format", Choice(&["csv", "json"]), "csv by default"),
                    Parameter::may("wide", Flag, "CSV with a column a series"),
                    Parameter::may("raw", Flag, "CSV without the guard against formulas"),
                ])
                .gives(&["text/csv", "application/json"], "Export"),
        );
    }
    if app.queries.is_some() && app.history.is_some() {
        saved(&mut rows);
    }
    if app.writes.is_some() {
        writes(app, &mut rows);
    }
    lifecycle(&mut rows);
    rows.extend(admin::table(app));
    if app.config.public_metrics {
        let public = |row: &&mut Operation| ["/metrics", "/federate"].contains(&row.label);
        rows.iter_mut().filter(public).for_each(|row| row.need = Need::Nothing);
    }
    rows
}

/// The page and its files.
fn page(rows: &mut Vec<Operation>) {
    for (at, file) in FILES.iter().enumerate() {
        let label = if at == 0 { "/" } else { "asset" };
        let work = does!(c => assets::answer(&c.parts));
        rows.push(get(file.path, "A file of the page", work).open().called(label).gives(&["*/*"], ""));
    }
}

/// The last tick, and the streams.
fn live(app: &App, rows: &mut Vec<Operation>) {
    const SELECTION: &[Parameter] =
        &[MATCH, Parameter::may("exact", Flag, "whole numbers above 2^53 as text")];
    let telemetry = format!("/{}", app.config.telemetry_path.trim_matches('/'));
    rows.extend([
        get(
            "/metrics",
            "The metrics, by Accept as text, OpenMetrics or protobuf",
            does!(c => handlers::metrics(&c.app, &c.parts).await),
        )
        .at(telemetry)
        .asks(&[
            Parameter::may("collect[]", Texts, "only these sources"),
            Parameter::may("exclude[]", Texts, "all but these sources"),
            Parameter::may("name[]", Texts, "only these metrics"),
        ])
        .gives(&["text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"], ""),
        get(
            "/federate",
            "The metrics of match[] with their times, of other targets too",
            does!(c => federate::federate(&c.app, &c.parts).await),
        )
        .asks(&[MUST_MATCH])
        .gives(&["text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"], ""),
        get(
            "/api/v1/metrics",
            "The last tick; strong ETag epoch:offset",
            does!(c => handlers::snapshot(&c.app, &c.parts, &c.body).await),
        )
        .or_form()
        .asks(SELECTION)
        .json("Snapshot"),
        get(
            "/api/v1/status",
            "Version, epoch, offset, uptime, series, clients",
            does!(c => Ok(handlers::status(&c.app))),
        )
        .json("Status"),
        get(
            "/api/v1/metadata",
            "Type, help and unit of each family",
            does!(c => queries::metadata(&c.app.ticks.latest(), &c.parts)),
        )
        .asks(&[
            Parameter::may("metric", Text, "only this one"),
            LIMIT,
            Parameter::may("limit_per_metric", Integer, "most entries of one metric"),
        ])
        .json("Metadata"),
        get(
            "/api/v1/status/buildinfo",
            "Which Prometheus' API this is",
            does!(_c => Ok(queries::build_info())),
        )
        .json("BuildInfo"),
        get(
            "/api/v1/targets",
            "What is scraped, and how it fares",
            does!(c => targets::targets(&c.app.targets, &c.parts)),
        )
        .asks(&[
            Parameter::may("state", Choice(&["any", "active", "dropped"]), "any by default"),
            Parameter::may("scrapePool", Text, "only this job"),
        ])
        .json("Targets"),
        get(
            "/api/v1/scrape_pools",
            "Names of the jobs",
            does!(c => Ok(targets::scrape_pools(&c.app.targets))),
        )
        .json("ScrapePools"),
    ]);
    if app.anomalies.is_some() {
        rows.push(
            get(
                "/api/v1/anomalies",
                "Series that are anomalous now and were before",
                does!(c => anomalies::anomalies(&c.app, &c.parts)),
            )
            .asks(&[LIMIT])
            .json("Anomalies"),
        );
    }
    if app.stream.is_some() {
        rows.extend([
            get(
                "/api/v1/stream/ws",
                "The live stream, a WebSocket of gaugecast.v1.json",
                does!(c => stream(c)),
            )
            .scope(Scope::Stream)
            .streams()
            .asks(&[Parameter::may("ticket", Text, "instead of a token")])
            .status(&[101])
            .gives(&[], ""),
            operation(
                Method::POST,
                "/api/v1/stream/ticket",
                Scope::Stream,
                "A ticket for the address of a stream, good once and for 30 s",
                does!(c => handlers::ticket(&c)),
            )
            .json("Ticket"),
            get(
                "/api/v1/stream/sse",
                "The same one way, as server-sent events or by Accept as NDJSON",
                does!(c => feed(c).await),
            )
            .scope(Scope::Stream)
            .streams()
            .asks(&[
                MATCH,
                Parameter::may("query", Text, "PromQL expression instead of selectors"),
                Parameter::may("interval", Duration, "time between deltas"),
                Parameter::may("history", Duration, "the past before the first delta"),
                Parameter::may("derived", Text, "rate, increase, …, with commas"),
                Parameter::may("events", Text, "kinds of events, with commas"),
                Parameter::may("sub", Text, "name of the subscription"),
                LIMIT,
                Parameter::may("clamp", Flag, "take what fits the limit"),
                Parameter::may("exact", Flag, "whole numbers above 2^53 as text"),
                Parameter::may("padding", Flag, "begin with 2 KiB for proxies that hold back"),
                Parameter::may("last_event_id", Text, "where to go on"),
                Parameter::may("ticket", Text, "instead of a token"),
            ])
            .gives(&["text/event-stream", "application/x-ndjson"], ""),
        ]);
    }
}

fn stream(call: Call) -> Result<Response<Body>, Problem> {
    let peer = call.peer_or_none();
    let stream = call.app.stream.clone().ok_or_else(Problem::not_found)?;
    stream.upgrade(named(call), peer)
}

/// The request, with the name of its token.
fn named(call: Call) -> Request<()> {
    let mut request = Request::from_parts(call.parts, ());
    if let Who::Token(name) = call.who {
        request.extensions_mut().insert(Bearer(name));
    }
    request
}

async fn feed(call: Call) -> Result<Response<Body>, Problem> {
    let peer = call.peer_or_none();
    let stream = call.app.stream.clone().ok_or_else(Problem::not_found)?;
    let asked = request::parameters(call.parts.uri.query().unwrap_or_default())?;
    stream.feed(named(call), asked, peer).await
}

/// PromQL, see [`queries`](super::queries).
fn queries(rows: &mut Vec<Operation>) {
    const RANGE: &[Parameter] = &[MATCH, START, END, LIMIT];
    rows.extend([
        get(
            "/api/v1/query",
            "A PromQL expression at one time",
            does!(c => queries::answer(&c, Api::Query).await),
        )
        .or_form()
        .asks(&[EXPRESSION, Parameter::may("time", Time, "by default now"), TIMEOUT, LIMIT])
        .json("Query"),
        get(
            "/api/v1/query_range",
            "A PromQL expression over a range",
            does!(c => queries::answer(&c, Api::QueryRange).await),
        )
        .or_form()
        .asks(&[
            EXPRESSION,
            Parameter::must("start", Time, "first time"),
            Parameter::must("end", Time, "last time"),
            Parameter::must("step", Duration, "time between points"),
            TIMEOUT,
            LIMIT,
        ])
        .json("Query"),
        get("/api/v1/series", "Label sets of series", does!(c => queries::answer(&c, Api::Series).await))
            .or_form()
            .asks(&[MUST_MATCH, START, END, LIMIT])
            .json("Series"),
        get("/api/v1/labels", "Names of labels", does!(c => queries::answer(&c, Api::Labels).await))
            .or_form()
            .asks(RANGE)
            .json("Words"),
        get(
            "/api/v1/label/:name/values",
            "Values of a label",
            does!(c => queries::answer(&c, Api::LabelValues).await),
        )
        .asks(RANGE)
        .json("Words"),
        get(
            "/api/v1/history",
            "Samples for charts, as they are or by steps",
            does!(c => queries::answer(&c, Api::History).await),
        )
        .or_form()
        .asks(&[
            MUST_MATCH,
            START,
            END,
            LAST,
            Parameter::may("step", Duration, "summarised by steps of this length"),
            Parameter::may("points", Integer, "at most so many steps"),
            LIMIT,
        ])
        .json("History"),
    ]);
}

/// Baselines and trends, see [`baselines`](super::baselines).
fn saved(rows: &mut Vec<Operation>) {
    const SAVE: &[Parameter] =
        &[MUST_MATCH, START, END, LAST, Parameter::may("note", Text, "at most 1024 bytes")];
    rows.extend([
        get(
            "/api/v1/baselines",
            "Saved ranges to compare with",
            does!(c => baselines::answer(&c, Saved::List).await),
        )
        .json("Baselines"),
        get("/api/v1/baselines/:name", "One of them", does!(c => baselines::answer(&c, Saved::One).await))
            .json("Baseline"),
        operation(
            Method::PUT,
            "/api/v1/baselines/:name",
            Scope::Admin,
            "Save a range, in place of one of that name",
            does!(c => baselines::answer(&c, Saved::One).await),
        )
        .asks(SAVE)
        .status(&[200, 201])
        .json("BaselineHead"),
        operation(
            Method::POST,
            "/api/v1/baselines/:name",
            Scope::Admin,
            "Save a range under a new name",
            does!(c => baselines::answer(&c, Saved::One).await),
        )
        .asks(SAVE)
        .status(&[201])
        .json("BaselineHead"),
        operation(
            Method::DELETE,
            "/api/v1/baselines/:name",
            Scope::Admin,
            "Delete it",
            does!(c => baselines::answer(&c, Saved::One).await),
        )
        .json("Named"),
        get(
            "/api/v1/baselines/:name/compare",
            "It, and another range beside it",
            does!(c => baselines::answer(&c, Saved::Compare).await),
        )
        .asks(&[
            START,
            END,
            LAST,
            Parameter::may("with", Text, "another baseline instead of a range"),
            MATCH,
            Parameter::may("better", Choice(&["lower", "higher"]), "which way is good"),
            Parameter::may("effect", Number, "least effect, 0 to 1"),
            Parameter::may("change", Number, "least change, as a ratio"),
        ])
        .json("Comparison"),
        get("/api/v1/trend", "Where series go", does!(c => baselines::answer(&c, Saved::Trend).await))
            .or_form()
            .asks(&[MUST_MATCH, START, END, LAST])
            .json("Trends"),
    ]);
}

/// What comes in from others.
fn writes(app: &App, rows: &mut Vec<Operation>) {
    rows.push(
        operation(
            Method::POST,
            "/api/v1/write",
            Scope::Push,
            "Remote write, 1.0 and 2.0",
            does!(c => handlers::write_remote(c).await),
        )
        .takes_pushes()
        .reads("application/x-protobuf", "")
        .status(&[204])
        .gives(&[], ""),
    );
    if app.groups.is_some() {
        for path in ["/api/v1/push/*group", "/metrics/job/*group"] {
            let push = |method, about| {
                operation(method, path, Scope::Push, about, does!(c => pushes::push(c).await))
                    .takes_pushes()
                    .gives(&[], "")
                    .called("/api/v1/push/:group")
            };
            rows.extend([
                push(
                    Method::POST,
                    "Metrics in text, in place of those of the group JOB[/LABEL/VALUE…] of the same names",
                )
                .reads("text/plain", ""),
                push(Method::PUT, "Metrics in text, in place of all of the group JOB[/LABEL/VALUE…]")
                    .reads("text/plain", ""),
                push(Method::DELETE, "Delete a group").status(&[202]),
            ]);
        }
    }
}

/// Health, and the life of the process.
fn lifecycle(rows: &mut Vec<Operation>) {
    const PLAIN: &[&str] = &["text/plain"];
    let healthy = |path| {
        get(path, "200 while requests are answered", does!(c => Ok(handlers::healthy(&c.app))))
            .open()
            .probe()
            .called("/-/healthy")
            .gives(PLAIN, "")
    };
    let ready = |path| {
        get(path, "200 when all parts run, else 503", does!(c => Ok(handlers::ready(&c.app))))
            .open()
            .probe()
            .called("/-/ready")
            .gives(PLAIN, "")
    };
    rows.extend([
        get("/api/v1/openapi.json", "This description", does!(c => Ok(openapi::answer(&c.routes))))
            .open()
            .json("OpenApi"),
        healthy("/-/healthy"),
        healthy("/healthz"),
        ready("/-/ready"),
        ready("/readyz"),
        operation(
            Method::POST,
            "/-/reload",
            Scope::Admin,
            "Read the configuration again; says what changed",
            does!(c => handlers::reload(&c.app).await),
        )
        .gives(PLAIN, ""),
    ]);
}

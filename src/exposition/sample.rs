//! Ticks for the tests of the encoders.

use std::sync::Arc;
use std::time::Duration;

use super::parse::Format;
use super::read::Reader;
use crate::clock::Moment;
use crate::series::{Epoch, Scope, Table, Tick};

/// A family of every type, in the order of our encoder.
pub(super) const BOTH: &str = r#"# HELP build What \"runs\"
# TYPE build info
build_info{version="1"} 1
# TYPE g gaugehistogram
g_bucket{le="1"} 2
g_bucket{le="+Inf"} 3
g_gsum 4.5
g_gcount 3
# HELP h_seconds Of a \\ request\nin seconds
# TYPE h_seconds histogram
# UNIT h_seconds seconds
h_seconds_bucket{le="0.5",path="/"} 1 # {trace="a\"b"} 0.25 1700000000.5
h_seconds_bucket{le="+Inf",path="/"} 2
h_seconds_sum{path="/"} 1.25
h_seconds_count{path="/"} 2
h_seconds_created{path="/"} 1700000000.5
# TYPE "my.name" gauge
{"my.name","a.b"="c"} -0
# TYPE plain unknown
plain NaN 1700000000.5
# TYPE requests counter
requests_total{code="200"} 7 # {} 1
requests_created{code="200"} 5
requests_total{code="500"} 1
# TYPE s summary
s{quantile="0.5"} 1
s_sum 2
s_count 1
# TYPE state stateset
state{state="off"} 0
state{state="on"} 1
# EOF
"#;

fn table(page: &str, format: Format) -> Table {
    let mut table = Table::new(Epoch(7), 1_000_000);
    let source = table.add_source("test", Scope::Own);
    let mut reader = Reader::new();
    table.apply(source, &reader.read(page.as_bytes(), format).expect("a page"));
    table
}

fn tick(page: &str, format: Format) -> Arc<Tick> {
    let at = Moment { since_start: Duration::ZERO, unix_ms: 1_700_000_000_000 };
    table(page, format).commit(at, 0)
}

/// A table that was given this page of text 0.0.4 and has not committed it.
pub(super) fn table_of(text: &str) -> Table {
    table(text, Format::Text)
}

/// The first tick of a table that was given this OpenMetrics page.
pub(super) fn tick_of(openmetrics: &str) -> Arc<Tick> {
    tick(openmetrics, Format::OpenMetrics)
}

/// The first tick of a table that was given this page of text 0.0.4.
pub(super) fn tick_of_text(text: &str) -> Arc<Tick> {
    tick(text, Format::Text)
}

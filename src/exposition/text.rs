//! Text 0.0.4.
//!
//! It knows five types, so the others are written as what they come nearest to, under their own series names:
//! info and stateset are gauges, unknown is untyped. What a type of this format has no place for stands in gauges
//! of its own after the family: `X_created`, and `X_gsum` and `X_gcount` of a gaugehistogram, whose buckets are
//! written as histogram (as Python's client does it; `promtool check metrics` is silent about it, while a gauge
//! named `X_bucket` is reproved).

use std::borrow::Cow;

use super::layout::{Block, by_name};
use crate::series::{Family, Kind, Role, Series};

/// The blocks of a family. All formats but OpenMetrics have their series in this order.
pub(super) fn blocks(family: &Family) -> Vec<Block<'_>> {
    let meta = &*family.meta;
    let kind = match meta.kind {
        Kind::Info | Kind::StateSet => Kind::Gauge,
        Kind::GaugeHistogram => Kind::Histogram,
        other => other,
    };
    let suffixes: &[&str] = match meta.kind {
        Kind::Histogram => &["_bucket", "_sum", "_count"],
        Kind::GaugeHistogram => &["_bucket"],
        Kind::Summary => &["", "_sum", "_count"],
        _ => &[""],
    };
    let belongs = |series: &Series| {
        let name = series.name();
        name.strip_prefix(&*meta.name).is_some_and(|suffix| suffixes.contains(&suffix))
    };
    let (main, rest): (Vec<_>, Vec<_>) = family.series.iter().partition(|series| belongs(series));
    let mut blocks = Vec::new();
    if !main.is_empty() {
        blocks.push(Block::new(Cow::Borrowed(&*meta.name), kind, meta, main));
    }
    let alone = |series: &Series| if series.role == Role::Value { Kind::Unknown } else { Kind::Gauge };
    blocks.extend(by_name(meta, rest.into_iter(), alone));
    blocks
}

#[cfg(test)]
mod tests {
    use super::super::sample::{BOTH, tick_of};
    use super::super::{Encoder, Escaping, TextFormat};

    fn encode(openmetrics: &str, escaping: Escaping) -> String {
        let tick = tick_of(openmetrics);
        let text = Encoder::new(TextFormat::Text, escaping).encode(&tick, &tick.schema.families);
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn every_type_is_written_as_0_0_4_knows_it() {
        assert_eq!(
            encode(BOTH, Escaping::Underscores),
            r#"# HELP build_info What \"runs\"
# TYPE build_info gauge
build_info{version="1"} 1
# TYPE g histogram
g_bucket{le="1"} 2
g_bucket{le="+Inf"} 3
# TYPE g_gsum gauge
g_gsum 4.5
# TYPE g_gcount gauge
g_gcount 3
# HELP h_seconds Of a \\ request\nin seconds
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5",path="/"} 1
h_seconds_bucket{le="+Inf",path="/"} 2
h_seconds_sum{path="/"} 1.25
h_seconds_count{path="/"} 2
# HELP h_seconds_created Of a \\ request\nin seconds
# TYPE h_seconds_created gauge
h_seconds_created{path="/"} 1700000000.5
# TYPE my_name gauge
my_name{a_b="c"} -0
# TYPE plain untyped
plain NaN 1700000000500
# TYPE requests_total counter
requests_total{code="200"} 7
requests_total{code="500"} 1
# TYPE requests_created gauge
requests_created{code="200"} 5
# TYPE s summary
s{quantile="0.5"} 1
s_sum 2
s_count 1
# TYPE state gauge
state{state="off"} 0
state{state="on"} 1
"#
            .replace("What \\\"runs\\\"", "What \"runs\"")
        );
    }

    #[test]
    fn utf8_names_stand_in_quotes_where_they_are_allowed() {
        let text =
            encode("# TYPE \"my.name\" gauge\n{\"my.name\",\"a.b\"=\"c\"} 1\n# EOF\n", Escaping::AllowUtf8);
        assert_eq!(text, "# TYPE \"my.name\" gauge\n{\"my.name\",\"a.b\"=\"c\"} 1\n");
    }

    #[test]
    fn an_encoder_follows_its_ticks() {
        let mut encoder = Encoder::new(TextFormat::Text, Escaping::AllowUtf8);
        for page in ["a 1\nb 2\n# EOF\n", "b 3\nc 4\n# EOF\n", "# EOF\n", "a 1\nc 2\n# EOF\n"] {
            let tick = tick_of(page);
            let again =
                Encoder::new(TextFormat::Text, Escaping::AllowUtf8).encode(&tick, &tick.schema.families);
            assert_eq!(encoder.encode(&tick, &tick.schema.families), again);
        }
    }
}

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as model;
use prost::Message;

use super::super::sample::{BOTH, table_of, tick_of};
use super::*;
use crate::clock::Moment;

/// Read back by messages that prometheus-client generated from Prometheus' own definition.
fn decode(tick: &Tick) -> Vec<model::MetricFamily> {
    let encoded = encode(tick, &tick.schema.families, Escaping::AllowUtf8);
    let (mut rest, mut families) = (&encoded[..], Vec::new());
    while !rest.is_empty() {
        families.push(model::MetricFamily::decode_length_delimited(&mut rest).expect("a message"));
    }
    families
}

fn labels(pairs: &[model::LabelPair]) -> String {
    pairs.iter().map(|pair| format!("{}={} ", pair.name, pair.value)).collect()
}

/// A family as a line of text, to compare at one glance.
fn line(family: &model::MetricFamily) -> String {
    let mut out = format!("{} {}", family.name, family.r#type().as_str_name());
    for metric in &family.metric {
        out.push_str(&format!(" [{}", labels(&metric.label)));
        if let Some(gauge) = &metric.gauge {
            out.push_str(&format!("{:?}", gauge.value));
        }
        if let Some(untyped) = &metric.untyped {
            out.push_str(&format!("{:?}", untyped.value));
        }
        if let Some(counter) = &metric.counter {
            let created = counter.start_timestamp.map(|time| (time.seconds, time.nanos));
            let exemplar = counter.exemplar.as_ref().map(|exemplar| exemplar.value);
            out.push_str(&format!("{:?} {created:?} {exemplar:?}", counter.value));
        }
        if let Some(summary) = &metric.summary {
            let quantiles: Vec<_> = summary.quantile.iter().map(|q| (q.quantile, q.value)).collect();
            out.push_str(&format!("{} {:?} {quantiles:?}", summary.sample_count, summary.sample_sum));
        }
        if metric.timestamp_ms != 0 {
            out.push_str(&format!(" @{}", metric.timestamp_ms));
        }
        out.push(']');
    }
    out
}

#[test]
fn families_are_those_of_the_text() {
    let families = decode(&tick_of(BOTH));
    let lines: Vec<_> =
        families.iter().filter(|f| f.r#type() != model::MetricType::Histogram).map(line).collect();
    assert_eq!(
        lines,
        [
            "build_info GAUGE [version=1 1.0]",
            "g_bucket GAUGE [le=1 2.0] [le=+Inf 3.0]",
            "g_gsum GAUGE [4.5]",
            "g_gcount GAUGE [3.0]",
            "h_seconds_created GAUGE [path=/ 1700000000.5]",
            "my.name GAUGE [a.b=c -0.0]",
            "plain UNTYPED [NaN @1700000000500]",
            "requests_total COUNTER [code=200 7.0 Some((5, 0)) Some(1.0)] [code=500 1.0 None None]",
            "requests_created GAUGE [code=200 5.0]",
            "s SUMMARY [1 2.0 [(0.5, 1.0)]]",
            "state GAUGE [state=off 0.0] [state=on 1.0]",
        ]
    );
    assert_eq!(families[0].help, "What \"runs\"");
}

#[test]
fn a_classic_histogram_has_its_buckets_exemplars_and_creation() {
    let families = decode(&tick_of(BOTH));
    let family = families.iter().find(|family| family.name == "h_seconds").expect("the histogram");
    assert_eq!((&*family.unit, family.metric.len()), ("seconds", 1));
    let histogram = family.metric[0].histogram.as_ref().expect("a histogram");
    assert_eq!((histogram.sample_count, histogram.sample_sum), (2, 1.25));
    let buckets: Vec<_> = histogram.bucket.iter().map(|b| (b.upper_bound, b.cumulative_count)).collect();
    assert_eq!(buckets, [(0.5, 1), (f64::INFINITY, 2)]);
    let exemplar = histogram.bucket[0].exemplar.as_ref().expect("an exemplar");
    assert_eq!((labels(&exemplar.label).as_str(), exemplar.value), ("trace=a\"b ", 0.25));
    let time = exemplar.timestamp.expect("its time");
    assert_eq!((time.seconds, time.nanos), (1_700_000_000, 500_000_000));
    assert_eq!(histogram.start_timestamp.expect("creation").nanos, 500_000_000);
    assert!(histogram.positive_span.is_empty());
}

#[test]
fn a_histogram_may_be_classic_native_or_both() {
    let page = "# TYPE h histogram\nh_bucket{le=\"+Inf\",x=\"both\"} 3\nh_sum{x=\"both\"} 6\nh_count{x=\"both\"} 3\n\
                h_sum{x=\"native\"} 6\nh_count{x=\"native\"} 3\nh_sum{x=\"none yet\"} 0\nh_count{x=\"none yet\"} 0\n";
    let mut table = table_of(page);
    let native = NativeHistogram {
        count: 3,
        sum: 6.0,
        schema: -2,
        zero_threshold: 1e-9,
        zero_count: 1,
        negative_spans: vec![(-3, 1)],
        negative_deltas: vec![1],
        positive_spans: vec![(0, 1), (2, 1)],
        positive_deltas: vec![2, -1],
        created_ms: 5_500,
    };
    let empty = NativeHistogram { created_ms: NO_TIME, ..NativeHistogram::default() };
    let key = |x: &str| crate::series::native_key("h", &format!("{{x=\"{x}\"}}")).into_boxed_str();
    let natives = [("both", native.clone()), ("native", native), ("none yet", empty)];
    let natives = natives.into_iter().map(|(x, native)| (key(x), Arc::new(native))).collect();
    table.set_natives(Arc::new(natives));
    let tick = table.commit(Moment { since_start: std::time::Duration::ZERO, unix_ms: 0 }, 0);
    let families = decode(&tick);
    let of = |at: usize| families[0].metric[at].histogram.as_ref().expect("a histogram");
    assert_eq!((of(0).bucket.len(), of(1).bucket.len(), of(2).bucket.len()), (1, 0, 0));
    for histogram in [of(0), of(1)] {
        assert_eq!((histogram.sample_count, histogram.sample_sum, histogram.schema), (3, 6.0, -2));
        assert_eq!((histogram.zero_threshold, histogram.zero_count), (1e-9, 1));
        let spans =
            |spans: &[model::BucketSpan]| spans.iter().map(|s| (s.offset, s.length)).collect::<Vec<_>>();
        assert_eq!(spans(&histogram.negative_span), [(-3, 1)]);
        assert_eq!(spans(&histogram.positive_span), [(0, 1), (2, 1)]);
        assert_eq!((&histogram.negative_delta[..], &histogram.positive_delta[..]), (&[1][..], &[2, -1][..]));
        assert_eq!(histogram.start_timestamp.map(|t| (t.seconds, t.nanos)), Some((5, 500_000_000)));
    }
    assert_eq!(of(2).positive_span.len(), 1, "an empty span says that it is native");
}

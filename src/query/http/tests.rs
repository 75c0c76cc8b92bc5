use super::*;
use crate::query::Sample;
use crate::query::source::MemorySource;

fn source() -> MemorySource {
    let mut source = MemorySource::default();
    for (key, v) in [
        ("up{instance=\"a\",job=\"x\"}", 1.0),
        ("up{instance=\"b<&\\\"\",job=\"x\"}", 0.0),
        ("big", 1e21),
        ("tiny", 1.5e-7),
        ("odd", f64::NAN),
    ] {
        for t in [1_000_000, 1_001_500] {
            source.add(&Labels::from_key(key), Sample { t, v });
        }
    }
    source
}

/// Parameters as they are in a query string, but not encoded.
fn params(text: &str) -> Params {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    Params(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn ask(answer: fn(&Request<'_>) -> Reply, query: &str) -> (u16, String) {
    let params = params(query);
    let (source, options, interrupt) = (source(), Options::default(), Interrupt::default());
    let request = Request {
        params: &params,
        source: &source,
        options: &options,
        interrupt: &interrupt,
        now: 1_001_500,
    };
    let reply = answer(&request);
    (reply.status, String::from_utf8(reply.body).expect("JSON is UTF-8"))
}

/// Compared with the answers of Prometheus 2.42 to the same samples. Newer ones escape no markup in labels, and have
/// `infos` and `limit`.
#[test]
fn answers_are_those_of_prometheus_to_the_byte() {
    for (answer, params, want) in [
        (
            query as fn(&Request<'_>) -> Reply,
            "query=up",
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"a","job":"x"},"value":[1001.500,"1"]},{"metric":{"__name__":"up","instance":"b<&\"","job":"x"},"value":[1001.500,"0"]}]}}"#,
        ),
        (
            query,
            "query={__name__=~\"big|tiny|odd\"}&time=1001",
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"big"},"value":[1001,"1e+21"]},{"metric":{"__name__":"tiny"},"value":[1001,"1.5e-07"]},{"metric":{"__name__":"odd"},"value":[1001,"NaN"]}]}}"#,
        ),
        (
            query,
            "query=1/0&time=5",
            r#"{"status":"success","data":{"resultType":"scalar","result":[5,"+Inf"]}}"#,
        ),
        (
            query,
            "query=\"a<b\"&time=5.25",
            r#"{"status":"success","data":{"resultType":"string","result":[5.25,"a\u003cb"]}}"#,
        ),
        (query, "query=none", r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
        (
            query,
            "query=big[5m]&time=1001",
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"big"},"values":[[1000,"1e+21"]]}]}}"#,
        ),
        (
            query,
            "query=rate(big[5m])&limit=1",
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1001.500,"0"]}]},"infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"big\" (1:6)"]}"#,
        ),
        (
            query,
            "query=up&limit=1",
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"a","job":"x"},"value":[1001.500,"1"]}]},"warnings":["results truncated due to limit"]}"#,
        ),
        (
            query_range,
            "query=count(up)&start=999&end=1001&step=1s",
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1000,"2"],[1001,"2"]]}]}}"#,
        ),
        (
            query_range,
            "query=1&start=1&end=2&step=0.5",
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[1.500,"1"],[2,"1"]]}]}}"#,
        ),
        (series, "match[]=big&match[]=big", r#"{"status":"success","data":[{"__name__":"big"}]}"#),
        (labels, "", r#"{"status":"success","data":["__name__","instance","job"]}"#),
        (labels, "match[]=big", r#"{"status":"success","data":["__name__"]}"#),
        (
            |request| label_values(request, "instance"),
            "",
            r#"{"status":"success","data":["a","b\u003c\u0026\""]}"#,
        ),
        (|request| label_values(request, "none"), "", r#"{"status":"success","data":[]}"#),
    ] {
        assert_eq!(ask(answer, params), (200, want.to_owned()), "{params}");
    }
}

#[test]
fn faults_have_the_status_and_words_of_prometheus() {
    let error =
        |kind: &str, text: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"{text}"}}"#);
    for (answer, params, status, kind, text) in [
        (
            query as fn(&Request<'_>) -> Reply,
            "query=up up",
            400,
            "bad_data",
            r#"invalid parameter \"query\": 1:4: parse error: unexpected identifier \"up\""#,
        ),
        (
            query,
            "",
            400,
            "bad_data",
            r#"invalid parameter \"query\": unknown position: parse error: no expression found in input"#,
        ),
        (
            query,
            "query=up&time=x",
            400,
            "bad_data",
            r#"invalid parameter \"time\": Invalid time value for 'time': cannot parse \"x\" to a valid timestamp"#,
        ),
        (
            query,
            "query=up+on(job)up",
            422,
            "execution",
            r#"found duplicate series for the match group {job=\"x\"} on the right hand-side of the operation: [{__name__=\"up\", instance=\"b\u003c\u0026\\\"\", job=\"x\"}, {__name__=\"up\", instance=\"a\", job=\"x\"}];many-to-many matching not allowed: matching labels must be unique on one side"#,
        ),
        (
            query_range,
            "query=up&start=1&end=0&step=1",
            400,
            "bad_data",
            r#"invalid parameter \"end\": end timestamp must not be before start time"#,
        ),
        (
            query_range,
            "query=up&start=1&end=2&step=0",
            400,
            "bad_data",
            r#"invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
        ),
        (
            query_range,
            "query=up&end=2",
            400,
            "bad_data",
            r#"invalid parameter \"start\": cannot parse \"\" to a valid timestamp"#,
        ),
        (
            query_range,
            "query=up&start=0&end=11001&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            query_range,
            "query=up[5m]&start=0&end=1&step=1",
            400,
            "bad_data",
            r#"invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"#,
        ),
        (series, "", 400, "bad_data", "no match[] parameter provided"),
        (
            series,
            "match[]=up[",
            400,
            "bad_data",
            r#"invalid parameter \"match[]\": 1:3: parse error: unexpected \"[\""#,
        ),
        (
            series,
            "match[]={a=\"\"}",
            400,
            "bad_data",
            r#"invalid parameter \"match[]\": match[] must contain at least one non-empty matcher"#,
        ),
        (labels, "limit=-1", 400, "bad_data", r#"invalid parameter \"limit\": limit must be non-negative"#),
    ] {
        let (got_status, got) = ask(answer, params);
        assert_eq!((got_status, got), (status, error(kind, text)), "{params}");
    }
}

#[test]
fn metadata_is_by_family_and_limited() {
    let families = [
        ("up", Metadata { kind: "gauge", help: "Is it <up>?", unit: "" }),
        ("bytes", Metadata { kind: "counter", help: "Sent", unit: "bytes" }),
        ("up", Metadata { kind: "gauge", help: "Other", unit: "" }),
    ];
    let ask = |query: &str| String::from_utf8(metadata(&params(query), families).body).expect("UTF-8");
    assert_eq!(
        ask(""),
        r#"{"status":"success","data":{"bytes":[{"type":"counter","help":"Sent","unit":"bytes"}],"up":[{"type":"gauge","help":"Is it \u003cup\u003e?","unit":""},{"type":"gauge","help":"Other","unit":""}]}}"#
    );
    assert_eq!(
        ask("metric=up&limit_per_metric=1"),
        r#"{"status":"success","data":{"up":[{"type":"gauge","help":"Is it \u003cup\u003e?","unit":""}]}}"#
    );
    assert_eq!(ask("metric=none"), r#"{"status":"success","data":{}}"#);
    assert_eq!(
        ask("limit=x"),
        r#"{"status":"error","errorType":"bad_data","error":"limit must be a number"}"#
    );
}

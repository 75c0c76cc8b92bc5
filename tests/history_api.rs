//! `/api/v1/history` and `/api/v1/export` through the router: what is answered, and what is refused. What a step tells is
//! tested where it is computed.
#![allow(clippy::unwrap_used)]

mod routed;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;

use gaugecast::server::{self, Router};
use serde_json::{Value, json};

const T0: i64 = 1_700_000_000_000;

/// Ten minutes of a counter at 1 Hz, and one sample of many series.
fn router() -> Router {
    let counter = [("__name__", "sent_total"), ("job", "a")];
    let mut writes = vec![routed::write(&counter, T0, (0..=600).map(|second| f64::from(second) * 2.0))];
    let many = (0..501).map(|n| n.to_string());
    writes.extend(many.map(|n| routed::write(&[("__name__", "many"), ("n", &n)], T0, std::iter::once(1.0))));
    Router::new(routed::app(&writes))
}

async fn ask(router: &Router, method: &str, target: &str, form: &str) -> (u16, Value) {
    routed::ask(router, method, target, form, &[]).await
}

#[tokio::test]
async fn a_range_is_answered_by_samples_or_by_steps_to_get_and_to_post() {
    let router = router();
    let raw = "match[]=sent_total&start=1700000001&end=2023-11-14T22:13:22Z";
    let (status, answer) = ask(&router, "GET", &format!("/api/v1/history?{raw}"), "").await;
    let data = json!({"start": T0 + 1000, "end": T0 + 2000, "oldest": T0, "series": [
        {"labels": {"__name__": "sent_total", "job": "a"}, "points": [[T0 + 1000, 2], [T0 + 2000, 4]]},
    ]});
    assert_eq!((status, &answer), (200, &json!({"status": "success", "data": data})));
    assert_eq!(ask(&router, "POST", "/api/v1/history", raw).await, (status, answer));

    let steps = "match[]=sent_total&start=1700000060&end=1700000600&step=1m&agg=";
    for (agg, first) in [("avg", 61.0), ("max", 120.0), ("rate", 2.0), ("count", 60.0), ("p95", 114.1)] {
        let (_, answer) = ask(&router, "GET", &format!("/api/v1/history?{steps}{agg}"), "").await;
        let points = answer["data"]["series"][0]["points"].as_array().unwrap();
        assert_eq!((points.len(), &points[0][0]), (10, &json!(T0 + 60_000)), "{agg}");
        let value = points[0][1].as_f64().unwrap();
        assert!((value - first).abs() < 0.1, "{agg}: {value}");
    }
}

#[tokio::test]
async fn a_range_that_begins_before_the_oldest_sample_is_answered_with_a_warning() {
    let router = router();
    let (status, answer) =
        ask(&router, "GET", "/api/v1/history?match[]=sent_total&start=1600000000&end=1700000000", "").await;
    assert_eq!((status, &answer["data"]["oldest"]), (200, &json!(T0)));
    assert_eq!(answer["data"]["series"][0]["points"], json!([[T0, 0]]));
    assert_eq!(answer["warnings"], json!(["the range begins before the oldest sample that is kept"]));
    // The last hour, because nothing else was asked for, promises nothing.
    let (_, answer) = ask(&router, "GET", "/api/v1/history?match[]=sent_total&end=1700000000", "").await;
    assert_eq!(answer.get("warnings"), None, "{answer}");
}

#[tokio::test]
async fn what_is_wrong_or_too_much_is_refused_as_by_the_other_queries() {
    let router = router();
    for (params, status, kind, says) in [
        ("start=1", 400, "bad_data", "match[]"),
        ("match[]=sent_total&start=2&end=1", 400, "bad_data", r#"invalid parameter "end""#),
        ("match[]=sent_total&step=0", 400, "bad_data", r#"invalid parameter "step""#),
        ("match[]=sent_total&start=noon", 400, "bad_data", r#"invalid parameter "start""#),
        (
            "match[]=sent_total&start=0&end=1e9&step=1",
            422,
            "execution",
            "11000 points a series and 500 series",
        ),
        ("match[]=many&start=1699999999&end=1700000001", 422, "execution", "more than 500 series"),
    ] {
        let (got, answer) = ask(&router, "GET", &format!("/api/v1/history?{params}"), "").await;
        assert_eq!(
            (got, &answer["status"], &answer["errorType"]),
            (status, &json!("error"), &json!(kind)),
            "{params}"
        );
        assert!(answer["error"].as_str().unwrap().contains(says), "{params}: {answer}");
    }
    let (status, answer) =
        ask(&router, "GET", "/api/v1/history?match[]=sent_total&start=4000000000&end=4000000001", "").await;
    assert_eq!((status, &answer["data"]["series"]), (200, &json!([])), "the future is empty");
}

// ------------------------------------------------------------------------------------------------ exports

async fn export(router: &Router, params: &str) -> (u16, server::Body) {
    let uri = format!("/api/v1/export?{params}");
    let request =
        Request::builder().uri(uri).header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    let response = router.handle(request).await;
    (response.status().as_u16(), response.into_body())
}

#[tokio::test]
async fn an_export_that_nobody_reads_on_gives_its_turn_back() {
    let router = router();
    let mut running = Vec::new();
    for _ in 0..4 {
        let (status, mut body) = export(&router, "match[]=sent_total").await;
        assert_eq!(status, 200);
        assert!(body.frame().await.is_some(), "it has begun");
        running.push(body);
    }
    assert_eq!(export(&router, "match[]=sent_total").await.0, 503);
    running.pop();
    assert_eq!(export(&router, "match[]=sent_total").await.0, 200);
}

#[tokio::test]
async fn an_export_of_the_future_is_empty_and_one_of_before_is_warned_of() {
    let router = router();
    let text = async |params: &str| {
        let (status, body) = export(&router, params).await;
        assert_eq!(status, 200);
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    let rows = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let future = text("match[]=sent_total&start=4000000000&end=4000000001").await;
    assert_eq!(rows(&future), 1, "the names of the columns: {future}");
    let early = text("match[]=sent_total&start=1600000000&end=1700000000").await;
    assert!(
        rows(&early) == 2 && early.contains("# warning,") && early.contains("# oldest,2023-11-14"),
        "{early}"
    );
    let json: Value = serde_json::from_str(&text("match[]=sent_total&start=1&format=json").await).unwrap();
    assert_eq!(json["meta"]["oldest"], "2023-11-14T22:13:20.000Z");
    assert!(json["meta"]["warning"].is_string());
}

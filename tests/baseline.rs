//! Baselines and trends: the API through the router, the commands of the real program on a real server, the example of
//! docs/history.md, and that what was acknowledged survives `kill -9`.
#![allow(clippy::unwrap_used)]

mod routed;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use gaugecast::history::Write;
use gaugecast::server::{Router, Server};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// 2025-11-21T10:00:00Z.
const T0: i64 = 1_763_719_200_000;

/// A shop for twenty minutes, of which the last ten are after a deployment: checkouts take longer and payments fail more
/// often; what is ordered and what waits is as before.
fn shop() -> Vec<Write> {
    let seconds = || (0..1200).map(f64::from);
    let before = |second: f64| second.min(600.0);
    let after = |second: f64| (second - 600.0).max(0.0);
    let bucket = |le: &str, rates: (f64, f64)| {
        let values = seconds().map(move |s| (before(s) * rates.0 + after(s) * rates.1).floor());
        routed::write(&[("__name__", "shop_checkout_seconds_bucket"), ("le", le)], T0, values)
    };
    let one = |name: &str, value: &dyn Fn(f64) -> f64| {
        routed::write(&[("__name__", name)], T0, seconds().map(value))
    };
    vec![
        bucket("0.1", (2.0, 0.5)),
        bucket("0.25", (3.5, 1.0)),
        bucket("0.5", (4.0, 2.5)),
        bucket("1", (4.0, 4.0)),
        bucket("+Inf", (4.0, 4.0)),
        one("shop_orders_total", &|s| s * 4.0),
        one("shop_payments_failed_total", &|s| (before(s) * 0.1 + after(s) * 0.5).floor()),
        one("shop_queue_depth", &|s| 3.0 + s % 5.0),
        one("shop_sessions", &|s| 100.0 + s / 4.0),
    ]
}

fn router() -> Router {
    Router::new(routed::app(&shop()))
}

async fn ask(router: &Router, method: &str, path: &str, form: &str) -> (u16, Value) {
    routed::ask(router, method, &format!("/api/v1/{path}"), form, &[]).await
}

/// Ten minutes from the begin, and the ten after.
const BEFORE: &str = "start=2025-11-21T10:00:00Z&end=2025-11-21T10:09:59Z";
const AFTER: &str = "start=2025-11-21T10:10:00Z&end=2025-11-21T10:19:59Z";
const ALL: &str = "match[]=%7B__name__%3D~%22shop_.*%22%7D";

// ------------------------------------------------------------------------------------------------ the API

#[tokio::test]
async fn a_baseline_is_saved_shown_listed_replaced_and_deleted() {
    let router = router();
    let form = format!("{ALL}&{BEFORE}&note=as+it+was");
    let (status, saved) = ask(&router, "POST", "baselines/a", &form).await;
    assert_eq!((status, &saved["data"]["count"]), (201, &json!(5)), "{saved}");
    assert_eq!(ask(&router, "POST", "baselines/a", &form).await.0, 409);
    assert_eq!(ask(&router, "PUT", "baselines/a", &form).await.0, 200);
    assert_eq!(ask(&router, "PUT", &format!("baselines/b?{ALL}&{AFTER}"), "").await.0, 201);

    let (_, list) = ask(&router, "GET", "baselines", "").await;
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    let head = &list["data"][0];
    assert_eq!(
        (&head["note"], &head["start"], &head["end"]),
        (&json!("as it was"), &json!(T0), &json!(T0 + 599_000))
    );
    assert_eq!(head["match"], json!([r#"{__name__=~"shop_.*"}"#]));

    let (_, shown) = ask(&router, "GET", "baselines/a", "").await;
    let series = shown["data"]["series"].as_array().unwrap();
    let told: Vec<_> = series
        .iter()
        .map(|one| (one["series"].as_str().unwrap(), one["measure"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("shop_checkout_seconds", "observations"),
            ("shop_orders_total", "rate"),
            ("shop_payments_failed_total", "rate"),
            ("shop_queue_depth", "value"),
            ("shop_sessions", "value"),
        ]
    );
    let depth = json!({"series": "shop_queue_depth", "measure": "value", "count": 600, "mean": 5.0, "min": 3.0,
        "p50": 5.0, "p95": 7.0, "p99": 7.0, "max": 7.0, "stddev": (2.0f64 * 600.0 / 599.0).sqrt()});
    assert_eq!(series[3], depth);

    assert_eq!(ask(&router, "DELETE", "baselines/a", "").await.0, 200);
    for (method, path) in [("GET", "baselines/a"), ("DELETE", "baselines/a"), ("GET", "baselines/a/compare")]
    {
        let (status, answer) = ask(&router, method, path, "").await;
        assert_eq!((status, &answer["errorType"]), (404, &json!("not_found")), "{method} {path}");
    }
}

#[tokio::test]
async fn another_range_or_baseline_is_compared_and_judged() {
    let router = router();
    ask(&router, "PUT", "baselines/before", &format!("{ALL}&{BEFORE}")).await;
    ask(&router, "PUT", "baselines/after", &format!("{ALL}&{AFTER}")).await;
    let (status, by_range) = ask(&router, "GET", &format!("baselines/before/compare?{AFTER}"), "").await;
    assert_eq!(status, 200, "{by_range}");
    let (_, by_name) = ask(&router, "GET", "baselines/before/compare?with=after", "").await;
    assert_eq!(by_range["data"]["series"], by_name["data"]["series"]);
    let data = &by_name["data"];
    let verdicts: Vec<_> =
        data["series"].as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["worse", "same", "worse", "same", "changed"]);
    assert_eq!(
        (&data["verdict"], &data["counts"]["worse"], &data["after"]["name"]),
        (&json!("worse"), &json!(2), &json!("after"))
    );
    let sessions = &data["series"][4];
    assert_eq!(
        (&sessions["effect"], &sessions["magnitude"], &sessions["delta"]),
        (&json!(1.0), &json!("large"), &json!(150.0))
    );

    let (_, higher) =
        ask(&router, "GET", "baselines/before/compare?with=after&better=higher&match[]=shop_sessions", "")
            .await;
    let only: Vec<_> =
        higher["data"]["series"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(only, ["better"]);
    let (_, buckets) =
        ask(&router, "GET", "baselines/before/compare?with=after&match[]=shop_checkout_seconds_bucket", "")
            .await;
    assert_eq!(buckets["data"]["series"][0]["series"], "shop_checkout_seconds");
    let (_, strict) = ask(&router, "GET", "baselines/before/compare?with=after&change=3", "").await;
    assert_eq!(strict["data"]["counts"]["worse"], 1, "only failures changed by more than that: {strict}");
    // As long a range that ends now: nothing is there any more.
    let (_, now) = ask(&router, "GET", "baselines/before/compare", "").await;
    assert_eq!(now["data"]["counts"]["gone"], 5);
    let lasts = |side: &Value| side["end"].as_i64().unwrap() - side["start"].as_i64().unwrap();
    assert_eq!(lasts(&now["data"]["before"]), lasts(&now["data"]["after"]));
    // A series that is only in one of them is named.
    ask(&router, "PUT", "baselines/depth", &format!("match[]=shop_queue_depth&{BEFORE}")).await;
    let (_, one) = ask(&router, "GET", "baselines/depth/compare?with=after", "").await;
    assert_eq!((&one["data"]["counts"]["new"], &one["data"]["counts"]["same"]), (&json!(4), &json!(1)));
}

#[tokio::test]
async fn a_trend_is_told_with_its_slope_and_its_probability() {
    let router = router();
    let (status, answer) = ask(&router, "GET", &format!("trend?{ALL}&{BEFORE}"), "").await;
    assert_eq!(status, 200, "{answer}");
    let all = answer["data"]["series"].as_array().unwrap();
    let find = |name: &str| all.iter().find(|one| one["series"] == name).unwrap();
    let sessions = find("shop_sessions");
    assert_eq!((&sessions["trend"], &sessions["measure"]), (&json!("rising"), &json!("value")));
    assert!((sessions["slope_per_hour"].as_f64().unwrap() - 900.0).abs() < 1e-6, "{sessions}");
    assert!(sessions["p_value"].as_f64().unwrap() < 1e-9 && sessions["tau"].as_f64().unwrap() > 0.99);
    assert_eq!(find("shop_queue_depth")["trend"], "steady");
    assert_eq!(
        (&find("shop_orders_total")["trend"], &find("shop_orders_total")["measure"]),
        (&json!("steady"), &json!("rate"))
    );
    let (_, few) = ask(&router, "POST", "trend", "match[]=shop_sessions&end=2025-11-21T10:00:03Z").await;
    assert_eq!(few["data"]["series"][0]["trend"], "unknown", "four points say nothing");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_changes_nothing() {
    let router = router();
    let long = format!("{ALL}&{BEFORE}&note={}", "x".repeat(1025));
    for (method, path, form, status, says) in [
        ("PUT", "baselines/-a", ALL, 400, "a name has 1 to 64"),
        ("PUT", "baselines/a", "", 400, "no match[]"),
        ("PUT", "baselines/a", "match[]=a&start=2&end=1", 400, "\"end\""),
        ("PUT", "baselines/a", "match[]=a&last=x", 400, "\"last\""),
        ("PUT", "baselines/a", &long, 400, "\"note\""),
        ("PUT", "baselines/a", "match[]=none&last=1h", 422, "no series of match[] has values"),
        ("GET", "trend", "", 400, "no match[]"),
        ("POST", "baselines", "", 405, "GET, HEAD"),
        ("DELETE", "trend", "", 405, "GET, HEAD, POST"),
    ] {
        let (got, answer) = ask(&router, method, path, form).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(says), "{method} {path}: {answer}");
    }
    ask(&router, "PUT", "baselines/a", &format!("{ALL}&{BEFORE}")).await;
    for (params, status, says) in [
        ("with=b", 404, "there is no baseline \\\"b\\\""),
        ("with=a&last=1m", 400, "\"with\""),
        ("better=more", 400, "\"better\""),
        ("effect=2", 400, "\"effect\""),
        ("change=x", 400, "\"change\""),
        ("match[]=a{", 400, "\"match[]\""),
    ] {
        let (got, answer) =
            ask(&router, "GET", &format!("baselines/a/compare?{}", params.replace('{', "%7B")), "").await;
        assert_eq!(got, status, "{params}: {answer}");
        assert!(
            answer["error"].as_str().unwrap().contains(&says.replace("\\\"", "\"")),
            "{params}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_foreign_page_may_not_save_or_delete() {
    let router = router();
    let foreign = [("origin", "https://evil.example")];
    let form = format!("{ALL}&{BEFORE}");
    for method in ["PUT", "POST", "DELETE"] {
        let (status, answer) = routed::ask(&router, method, "/api/v1/baselines/a", &form, &foreign).await;
        assert_eq!((status, &answer["errorType"]), (403, &json!("forbidden")), "{method}");
    }
    let own = [("origin", "http://localhost")];
    assert_eq!(routed::ask(&router, "PUT", "/api/v1/baselines/a", &form, &own).await.0, 201);
    assert_eq!(
        routed::ask(&router, "GET", "/api/v1/baselines", "", &foreign).await.0,
        200,
        "reading changes nothing"
    );
}

// ------------------------------------------------------------------------------------------------ the program

fn gaugecast(args: &[&str], url: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gaugecast")).args(args).args(["--url", url]).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// A real server with the history of the shop.
fn serve() -> (String, DropGuard) {
    let server = Server::bind(routed::app(&shop())).unwrap();
    let (address, stop) = (server.addresses()[0], CancellationToken::new());
    tokio::spawn(server.run(stop.clone()));
    (format!("http://{address}"), stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_example_of_the_documentation_says_what_the_program_says() {
    let (url, _stop) = serve();
    let page = include_str!("../docs/history.md");
    let example = page.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut commands = 0;
    for part in format!("\n{example}").split("\n$ gaugecast ").skip(1) {
        let (line, mut want) = part.split_once('\n').unwrap_or((part, ""));
        let status = want.split_once("$ echo $?\n");
        let code = status.map_or(0, |(before, code)| {
            want = before;
            code.trim().parse().unwrap()
        });
        let args: Vec<&str> = line.split(' ').map(|arg| arg.trim_matches('\'')).collect();
        let said = gaugecast(&args, &url);
        assert_eq!(
            out(&said).trim_end(),
            want.trim_end(),
            "{line}\n{}",
            String::from_utf8_lossy(&said.stderr)
        );
        assert_eq!(said.status.code(), Some(code), "{line}");
        commands += 1;
    }
    assert_eq!(commands, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_commands_keep_show_and_delete_and_fail_where_they_should() {
    let (url, _stop) = serve();
    let run = |args: &[&str]| gaugecast(&[&["baseline"], args].concat(), &url);
    let (start, end) = ("--start=2025-11-21T10:00:00Z", "--end=2025-11-21T10:09:59Z");
    assert!(out(&run(&["list"])).starts_with("there are no baselines"));
    assert_eq!(run(&["save", "a", "shop_queue_depth", "shop_sessions", start, end]).status.code(), Some(0));
    let again = run(&["save", "a", "shop_queue_depth", start, end]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is a baseline \"a\" already"));
    assert_eq!(run(&["save", "a", "shop_sessions", start, end, "--replace"]).status.code(), Some(0));
    let shown: Value = serde_json::from_slice(&run(&["show", "a", "--json"]).stdout).unwrap();
    assert_eq!(shown["series"][0]["series"], "shop_sessions");
    assert!(out(&run(&["show", "a"])).contains("shop_sessions\n"));
    let later = ["--start=2025-11-21T10:10:00Z", "--end=2025-11-21T10:19:59Z"];
    for (flags, code) in [
        (&["--fail-on=worse"][..], 0),
        (&["--fail-on=changed"], 1),
        (&["--fail-on=worse", "--better=lower"], 1),
        (&["--fail-on=changed", "--better=higher"], 0),
        (&["--better=lower"], 0),
        (&["--fail-on=same"], 2),
    ] {
        let done = run(&[&["diff", "a"], &later[..], flags].concat());
        assert_eq!(done.status.code(), Some(code), "{flags:?}: {}", out(&done));
    }
    assert_eq!(out(&run(&["delete", "a"])), "deleted a\n");
    assert_eq!(run(&["delete", "a"]).status.code(), Some(1));
    assert_eq!(run(&["show", "a/b"]).status.code(), Some(2));
    let nobody = gaugecast(&["baseline", "list"], "127.0.0.1:1");
    assert_eq!(nobody.status.code(), Some(1));
}

/// The program as a server that stores, and its URL.
fn start(folder: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gaugecast"))
        .args(["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults", "--collect.tick=10ms"])
        .arg(format!("--storage.path={}", folder.display()))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines
        .map(|line| line.trim().to_owned())
        .find_map(|line| line.strip_prefix("page").map(str::to_owned));
    (child, url.unwrap().trim().to_owned())
}

#[test]
fn a_baseline_that_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = start(folder.path());
    let run = |args: &[&str], url: &str| gaugecast(&[&["baseline"], args].concat(), url);
    let saved = run(&["save", "kept", "gaugecast_history_samples", "--note=here"], &url);
    assert!(saved.status.success(), "{saved:?}");
    let before: Value = serde_json::from_slice(&run(&["show", "kept", "--json"], &url).stdout).unwrap();
    assert!(run(&["save", "dropped", "gaugecast_history_samples"], &url).status.success());
    assert!(run(&["delete", "dropped"], &url).status.success());
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();

    let (mut child, url) = start(folder.path());
    let after: Value = serde_json::from_slice(&run(&["show", "kept", "--json"], &url).stdout).unwrap();
    let list: Value = serde_json::from_slice(&run(&["list", "--json"], &url).stdout).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(before, after);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
}

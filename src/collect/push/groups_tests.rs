use super::*;
use crate::collect::feed::Feed;
use crate::collect::intake::Intake;
use crate::series::{Epoch, Tick};

fn at(seconds: u64) -> Moment {
    let unix_ms = 1_700_000_000_000 + i64::try_from(seconds).expect("small") * 1000;
    Moment { since_start: Duration::from_secs(seconds), unix_ms }
}

struct Fixture {
    groups: Groups,
    feed: GroupFeed,
    intake: Intake,
}

impl Fixture {
    fn new() -> Self {
        let groups = Groups::new(Duration::from_secs(300));
        Fixture { feed: groups.feed(), groups, intake: Intake::new(Epoch(1), 1000) }
    }

    fn push(&self, path: &str, mode: Mode, text: &str, seconds: u64) -> Result<(), PushError> {
        let grouping = grouping(path).expect("a path");
        self.groups.push(&grouping, mode, text.as_bytes(), Format::Text, |_| None, at(seconds))
    }

    fn tick(&mut self, seconds: u64) -> Arc<Tick> {
        self.feed.take(&mut self.intake, at(seconds));
        self.intake.commit(at(seconds), seconds)
    }

    /// `key value`, as /metrics shows it, without the times of the pushes.
    fn shown(&mut self, seconds: u64) -> Vec<String> {
        let tick = self.tick(seconds);
        let all = tick.schema.own.iter().flat_map(|family| &family.series);
        let all = all.filter(|series| series.name() != "push_time_seconds");
        all.map(|series| format!("{} {}", series.key(), tick.value(series))).collect()
    }
}

#[test]
fn a_push_replaces_its_group_or_its_families_and_leaves_other_groups_alone() {
    let mut f = Fixture::new();
    let page = "# TYPE done counter\ndone 1\nrows{job=\"other\",part=\"x\"} 5\n";
    f.push("backup", Mode::Replace, page, 0).expect("taken");
    f.push("backup/instance/b", Mode::Replace, "rows 7\n", 0).expect("taken");
    let first = [
        "done{job=\"backup\"} 1",
        "rows{instance=\"b\",job=\"backup\"} 7",
        "rows{job=\"backup\",part=\"x\"} 5",
    ];
    assert_eq!(f.shown(0), first);
    f.push("backup", Mode::Merge, "rows 6\n", 1).expect("taken");
    assert_eq!(
        f.shown(1),
        ["done{job=\"backup\"} 1", "rows{instance=\"b\",job=\"backup\"} 7", "rows{job=\"backup\"} 6"]
    );
    f.push("backup", Mode::Replace, "rows 8\n", 2).expect("taken");
    assert_eq!(f.shown(2), ["rows{instance=\"b\",job=\"backup\"} 7", "rows{job=\"backup\"} 8"]);
    f.groups.delete(&grouping("backup").expect("a path"));
    assert_eq!(f.shown(3), ["rows{instance=\"b\",job=\"backup\"} 7"]);
}

#[test]
fn a_group_says_when_it_was_pushed_and_goes_when_it_is_not_pushed_again() {
    let mut f = Fixture::new();
    f.push("a", Mode::Replace, "x 1\n", 10).expect("taken");
    let tick = f.tick(10);
    let family = tick.schema.family("push_time_seconds").expect("there");
    assert_eq!(family.series[0].key(), "push_time_seconds{job=\"a\"}");
    assert_eq!(tick.value(&family.series[0]), 1_700_000_010.0);
    f.push("a", Mode::Merge, "x 2\n", 200).expect("taken");
    assert_eq!(f.shown(499), ["x{job=\"a\"} 2"]);
    assert!(f.tick(500).schema.families.is_empty());
    assert_eq!(f.groups.lock().series, 0);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_nothing_of_it_is_applied() {
    let mut f = Fixture::new();
    f.push("a", Mode::Replace, "x 1\n", 0).expect("taken");
    for (text, why) in [
        ("x 2\ny 3 1700000000000\n", "line 2: a pushed sample has no timestamp"),
        ("x 2\n\n# a comment\ny{ 1\n", "line 4"),
        ("x 2\nx 3\n", "stands twice"),
        ("x{job=\"1\"} 2\nx{job=\"2\"} 3\n", "stands twice"),
        ("x 2\n# TYPE n counter\nn NaN\n", "line 3: what counts cannot be NaN"),
    ] {
        let error = f.push("a", Mode::Replace, text, 1).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    let open = |text: &str| {
        f.groups.push(
            &grouping("a").expect("a path"),
            Mode::Replace,
            text.as_bytes(),
            Format::OpenMetrics,
            |_| None,
            at(1),
        )
    };
    for text in ["x 2\n", "# TYPE n counter\nn_total NaN\n# EOF\n"] {
        assert!(matches!(open(text), Err(PushError::Syntax(_))), "{text}");
    }
    assert_eq!(f.shown(1), ["x{job=\"a\"} 1"]);
    let page = "# TYPE n counter\nn_total 2\n# EOF\n";
    let taken = f.groups.push(
        &grouping("a").expect("a path"),
        Mode::Replace,
        page.as_bytes(),
        Format::OpenMetrics,
        |_| None,
        at(1),
    );
    taken.expect("taken");
    assert_eq!(f.shown(2), ["n_total{job=\"a\"} 2"]);
}

#[test]
fn a_family_has_one_type_in_all_groups_and_here() {
    let f = Fixture::new();
    f.push("a", Mode::Replace, "# TYPE x counter\nx 1\n", 0).expect("taken");
    let error = f.push("b", Mode::Replace, "# TYPE x gauge\nx 1\n", 0).expect_err("another type");
    assert_eq!(error.to_string(), "x is a counter already, not a gauge");
    // Its own group may think better of it.
    f.push("a", Mode::Replace, "# TYPE x gauge\nx 1\n", 0).expect("taken");
    let grouping = grouping("c").expect("a path");
    let ours = |name: &str| (name == "node_load1").then_some(Kind::Gauge);
    let text = b"# TYPE node_load1 histogram\nnode_load1_sum 1\n";
    let refused = f.groups.push(&grouping, Mode::Replace, text, Format::Text, ours, at(0));
    assert!(matches!(refused, Err(PushError::Type { .. })));
}

#[test]
fn a_path_names_a_group() {
    let pairs = |path: &str| {
        grouping(path).map(|labels| labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>())
    };
    assert_eq!(pairs("j"), Ok(vec!["job=j".to_owned()]));
    assert_eq!(pairs("j/b/2/a/1"), Ok(vec!["a=1".into(), "b=2".into(), "job=j".into()]));
    // "/var/tmp" and an empty value, as in the Pushgateway's own documentation.
    assert_eq!(
        pairs("directory_cleaner/path@base64/L3Zhci90bXA/x@base64/="),
        Ok(vec!["job=directory_cleaner".into(), "path=/var/tmp".into()])
    );
    assert_eq!(pairs("job@base64/YS9i"), Ok(vec!["job=a/b".into()]));
    for bad in ["", "j/a", "j/a/1/a/2", "j/job/x", "j/1a/x", "j/__name__/x", "j/a@base64/!!", "j/a@base64/L"]
    {
        assert!(grouping(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_series_that_two_groups_push_is_that_of_the_first_until_it_goes() {
    let mut f = Fixture::new();
    f.push("a", Mode::Replace, "x{i=\"1\"} 1\n", 0).expect("taken");
    assert_eq!(f.shown(0), ["x{i=\"1\",job=\"a\"} 1"]);
    f.push("a/i/1", Mode::Replace, "x 2\n", 1).expect("taken");
    assert_eq!(f.shown(1), ["x{i=\"1\",job=\"a\"} 1"]);
    f.groups.delete(&grouping("a").expect("a path"));
    f.push("a/i/1", Mode::Replace, "x 3\n", 2).expect("taken");
    assert_eq!(f.shown(2), ["x{i=\"1\",job=\"a\"} 3"]);
}

#[test]
fn what_would_spoil_the_page_for_its_scrapers_is_refused() {
    let f = Fixture::new();
    let own = |name: &str| (name == "own_seconds").then_some(Kind::Histogram);
    let push = |path: &str, text: &str| {
        let grouping = grouping(path).expect("a path");
        f.groups.push(&grouping, Mode::Replace, text.as_bytes(), Format::Text, own, at(0))
    };
    push("a", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n").expect("taken");
    for (path, text, told) in [
        (
            "b",
            "# TYPE x histogram\nx_bucket{le=\"much\"} 1\n",
            "line 2: a bucket needs a label le that is a number",
        ),
        ("b", "# TYPE x histogram\nx_bucket 1\n", "line 2: a bucket needs a label le that is a number"),
        ("b", "# TYPE x summary\nx{quantile=\"half\"} 1\n", "line 2: the quantile is no number"),
        ("b", "h_bucket{le=\"1\"} 1\n", "h_bucket is a part of h, which is a histogram"),
        (
            "a",
            "# TYPE h summary\nh{quantile=\"1\"} 1\n# TYPE h_count gauge\nh_count 1\n",
            "h_count is a part of h",
        ),
        ("b", "own_seconds_count 1\n", "own_seconds_count is a part of own_seconds"),
        ("b", "own_seconds 1\n", "own_seconds is a histogram already, not a unknown"),
    ] {
        let told_really = push(path, text).expect_err(text).to_string();
        assert!(told_really.contains(told), "{text}: {told_really}");
    }
    // The other way round: what is there is the part.
    push("a", "p_sum 1\n").expect("taken");
    let error = push("b", "# TYPE p summary\np_sum{quantile=\"1\"} 1\np_count 1\n").expect_err("a part");
    assert!(error.to_string().contains("p_sum is a part of p, which is a summary"), "{error}");
    // And what is replaced or deleted stands in nobody's way.
    push("a", "# TYPE p summary\np_sum 1\np_count 1\n").expect("taken");
    f.groups.delete(&grouping("a").expect("a path"));
    push("b", "h_bucket 1\np_sum 1\n").expect("taken");
}

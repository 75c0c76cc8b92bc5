use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family as ClientFamily;
use prometheus_client::metrics::histogram::{Histogram as ClientHistogram, NativeHistogramConfig};
use proptest::prelude::*;

use super::*;
use crate::series::native_key;

type Pairs = Vec<(String, String)>;

fn pairs(labels: &[(&str, &str)]) -> Pairs {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn page(registry: &Registry) -> String {
    let mut out = Vec::new();
    registry.page(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn at(seconds: u64) -> Moment {
    Moment { since_start: Duration::from_secs(seconds), unix_ms: 0 }
}

#[test]
fn every_type_is_written_as_openmetrics_has_it() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    registry.counter(("jobs", "Of a \\ line\nand \"more\""))?.inc_by(u64::MAX);
    registry.float_counter(Desc::new("busy", "Work").unit(Unit::Seconds))?.inc_by(0.5);
    registry.gauge(("open", "Doors"))?.set(-3);
    registry.float_gauge(("level_ratio", "Level"))?.set(f64::NEG_INFINITY);
    let histogram = registry.histogram(("size_bytes", "Sizes"), Buckets::classic([1.0, 2.5])?)?;
    [1.0, 1.5, 9.0].iter().for_each(|value| histogram.observe(*value));
    let signed = registry.histogram(("change", "Changes"), Buckets::linear(-1.0, 1.0, 2)?)?;
    [-3.0, 0.0].iter().for_each(|value| signed.observe(*value));
    let summary = registry.summary(("wait_seconds", "Waits"), Quantiles::new(&[0.0, 0.5, 1.0], 2)?)?;
    [9.0, 1.0, 3.0].iter().for_each(|value| summary.observe(*value));
    registry.info(("app_build", "Build"), [("version", "1.\"2"), ("branch", "")])?;
    registry.stateset(("mode", "Mode"), States::new(&["a", "b\"c"]))?.only("b\"c")?;
    let family: Family<Pairs, Gauge> = registry.family(("room", "Rooms"), ())?;
    family.get(&pairs(&[("b", "2"), ("a", "1")])).set(1);
    family.get(&pairs(&[])).set(2);
    let _empty: Family<Pairs, Gauge> = registry.family(("empty", "Nothing"), ())?;
    assert_eq!(
        page(&registry),
        "# HELP jobs Of a \\\\ line\\nand \\\"more\\\"\n# TYPE jobs counter\njobs_total 18446744073709551615\n\
         # HELP busy_seconds Work\n# TYPE busy_seconds counter\n# UNIT busy_seconds seconds\n\
         busy_seconds_total 0.5\n\
         # HELP open Doors\n# TYPE open gauge\nopen -3\n\
         # HELP level_ratio Level\n# TYPE level_ratio gauge\nlevel_ratio -Inf\n\
         # HELP size_bytes Sizes\n# TYPE size_bytes histogram\n\
         size_bytes_bucket{le=\"1.0\"} 1\nsize_bytes_bucket{le=\"2.5\"} 2\nsize_bytes_bucket{le=\"+Inf\"} 3\n\
         size_bytes_sum 11.5\nsize_bytes_count 3\n\
         # HELP change Changes\n# TYPE change histogram\n\
         change_bucket{le=\"-1.0\"} 1\nchange_bucket{le=\"0.0\"} 2\nchange_bucket{le=\"+Inf\"} 2\n\
         # HELP wait_seconds Waits\n# TYPE wait_seconds summary\n\
         wait_seconds{quantile=\"0.0\"} 1\nwait_seconds{quantile=\"0.5\"} 1\nwait_seconds{quantile=\"1.0\"} 3\n\
         wait_seconds_sum 13\nwait_seconds_count 3\n\
         # HELP app_build Build\n# TYPE app_build info\napp_build_info{version=\"1.\\\"2\"} 1\n\
         # HELP mode Mode\n# TYPE mode stateset\nmode{mode=\"a\"} 0\nmode{mode=\"b\\\"c\"} 1\n\
         # HELP room Rooms\n# TYPE room gauge\nroom{a=\"1\",b=\"2\"} 1\nroom 2\n\
         # EOF\n"
    );
    assert_eq!(page(&registry), page(&registry), "stable from page to page");
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Method {
    Get,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Derived {
    method: Method,
    status: u16,
}

crate::label_set! {
    struct Declared { method: Method, status: Option<u16>, secure: bool, r#type: &'static str }
}

#[test]
fn label_sets_are_derived_or_declared() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let derived: Family<Derived, Counter> = registry.family(("derived", "Derived"), ())?;
    derived.get(&Derived { method: Method::Get, status: 200 }).inc();
    let declared: Family<Declared, Counter> = registry.family(("declared", "Declared"), ())?;
    declared.get(&Declared { method: Method::Get, status: None, secure: true, r#type: "a" }).inc();
    let page = page(&registry);
    assert!(page.contains("\nderived_total{method=\"Get\",status=\"200\"} 1\n"), "{page}");
    assert!(page.contains("\ndeclared_total{method=\"Get\",secure=\"true\",type=\"a\"} 1\n"), "{page}");
    Ok(())
}

#[test]
fn registering_the_same_again_gives_the_same_metric() -> Result<(), RegisterError> {
    let registry = Registry::new();
    registry.counter(("jobs", "Jobs"))?.inc();
    registry.clone().counter(("jobs", "Jobs"))?.inc();
    let family: Family<Pairs, Counter> = registry.family(("calls", "Calls"), ())?;
    family.get(&pairs(&[("a", "x")])).inc();
    let again: Family<Pairs, Counter> = registry.family(("calls", "Calls"), ())?;
    assert_eq!(again.get(&pairs(&[("a", "x")])).get(), 1);
    assert_eq!(registry.counter(("jobs", "Jobs"))?.get(), 2);
    Ok(())
}

#[test]
fn a_taken_name_tells_what_differs() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    registry.counter(("jobs", "Jobs"))?;
    let _calls: Family<Pairs, Counter> = registry.family(("calls", "Calls"), ())?;
    registry.histogram(("wait_seconds", "Wait"), Buckets::seconds())?;
    let differs = |error: RegisterError| match error {
        RegisterError::Redefined { difference, .. } => difference,
        other => panic!("{other}"),
    };
    assert_eq!(differs(registry.gauge(("jobs", "Jobs")).expect_err("taken")), "type");
    assert_eq!(differs(registry.counter(("jobs", "Others")).expect_err("taken")), "help");
    assert_eq!(
        differs(registry.float_counter(("jobs", "Jobs")).expect_err("taken")),
        "label set or settings"
    );
    let unit = Desc::new("wait", "Wait").unit(Unit::Seconds);
    assert_eq!(differs(registry.histogram(unit, Buckets::seconds()).expect_err("taken")), "unit");
    let labels = registry.family::<[(&str, &str); 1], Counter>(("calls", "Calls"), ());
    assert_eq!(differs(labels.expect_err("taken")), "label set or settings");
    let limit = registry.family::<Pairs, Counter>(Desc::new("calls", "Calls").limit(3), ());
    assert_eq!(differs(limit.expect_err("taken")), "label set or settings");
    let buckets = registry.histogram(("wait_seconds", "Wait"), Buckets::classic([1.0])?);
    assert_eq!(differs(buckets.expect_err("taken")), "label set or settings");
    let raw = registry.register("jobs", "Jobs", None, metrics::counter::Counter::<u64>::default());
    assert_eq!(differs(raw.expect_err("taken")), "metric");
    Ok(())
}

#[test]
fn families_that_would_expose_the_same_series_clash() -> Result<(), Box<dyn std::error::Error>> {
    // Names with reserved suffixes cannot be registered at all, so only a family's own name can be met.
    let mut families = Families::default();
    let mut add = |name: &str, kind| families.add(name.into(), "x", None, kind, Body::Raw(raw_gauge()));
    let clash = |name: &str, series: &str, other: &str| {
        let (name, series, other) = (name.into(), series.into(), other.into());
        Err(RegisterError::Clash { name, series, other })
    };
    add("a", Kind::Counter)?;
    assert_eq!(add("a_total", Kind::Gauge), clash("a_total", "a_total", "a"));
    assert_eq!(add("a_created", Kind::Gauge), clash("a_created", "a_created", "a"));
    add("b_count", Kind::Gauge)?;
    assert_eq!(add("b", Kind::Histogram), clash("b", "b_count", "b_count"));
    assert_eq!(add("b", Kind::Summary), clash("b", "b_count", "b_count"));
    add("b", Kind::Gauge)?;
    add("c", Kind::Info)?;
    assert_eq!(add("c_info", Kind::Gauge), clash("c_info", "c_info", "c"));
    let own = Registry::new().counter(("gaugecast_registry_refused", "Mine"));
    assert!(matches!(own, Err(RegisterError::Clash { other, .. }) if other == "the registry itself"));
    Ok(())
}

fn raw_gauge() -> Raw {
    Raw::new("x", "x", None, metrics::gauge::Gauge::<i64>::default())
}

#[test]
fn what_is_unregistered_can_be_registered_anew() -> Result<(), RegisterError> {
    let registry = Registry::new();
    registry.counter(("a", "A"))?;
    registry.counter(("b", "B"))?;
    registry.counter(("c", "C"))?;
    assert!(registry.unregister("a"));
    assert!(!registry.unregister("a"));
    registry.gauge(("a", "A"))?;
    assert!(registry.unregister("c"));
    assert_eq!(
        page(&registry),
        "# HELP b B\n# TYPE b counter\nb_total 0\n# HELP a A\n# TYPE a gauge\na 0\n# EOF\n"
    );
    Ok(())
}

#[test]
fn what_a_counter_cannot_take_is_refused_and_counted() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let counter = registry.float_counter(("work", "Work"))?;
    let histogram = registry.histogram(("wait_seconds", "Wait"), Buckets::seconds())?;
    let summary = registry.summary(("size", "Size"), Quantiles::default())?;
    counter.inc_by(1.5);
    for bad in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(counter.try_inc_by(bad).is_err(), "{bad}");
        counter.inc_by(bad);
        histogram.observe(bad);
        summary.observe(bad);
    }
    assert_eq!(counter.try_inc_by(-1.0), Err(ValueError::Negative));
    assert_eq!(counter.try_inc_by(f64::NAN), Err(ValueError::NotFinite));
    assert!((counter.get() - 1.5).abs() < f64::EPSILON);
    assert_eq!(histogram.count(), 0);
    let page = page(&registry);
    assert!(page.contains("gaugecast_registry_refused_total{reason=\"negative\"} 3\n"), "{page}");
    assert!(page.contains("gaugecast_registry_refused_total{reason=\"not_finite\"} 9\n"), "{page}");
    Ok(())
}

#[test]
fn beyond_the_cap_of_a_family_all_record_into_one_series() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let family: Family<Pairs, Counter> = registry.family(Desc::new("calls", "Calls").limit(2), ())?;
    for path in ["/a", "/b", "/c", "/d", "/a"] {
        family.get(&pairs(&[("path", path)])).inc();
    }
    assert_eq!(family.try_get(&pairs(&[("path", "/e")])).expect_err("full"), LabelError::Full);
    assert_eq!(
        page(&registry),
        "# HELP calls Calls\n# TYPE calls counter\ncalls_total{path=\"/a\"} 2\ncalls_total{path=\"/b\"} 1\n\
         calls_total{__overflow__=\"true\"} 2\n\
         # HELP gaugecast_registry_overflow Lookups that a cap of label sets sent to the overflow series, by family.\n\
         # TYPE gaugecast_registry_overflow counter\ngaugecast_registry_overflow_total{family=\"calls\"} 2\n# EOF\n"
    );
    assert!(family.remove(&pairs(&[("path", "/a")])));
    assert!(family.try_get(&pairs(&[("path", "/e")])).is_ok(), "there is room again");
    Ok(())
}

#[test]
fn the_cap_of_the_registry_spans_families_and_is_given_back() -> Result<(), RegisterError> {
    let registry = Registry::with_limit(3);
    let one: Family<Pairs, Gauge> = registry.family(("one", "One"), ())?;
    let two: Family<Pairs, Gauge> = registry.family(("two", "Two"), ())?;
    let label = |value: &str| pairs(&[("a", value)]);
    for value in ["x", "y"] {
        one.get(&label(value)).set(1);
    }
    two.get(&label("x")).set(1);
    assert_eq!(two.try_get(&label("y")).expect_err("full"), LabelError::Full);
    drop(one);
    assert!(registry.unregister("one"));
    assert!(two.try_get(&label("y")).is_ok() && two.try_get(&label("z")).is_ok());
    assert_eq!(two.try_get(&label("q")).expect_err("full"), LabelError::Full);
    Ok(())
}

#[test]
fn a_label_set_that_cannot_be_exposed_goes_to_the_overflow_series() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let family: Family<Pairs, Counter> = registry.family(("calls", "Calls"), ())?;
    family.get(&pairs(&[("le", "1")])).inc();
    family.get(&pairs(&[("a b", "1")])).inc();
    let page = page(&registry);
    assert!(page.contains("calls_total{__overflow__=\"true\"} 2\n"), "{page}");
    assert!(page.contains("gaugecast_registry_refused_total{reason=\"labels\"} 2\n"), "{page}");
    assert!(family.is_empty());
    Ok(())
}

#[test]
fn label_sets_of_the_same_text_are_one_series() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let family: Family<Pairs, Counter> = registry.family(("calls", "Calls"), ())?;
    family.get(&pairs(&[("a", "1"), ("b", "2")])).inc();
    family.get(&pairs(&[("b", "2"), ("a", "1"), ("c", "")])).inc();
    assert!(page(&registry).contains("\ncalls_total{a=\"1\",b=\"2\"} 2\n# EOF"));
    assert!(family.remove(&pairs(&[("a", "1"), ("b", "2")])));
    assert!(family.is_empty());
    assert_eq!(page(&registry), "# EOF\n");
    Ok(())
}

#[test]
fn a_series_goes_when_idle_for_its_time_to_live() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let desc = || Desc::new("room", "Rooms").ttl(Duration::from_secs(10));
    let family: Family<[(&str, &str); 1], Gauge> = registry.family(desc(), ())?;
    let forever: Family<[(&str, &str); 1], Gauge> = registry.family(("forever", "Stays"), ())?;
    forever.get(&[("a", "x")]).set(1);
    let kept = family.get(&[("a", "kept")]);
    for name in ["idle", "changed", "asked"] {
        family.get(&[("a", name)]).set(1);
    }
    registry.expire(at(100));
    registry.expire(at(109));
    assert_eq!(family.len(), 4, "nobody is idle for ten seconds yet");
    family.get(&[("a", "asked")]).set(1);
    registry.expire(at(110));
    let text = page(&registry);
    assert!(!text.contains("room{a=\"idle\"}"), "{text}");
    assert!(text.contains("room{a=\"kept\"}") && text.contains("room{a=\"asked\"}"), "{text}");
    assert!(text.contains("forever{a=\"x\"}"), "{text}");
    drop(kept);
    registry.expire(at(119));
    assert_eq!(family.len(), 2, "idle counts from when the handle was last seen");
    registry.expire(at(120));
    assert!(family.is_empty());
    Ok(())
}

#[test]
fn recording_through_a_clone_of_the_metric_counts_as_use() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let desc = Desc::new("calls", "Calls").ttl(Duration::from_secs(10));
    let family: Family<[(&str, &str); 1], Counter> = registry.family(desc, ())?;
    // The metric without its handle: kept by nobody as far as the family knows.
    let metric: Counter = (*family.get(&[("a", "x")])).clone();
    registry.expire(at(0));
    registry.expire(at(9));
    metric.inc();
    registry.expire(at(10));
    registry.expire(at(19));
    assert_eq!(family.len(), 1);
    registry.expire(at(20));
    assert!(family.is_empty());
    Ok(())
}

#[test]
fn threads_count_exactly_and_meet_in_one_series() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let family: Family<[(&'static str, u32); 1], Histogram> =
        registry.family(("wait_seconds", "Wait"), Buckets::classic([0.5, 1.5])?)?;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..1000 {
                    family.get(&[("a", i % 3)]).observe(f64::from(i % 3));
                }
            });
        }
    });
    let counts: Vec<u64> = (0..3).map(|i| family.get(&[("a", i)]).count()).collect();
    assert_eq!(counts, [1336, 1332, 1332]);
    assert!(page(&registry).contains("wait_seconds_sum{a=\"2\"} 2664\n"));
    Ok(())
}

#[test]
fn native_histograms_are_in_the_text_as_far_as_it_can_carry_them() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let family: Family<Pairs, Histogram> =
        registry.family(("wait_seconds", "Wait"), Buckets::native(2.0)?)?;
    let labelled = family.get(&pairs(&[("b", "y"), ("a", "\"x\"")]));
    [0.0, 1.5, 3.0, 3.5].iter().for_each(|value| labelled.observe(*value));
    let both = registry.histogram(("size_bytes", "Size"), Buckets::classic([2.0])?.and_native(1.1)?)?;
    [1.0, 4.0].iter().for_each(|value| both.observe(*value));
    let text = page(&registry);
    let labels = "{a=\"\\\"x\\\"\",b=\"y\"}";
    let want = "wait_seconds_bucket{a=\"\\\"x\\\"\",b=\"y\",le=\"+Inf\"} 4\n\
         wait_seconds_sum{a=\"\\\"x\\\"\",b=\"y\"} 8\nwait_seconds_count{a=\"\\\"x\\\"\",b=\"y\"} 4\n";
    assert!(text.contains(want), "{text}");
    assert!(text.contains("size_bytes_bucket{le=\"2.0\"} 1\nsize_bytes_bucket{le=\"+Inf\"} 2\n"), "{text}");
    let natives = registry.natives();
    let native = &natives[&*native_key("wait_seconds", labels)];
    assert_eq!((native.count, native.zero_count, native.schema), (4, 1, 0));
    // Schema 0: bucket i is (2^(i-1), 2^i]; 1.5 is in bucket 1, the others in bucket 2.
    assert_eq!((&*native.positive_spans, &*native.positive_deltas), (&[(1, 2)][..], &[1, 1][..]));
    assert_eq!(natives[&*native_key("size_bytes", "")].count, 2);
    assert_eq!(natives.len(), 2);
    Ok(())
}

#[test]
fn metrics_of_prometheus_client_are_written_with_their_help_escaped() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let counter = metrics::counter::Counter::<u64>::default();
    registry.register("work", "Line\nand \\", Some(Unit::Seconds), counter.clone())?;
    let family = ClientFamily::<Pairs, metrics::gauge::Gauge>::default();
    registry.register("room", "Rooms", None, family.clone())?;
    counter.inc();
    let header =
        "# HELP work_seconds Line\\nand \\\\\n# TYPE work_seconds counter\n# UNIT work_seconds seconds\n";
    assert_eq!(page(&registry), format!("{header}work_seconds_total 1\n# EOF\n"));
    family.get_or_create(&pairs(&[("a", "x\ny")])).set(4);
    assert!(page(&registry).ends_with("# TYPE room gauge\nroom{a=\"x\\ny\"} 4\n# EOF\n"));
    Ok(())
}

#[test]
fn native_histograms_of_prometheus_client_are_found_out() -> Result<(), RegisterError> {
    let registry = Registry::new();
    let family = ClientFamily::<Pairs, ClientHistogram>::new_with_constructor(|| {
        ClientHistogram::new_native(NativeHistogramConfig::new(2.0))
    });
    registry.register("wait_seconds", "Wait", None, family.clone())?;
    let plain = ClientHistogram::new([1.0]);
    registry.register("size_bytes", "Size", None, plain.clone())?;
    plain.observe(0.5);
    assert!(page(&registry).contains("size_bytes_bucket{le=\"1.0\"} 1\n"));
    family.get_or_create(&pairs(&[("b", "2"), ("a", "1")])).observe(1.0);
    let text = page(&registry);
    assert!(text.contains("\nwait_seconds_bucket{a=\"1\",b=\"2\",le=\"+Inf\"} 1\n"), "{text}");
    assert_eq!(registry.natives()[&*native_key("wait_seconds", "{a=\"1\",b=\"2\"}")].count, 1);
    assert_eq!(registry.natives().len(), 1);
    Ok(())
}

/// Writes a sample, then fails.
#[derive(Debug)]
struct Broken;

impl EncodeMetric for Broken {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&1_i64)?;
        Err(fmt::Error)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[test]
fn a_family_that_cannot_be_encoded_takes_no_other_with_it() -> Result<(), RegisterError> {
    let registry = Registry::new();
    registry.register("broken", "Broken", None, Broken)?;
    let family = ClientFamily::<Pairs, metrics::gauge::Gauge>::default();
    registry.register("hostile", "Label name breaks the line", None, family.clone())?;
    family.get_or_create(&pairs(&[("a b", "x")])).set(1);
    registry.gauge(("fine", "Fine"))?;
    let first = page(&registry);
    assert!(first.starts_with("# HELP fine Fine\n# TYPE fine gauge\nfine 0\n"), "{first}");
    let second = page(&registry);
    for name in ["broken", "hostile"] {
        let count = format!("gaugecast_registry_encode_failures_total{{family=\"{name}\"}} 2\n");
        assert!(second.contains(&count), "{second}");
    }
    Ok(())
}

#[test]
fn infos_and_state_sets_are_checked_at_registration() {
    let registry = Registry::new();
    let labels = registry.info(("app", "App"), [("__name__", "x")]);
    assert!(matches!(labels, Err(RegisterError::Labels { source: LabelError::Reserved(_), .. })));
    for states in [&[][..], &["a", "a"], &[""], &["x"; 65]] {
        let refused = registry.stateset(("mode", "Mode"), States::new(states));
        assert!(matches!(refused, Err(RegisterError::Settings { .. })), "{states:?}");
        let refused = registry.family::<Pairs, StateSet>(("mode", "Mode"), States::new(states));
        assert!(matches!(refused, Err(RegisterError::Settings { .. })), "{states:?}");
    }
    let with_unit = registry.stateset(Desc::new("mode", "Mode").unit(Unit::Seconds), States::new(&["a"]));
    assert!(matches!(with_unit, Err(RegisterError::Settings { .. })));
    assert_eq!(page(&registry), "# EOF\n");
}

#[test]
fn states_are_set_one_by_one_or_alone() -> Result<(), Box<dyn std::error::Error>> {
    let mode = Registry::new().stateset(("mode", "Mode"), States::new(&["a", "b", "c"]))?;
    mode.set("a", true)?;
    mode.set("b", true)?;
    mode.set("a", false)?;
    assert!(!mode.holds("a") && mode.holds("b") && !mode.holds("no such"));
    mode.only("c")?;
    assert!(!mode.holds("b") && mode.holds("c"));
    assert_eq!(mode.set("no such", true), Err(ValueError::UnknownState));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_registered_each_line_of_the_page_is_well_formed(
        names in prop::collection::vec("[a-z]{3,8}(_[a-z]{3,8})?|[a-z_:A-Z0-9é ]{1,8}", 1..7),
        help in any::<String>(),
        labels in prop::collection::vec(("[a-z]{1,2}|[a-z]{1,2}|\\PC{0,3}", any::<String>()), 0..4),
        value in any::<f64>(),
    ) {
        let registry = Registry::new();
        let labels: Pairs = labels;
        for (i, name) in names.iter().enumerate() {
            let desc = Desc::new(name, &help);
            match i {
                0 => drop(registry.family::<Pairs, FloatGauge>(desc, ()).map(|f| f.get(&labels).set(value))),
                1 => drop(registry.family::<Pairs, Histogram>(desc, Buckets::seconds()).map(|f| f.get(&labels).observe(value))),
                2 => drop(registry.info(desc, labels.clone())),
                3 => drop(registry.family::<Pairs, Summary>(desc, Quantiles::default()).map(|f| f.get(&labels).observe(value))),
                4 => {
                    let family = ClientFamily::<Pairs, metrics::gauge::Gauge>::default();
                    family.get_or_create(&labels).set(1);
                    drop(registry.register(name, &help, None, family));
                }
                _ => drop(registry.stateset(desc, States::new(&["a", "b"]))),
            }
        }
        let page = page(&registry);
        prop_assert!(page.ends_with("# EOF\n"));
        let mut name = "";
        for line in page.lines() {
            match line.strip_prefix("# HELP ") {
                Some(rest) => name = rest.split(' ').next().unwrap_or_default(),
                None if line.starts_with("# TYPE ") || line == "# EOF" => {}
                None => prop_assert!(labels::is_sample_line(line, name), "{line:?} in {name:?}"),
            }
        }
    }
}

#[test]
fn an_observation_may_be_recorded_several_times_at_once() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    for (name, buckets) in [("classic", Buckets::classic([1.0])?), ("native", Buckets::native(1.1)?)] {
        let [once, many] = ["once", "many"].map(|how| {
            registry.histogram((&*format!("{name}_{how}"), "Sizes"), buckets.clone()).expect("a free name")
        });
        (0..3).for_each(|_| once.observe(0.5));
        many.observe_many(0.5, 3);
        many.observe_many(-1.0, 3);
        assert_eq!((once.count(), many.count()), (3, 3));
    }
    let mut page = Vec::new();
    registry.page(&mut page);
    let page = String::from_utf8(page)?;
    assert!(page.contains("classic_many_sum 1.5\n"), "{page}");
    Ok(())
}

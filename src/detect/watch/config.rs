//! Which series are watched, how, and what is said of them: `detect` in the file.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use crate::alert::Severity;
use crate::config::Config as Whole;
use crate::config::section::{Map, Reading};
use crate::config::yaml::Node;
use crate::detect::Spec;
use crate::series::Selector;

/// Most watches of one configuration.
const MOST_WATCHES: usize = 100;

/// Settings of the detection.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `detect.enabled`: true by default.
    pub enabled: bool,
    /// `detect.max_series`: series watched at most; 1,000 by default. The default detector takes some 60 KB for each.
    pub max_series: usize,
    /// `detect.bounds`: also expose what is expected and its bounds, three series more for each; true by default.
    pub bounds: bool,
    /// `detect.watches`; [`defaults`] where the file says nothing.
    pub watches: Vec<Watch>,
}

/// Floats in it are settings, never NaN.
impl Eq for Config {}

impl Default for Config {
    fn default() -> Self {
        // Regular expressions take long to compile, and the defaults are asked for once for each setting.
        static WATCHES: LazyLock<Vec<Watch>> = LazyLock::new(defaults);
        Config { enabled: true, max_series: 1000, bounds: true, watches: WATCHES.clone() }
    }
}

/// Series that are watched in the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// `name`: unique; the label `watch`.
    pub name: String,
    /// `match`: which series. A histogram is matched by the name of its family and its labels but `le`.
    pub selectors: Vec<Selector>,
    /// `sum_by`: the series of one metric that agree in these labels are summed, and their sum is watched.
    pub sum_by: Option<Vec<String>>,
    /// `detector` and `params`; novelty by default. Rows are merged here, so novelty gets `block: 0s` unless another is given.
    pub detector: Spec,
    /// `direction`: both by default.
    pub direction: Direction,
    /// `min_abs`: a smaller distance from what is expected is no anomaly; 0 by default.
    pub min_abs: f64,
    /// `min_rel`: the same as a share of what is expected; 0 by default.
    pub min_rel: f64,
    /// `severity` of its alerts: info by default. That a value is unusual is no fault; who knows that it is one says so.
    pub severity: Severity,
    /// `confirm`: `2 of 3` by default. The alert fires when so many of the last observations were odd.
    pub confirm: (u32, u32),
    /// `for`: and when it has lasted so long; 0 s by default.
    pub hold: Duration,
    /// `adapt_after`: what lasts so long is the new normal; 10 m by default, 0 is never.
    pub adapt_after: Duration,
    /// `quantile` of histograms; 0.95 by default.
    pub quantile: f64,
    /// `interval`: from one observation to the next; 1 m by default, which is what the default detector is made for. 0 is each
    /// tick.
    pub interval: Duration,
    /// `warm_up`: observations before which nothing is told, whatever the detector says; 60 by default. Novelty itself wants 150.
    pub warm_up: u64,
}

/// Which side of what is expected counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    Both,
    /// Greater values.
    Above,
    /// Lesser values.
    Below,
}

impl Direction {
    const WORDS: [&'static str; 3] = ["both", "above", "below"];
    const ALL: [Direction; 3] = [Direction::Both, Direction::Above, Direction::Below];
}

impl Watch {
    /// One of these selectors with all else by default.
    ///
    /// # Panics
    /// When a selector is none.
    #[must_use]
    pub fn new(name: &str, selectors: &[&str]) -> Self {
        let parse = |text: &&str| Selector::parse(text).expect("a selector of ours");
        Watch { selectors: selectors.iter().map(parse).collect(), ..Watch::blank(name) }
    }

    fn blank(name: &str) -> Self {
        Watch {
            name: name.to_owned(),
            selectors: Vec::new(),
            sum_by: None,
            detector: Spec::parse("novelty", [("block", "0s")]).expect("known by name"),
            direction: Direction::Both,
            min_abs: 0.0,
            min_rel: 0.0,
            severity: Severity::Info,
            confirm: (2, 3),
            hold: Duration::ZERO,
            adapt_after: Duration::from_secs(600),
            quantile: 0.95,
            interval: Duration::from_secs(60),
            warm_up: 60,
        }
    }

    fn least(self, min_abs: f64, min_rel: f64) -> Self {
        Watch { min_abs, min_rel, ..self }
    }

    fn only(self, direction: Direction) -> Self {
        Watch { direction, ..self }
    }

    fn summed(self, by: &[&str]) -> Self {
        Watch { sum_by: Some(by.iter().map(|label| (*label).to_owned()).collect()), ..self }
    }
}

/// What is watched where the file says nothing: what people look at first on a host and at a service. Each has a least
/// distance, since what is unusual but small is of no use to anybody, and one direction where the other is good news. Cores
/// are summed: one busy core of many is no event.
#[must_use]
pub fn defaults() -> Vec<Watch> {
    use Direction::Above;
    let hosts = ["instance", "job"];
    let disks = r#"device!~"loop.*|ram.*|zram.*|dm-.*|sr.*""#;
    let nets = r#"device!~"lo|veth.*|docker.*|br-.*|cali.*|virbr.*|tap.*""#;
    let of = |name: &str, texts: &[String]| {
        Watch::new(name, &texts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    vec![
        Watch::new("load", &["node_load1"]).least(1.0, 0.5).only(Above),
        Watch::new("cpu", &[r#"node_cpu_seconds_total{mode!~"idle|iowait|guest|guest_nice"}"#])
            .summed(&hosts)
            .least(0.5, 0.5)
            .only(Above),
        Watch::new("iowait", &[r#"node_cpu_seconds_total{mode="iowait"}"#])
            .summed(&hosts)
            .least(0.3, 1.0)
            .only(Above),
        Watch::new("memory", &["node_memory_MemAvailable_bytes"]).least(128e6, 0.2).only(Direction::Below),
        of("disk", &[format!("node_disk_io_time_seconds_total{{{disks}}}")]).least(0.2, 1.0).only(Above),
        of(
            "network",
            &[
                format!("node_network_receive_bytes_total{{{nets}}}"),
                format!("node_network_transmit_bytes_total{{{nets}}}"),
            ],
        )
        .least(250e3, 1.0),
        Watch::new("connections", &["node_netstat_Tcp_CurrEstab"]).least(50.0, 0.5),
        Watch::new(
            "latency",
            &[
                "http_request_duration_seconds",
                "http_server_request_duration_seconds",
                "gaugecast_operation_duration_seconds",
            ],
        )
        .summed(&["instance", "job", "operation"])
        .least(0.01, 0.5)
        .only(Above),
        Watch::new("requests", &["http_requests_total"]).summed(&hosts).least(5.0, 0.5),
        Watch::new(
            "errors",
            &[
                r#"http_requests_total{code=~"5.."}"#,
                r#"http_requests_total{status=~"5.."}"#,
                "gaugecast_operation_errors_total",
            ],
        )
        .summed(&["instance", "job", "operation"])
        .least(0.2, 0.5)
        .only(Above),
    ]
}

/// Reads `detect.watches`. A list that is empty watches nothing.
pub(crate) fn read(whole: &mut Whole, reading: &Reading<'_>, node: &Node) {
    let items = reading.list(node, "detect.watches");
    if items.len() > MOST_WATCHES {
        reading.fault(node.at, format!("more than {MOST_WATCHES} watches"));
        return;
    }
    let mut names = HashSet::new();
    let watches = items.iter().filter_map(|item| {
        let map = reading.map(item, "an item of `detect.watches`")?;
        let watch = watch(&map);
        if !watch.name.is_empty() && !names.insert(watch.name.clone()) {
            map.fault("name", format!("a watch with the name `{}` is already given", watch.name));
        }
        map.finish(&[]);
        Some(watch)
    });
    whole.detect.watches = watches.collect();
}

fn watch(map: &Map<'_, '_, '_>) -> Watch {
    let name = map.text("name").unwrap_or_default();
    if name.is_empty() {
        map.fault("name", "a watch needs a `name`");
    }
    let mut watch = Watch::blank(&name);
    let texts = map.texts("match").unwrap_or_default();
    if texts.is_empty() {
        map.fault("match", "a watch needs `match`, a list of selectors");
    }
    for text in &texts {
        match Selector::parse(text) {
            Ok(selector) => watch.selectors.push(selector),
            Err(error) => map.fault("match", format!("{text}: {error}")),
        }
    }
    watch.sum_by = map.texts("sum_by");
    let params = map.labels("params");
    let detector = map.text("detector").unwrap_or_else(|| "novelty".into());
    let block = (detector == "novelty" && !params.contains_key("block")).then_some(("block", "0s"));
    let given = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    match Spec::parse(&detector, given.chain(block)) {
        Ok(spec) => watch.detector = spec,
        Err(error) => {
            map.fault(if map.node("params").is_some() { "params" } else { "detector" }, error.to_string());
        }
    }
    if let Some(at) = map.choice("direction", &Direction::WORDS) {
        watch.direction = Direction::ALL[at];
    }
    let least = |key| {
        map.parsed(key, |text| match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
            _ => Err(format!("{text:?} is not a number from 0")),
        })
    };
    set(&mut watch.min_abs, least("min_abs"));
    set(&mut watch.min_rel, least("min_rel"));
    if let Some(at) = map.choice("severity", &Severity::ALL.map(Severity::as_str)) {
        watch.severity = Severity::ALL[at];
    }
    set(&mut watch.confirm, map.parsed("confirm", confirm));
    set(&mut watch.hold, map.duration("for"));
    set(&mut watch.adapt_after, map.duration("adapt_after"));
    let quantile = map.parsed("quantile", |text| match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number < 1.0 => Ok(number),
        _ => Err(format!("{text:?} is not a number between 0 and 1")),
    });
    set(&mut watch.quantile, quantile);
    set(&mut watch.interval, map.duration("interval"));
    set(&mut watch.warm_up, map.count("warm_up").map(|count| count as u64));
    watch
}

/// `2 of 3`.
fn confirm(text: &str) -> Result<(u32, u32), String> {
    let both =
        text.split_once(" of ").and_then(|(k, n)| Some((k.trim().parse().ok()?, n.trim().parse().ok()?)));
    match both {
        Some((k, n)) if 1 <= k && k <= n && n <= 32 => Ok((k, n)),
        _ => Err(format!("{text:?} is not like `2 of 3`, with numbers up to 32")),
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::yaml;

    fn read_all(text: &str) -> Result<Vec<Watch>, Vec<String>> {
        let none = |_: &str| None;
        let reading = Reading::new(&none, Path::new(""), true);
        let mut whole = Whole::default();
        read(&mut whole, &reading, &yaml::parse(text).0.unwrap());
        let faults: Vec<String> = reading.into_faults().into_iter().map(|(_, message)| message).collect();
        if faults.is_empty() { Ok(whole.detect.watches) } else { Err(faults) }
    }

    #[test]
    fn every_key_is_read_and_what_is_not_said_is_the_default() {
        let read = read_all("[{name: a, match: [up]}]").unwrap();
        assert_eq!(read, [Watch::new("a", &["up"])]);
        let read = read_all(
            "- {name: b, match: ['a{b=\"c\"}'], sum_by: [job], detector: zscore, params: {window: 60, threshold: 5}, \
             direction: above, min_abs: 1, min_rel: 0.5, severity: critical, confirm: 1 of 1, for: 5m, adapt_after: 1h, \
             quantile: 0.99, interval: 10s, warm_up: 30}\n",
        );
        let watch = Watch {
            sum_by: Some(vec!["job".into()]),
            detector: Spec::parse("zscore", [("threshold", "5"), ("window", "60")]).unwrap(),
            direction: Direction::Above,
            min_abs: 1.0,
            min_rel: 0.5,
            severity: Severity::Critical,
            confirm: (1, 1),
            hold: Duration::from_secs(300),
            adapt_after: Duration::from_secs(3600),
            quantile: 0.99,
            interval: Duration::from_secs(10),
            warm_up: 30,
            ..Watch::new("b", &["a{b=\"c\"}"])
        };
        assert_eq!(read.unwrap(), [watch]);
        assert_eq!(read_all("[]").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, told) in [
            ("[{match: [up]}]", "a watch needs a `name`"),
            ("[{name: a}]", "a watch needs `match`"),
            ("[{name: a, match: ['{']}]", "column"),
            ("[{name: a, match: [b]}, {name: a, match: [c]}]", "a watch with the name `a` is already given"),
            ("[{name: a, match: [b], detector: zscor}]", "zscore"),
            ("[{name: a, match: [b], params: {windw: 3}}]", "windw"),
            ("[{name: a, match: [b], confirm: 3 of 2}]", "is not like `2 of 3`"),
            ("[{name: a, match: [b], quantile: 95}]", "is not a number between 0 and 1"),
            ("[{name: a, match: [b], min_abs: -1}]", "is not a number from 0"),
            ("[{name: a, match: [b], severty: info}]", "did you mean `severity`?"),
        ] {
            let faults = read_all(text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(told)), "{text}: {faults:?}");
        }
    }

    #[test]
    fn defaults_have_a_least_distance_and_their_own_names() {
        let names: HashSet<String> = defaults().into_iter().map(|watch| watch.name).collect();
        assert_eq!(names.len(), defaults().len());
        assert!(defaults().iter().all(|watch| watch.min_abs > 0.0 && watch.severity == Severity::Info));
    }
}

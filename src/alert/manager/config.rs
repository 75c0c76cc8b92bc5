//! Settings of the manager: `route` and `inhibit_rules` in Alertmanager's own keys, and limits.
//!
//! What a key means is what it means there, the deprecated `match` and `match_re` included. `escalation` of a route is ours. Time
//! intervals are refused by name.

use std::collections::BTreeSet;
use std::time::Duration;

use super::matcher::Matchers;
use crate::alert::Severity;
use crate::config::Config as Whole;
use crate::config::section::{Map, Reading};
use crate::config::yaml::{Node, Value};
use crate::series::selector::Op;

/// Deepest tree of routes.
const DEEPEST: usize = 16;

/// Most routes of a tree.
const MOST_ROUTES: usize = 1000;

/// Most steps of an escalation.
const MOST_STEPS: usize = 10;

/// Settings of the manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `route`: who is told. Without one nobody is; alerts are in the log, in the stream and in the API all the same.
    pub route: Option<Route>,
    /// `inhibit_rules`; without the key the [default](InhibitRule::default_rules).
    pub inhibit_rules: Option<Vec<InhibitRule>>,
    /// Limits against too many notifications.
    pub limits: Limits,
}

/// Limits against too many notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `alert.cooldown`: an alert that fires again so soon after its end is the same one; 60 s by default.
    pub cooldown: Duration,
    /// `alert.rate`: most notifications a minute to one receiver, at once or spread; 5 by default.
    pub per_receiver: usize,
    /// `alert.total_rate`: to all of them; 60 by default.
    pub total: usize,
    /// `alert.flap_changes`: more changes than this within the window are flapping; 4 by default.
    pub flap_changes: usize,
    /// `alert.flap_window`: 10 min by default. So long it has to be quiet afterwards.
    pub flap_window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cooldown: Duration::from_secs(60),
            per_receiver: 5,
            total: 60,
            flap_changes: 4,
            flap_window: Duration::from_secs(600),
        }
    }
}

/// A node of the tree of routes, with what it inherits filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `receiver`: its name.
    pub receiver: String,
    /// `matchers`, `match` and `match_re`: which alerts.
    pub matchers: Matchers,
    /// `continue`: are the routes beside it looked at too, when it matches?
    pub go_on: bool,
    /// `group_by`.
    pub group_by: GroupBy,
    /// `group_wait`: how long a new group waits for others to go with the first; 1 s by default. In Alertmanager it is 30 s,
    /// since there the alerts of one cause come from many Prometheus; here they come from the rules of one process, and within
    /// a second of each other from those of one group.
    pub group_wait: Duration,
    /// `group_interval`: how long until a group tells what has changed; 5 m by default.
    pub group_interval: Duration,
    /// `repeat_interval`: how long until what still fires is told again; 4 h by default.
    pub repeat_interval: Duration,
    /// `escalation`: ascending by time.
    pub escalation: Vec<Step>,
    /// `routes`: looked at in their order; the first that matches, and those after it while they say `continue`.
    pub routes: Vec<Route>,
}

/// By which labels alerts are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// These; none is one group for all.
    Labels(BTreeSet<String>),
    /// `['...']`: every alert by itself.
    All,
}

/// What happens when nobody takes an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `after`: so long after it began to fire.
    pub after: Duration,
    /// `receiver`: who is told then.
    pub receiver: String,
    /// `severity`: to which level it is raised, if it is lower.
    pub severity: Option<Severity>,
}

/// When one alert makes another not worth a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InhibitRule {
    /// `source_matchers`: those that inhibit.
    pub source: Matchers,
    /// `target_matchers`: those that are inhibited.
    pub target: Matchers,
    /// `equal`: labels that both have with the same value, or both have not.
    pub equal: Equal,
}

/// What two alerts must have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Equal {
    /// These labels.
    Labels(BTreeSet<String>),
    /// All labels but `severity`.
    AllButSeverity,
}

impl InhibitRule {
    /// What is critical or worse inhibits warnings and what is only worth knowing, when all other labels are the same. Rules of one
    /// origin that differ only in their level are one alert already; this is for those of a detector or of another server
    /// beside a rule of ours.
    #[must_use]
    pub fn default_rules() -> Vec<InhibitRule> {
        let of = |words: &str| {
            let one =
                Matchers::one(Severity::LABEL, Op::Like, words).and_then(|one| Matchers::new(vec![one]));
            one.unwrap_or_default()
        };
        vec![InhibitRule {
            source: of("critical|emergency"),
            target: of("warning|info"),
            equal: Equal::AllButSeverity,
        }]
    }
}

impl Route {
    /// A root for one receiver with Alertmanager's defaults, but for `group_wait`.
    #[must_use]
    pub fn new(receiver: &str) -> Self {
        Route {
            receiver: receiver.to_owned(),
            matchers: Matchers::default(),
            go_on: false,
            group_by: GroupBy::Labels(BTreeSet::new()),
            group_wait: Duration::from_secs(1),
            group_interval: Duration::from_secs(300),
            repeat_interval: Duration::from_secs(4 * 3600),
            escalation: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Names of all receivers in the tree.
    pub(super) fn receivers(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = self.routes.iter().flat_map(Route::receivers).collect();
        names.insert(&self.receiver);
        names.extend(self.escalation.iter().map(|step| &*step.receiver));
        names
    }
}

/// What Alertmanager has and this version has not.
const UNSUPPORTED: &[&str] = &["active_time_intervals", "mute_time_intervals"];

/// Reads `route`.
pub(crate) fn read_route(whole: &mut Whole, reading: &Reading<'_>, node: &Node) {
    let names = whole.alert.receivers.names().map(str::to_owned).collect();
    let mut tree = Tree { names, routes: 0 };
    let Some(map) = reading.map(node, "`route`") else { return };
    if map.node("receiver").is_none() {
        map.fault("receiver", "`route` needs a `receiver`");
    }
    for key in ["matchers", "match", "match_re"] {
        if map.node(key).is_some() {
            map.fault(key, "the outermost route takes every alert, so it has no matchers");
        }
    }
    if map.flag("continue") == Some(true) {
        map.fault("continue", "the outermost route has none beside it, so it has no `continue`");
    }
    whole.alert.manager.route = tree.route(map, &Route::new(""), 0);
}

struct Tree {
    names: BTreeSet<String>,
    routes: usize,
}

impl Tree {
    fn route(&mut self, map: Map<'_, '_, '_>, parent: &Route, depth: usize) -> Option<Route> {
        self.routes += 1;
        if depth > DEEPEST || self.routes > MOST_ROUTES {
            map.reading().fault(
                map.place("receiver"),
                format!("routes are nested deeper than {DEEPEST}, or more than {MOST_ROUTES}"),
            );
            return None;
        }
        let mut route =
            Route { matchers: Matchers::default(), go_on: false, routes: Vec::new(), ..parent.clone() };
        if let Some(name) = self.receiver(&map) {
            route.receiver = name;
        }
        route.matchers = matchers(&map, "matchers", "match", "match_re");
        route.go_on = map.flag("continue").unwrap_or_default();
        if let Some(names) = map.texts("group_by") {
            route.group_by = if names.iter().any(|name| name == "...") {
                if names.len() > 1 {
                    map.fault("group_by", "`...` is all labels, and stands alone");
                }
                GroupBy::All
            } else {
                GroupBy::Labels(names.into_iter().collect())
            };
        }
        set(&mut route.group_wait, map.duration("group_wait"));
        set(&mut route.group_interval, positive(&map, "group_interval"));
        set(&mut route.repeat_interval, positive(&map, "repeat_interval"));
        if map.node("escalation").is_some() {
            route.escalation =
                map.maps("escalation").into_iter().filter_map(|step| self.step(step)).collect();
            route.escalation.sort_by_key(|step| step.after);
            if route.escalation.len() > MOST_STEPS {
                map.fault("escalation", format!("an escalation has at most {MOST_STEPS} steps"));
            }
        }
        for child in map.maps("routes") {
            let child = self.route(child, &route, depth + 1);
            route.routes.extend(child);
        }
        map.finish(UNSUPPORTED);
        Some(route)
    }

    fn receiver(&self, map: &Map<'_, '_, '_>) -> Option<String> {
        let name = map.text("receiver")?;
        if !self.names.contains(&name) {
            let near = crate::spelling::nearest(&name, self.names.iter().cloned());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            map.fault("receiver", format!("there is no receiver with the name {name:?}{hint}"));
        }
        Some(name)
    }

    fn step(&self, map: Map<'_, '_, '_>) -> Option<Step> {
        let receiver = self.receiver(&map);
        if map.node("receiver").is_none() {
            map.fault("receiver", "a step of `escalation` needs a `receiver`");
        }
        if map.node("after").is_none() {
            map.fault("after", "a step of `escalation` needs `after`");
        }
        let after = positive(&map, "after");
        let words = Severity::ALL.map(Severity::as_str);
        let severity = map.choice("severity", &words).map(|at| Severity::ALL[at]);
        map.finish(&[]);
        Some(Step { after: after?, receiver: receiver?, severity })
    }
}

/// The matchers of a route or a rule: a list of texts, and the two deprecated mappings.
fn matchers(map: &Map<'_, '_, '_>, key: &'static str, equal: &'static str, like: &'static str) -> Matchers {
    let mut all = Matchers::default();
    let mut add =
        |key: &str, more: Result<Matchers, String>| match more.and_then(|more| all.clone().and(more)) {
            Ok(both) => all = both,
            Err(why) => map.fault(key, why),
        };
    for text in map.texts(key).unwrap_or_default() {
        add(key, Matchers::parse(&text));
    }
    for (key, op) in [(equal, Op::Equal), (like, Op::Like)] {
        if !map.node(key).is_none_or(|node| matches!(node.value, Value::Map(_))) {
            map.fault(key, format!("`{key}` must be a mapping of labels to values"));
            continue;
        }
        for (label, value) in map.labels(key) {
            add(key, Matchers::one(&label, op, &value).and_then(|one| Matchers::new(vec![one])));
        }
    }
    all
}

/// Reads `inhibit_rules`.
pub(crate) fn read_inhibit_rules(whole: &mut Whole, reading: &Reading<'_>, node: &Node) {
    let items = reading.list(node, "inhibit_rules").iter();
    let rules = items.filter_map(|item| {
        let map = reading.map(item, "an item of `inhibit_rules`")?;
        map.text("name");
        let source = matchers(&map, "source_matchers", "source_match", "source_match_re");
        let target = matchers(&map, "target_matchers", "target_match", "target_match_re");
        if target.is_empty() && source.is_empty() {
            map.fault("target_matchers", "a rule needs `source_matchers` or `target_matchers`");
        }
        let equal = map.texts("equal").unwrap_or_default().into_iter().collect();
        map.finish(&["sources"]);
        Some(InhibitRule { source, target, equal: Equal::Labels(equal) })
    });
    whole.alert.manager.inhibit_rules = Some(rules.collect());
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn positive(map: &Map<'_, '_, '_>, key: &'static str) -> Option<Duration> {
    let value = map.duration(key)?;
    if value.is_zero() {
        map.fault(key, format!("`{key}` cannot be zero"));
        return None;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::yaml;

    fn read(text: &str) -> Result<Route, Vec<String>> {
        let none = |_: &str| None;
        let reading = Reading::new(&none, Path::new(""), true);
        let node = yaml::parse(text).0.unwrap();
        let map = reading.map(&node, "`route`").unwrap();
        let names = ["team", "pager", "boss"].map(str::to_owned).into();
        let route = Tree { names, routes: 0 }.route(map, &Route::new(""), 0);
        let told: Vec<String> = reading
            .into_faults()
            .into_iter()
            .map(|(at, why)| format!("{}:{} {why}", at.line, at.column))
            .collect();
        if told.is_empty() { Ok(route.unwrap()) } else { Err(told) }
    }

    #[test]
    fn a_route_inherits_what_it_does_not_say_but_matchers_and_continue() {
        let route = read(
            "receiver: team\ngroup_by: [alertname, job]\ngroup_wait: 10s\nrepeat_interval: 1h\nescalation:\n  - after: 30m\n    \
             receiver: boss\n    severity: emergency\n  - {after: 10m, receiver: pager}\nroutes:\n  - matchers: ['severity=\"critical\"', \
             team=~a|b]\n    receiver: pager\n    continue: true\n  - match: {job: db}\n    match_re: {x: y.*}\n    group_by: ['...']\n    \
             escalation: []\n    group_wait: 0s\n",
        )
        .unwrap();
        assert_eq!(
            route.escalation.iter().map(|step| &*step.receiver).collect::<Vec<_>>(),
            ["pager", "boss"]
        );
        let [first, second] = &route.routes[..] else { panic!() };
        assert_eq!(
            (first.matchers.to_string(), first.go_on),
            ("{severity=\"critical\",team=~\"a|b\"}".into(), true)
        );
        assert_eq!((first.group_by.clone(), first.escalation.len()), (route.group_by.clone(), 2));
        assert_eq!((&*second.receiver, second.go_on), ("team", false));
        assert_eq!(second.matchers.to_string(), "{job=\"db\",x=~\"y.*\"}");
        assert_eq!((second.group_by.clone(), second.group_wait), (GroupBy::All, Duration::ZERO));
        assert_eq!(
            (second.group_interval, second.repeat_interval),
            (Duration::from_secs(300), Duration::from_secs(3600))
        );
        assert!(second.escalation.is_empty());
        assert_eq!(route.receivers(), ["boss", "pager", "team"].into());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            ("receiver: taem", "1:11 there is no receiver with the name \"taem\"; did you mean \"team\"?"),
            (
                "receiver: team\nroutes: [{receiver: nobody}]",
                "2:21 there is no receiver with the name \"nobody\"",
            ),
            (
                "receiver: team\nmatchers: ['a']",
                "2:11 \"a\" is no matcher such as severity=\"critical\": it has no operator",
            ),
            ("receiver: team\ngroup_interval: 0s", "2:17 `group_interval` cannot be zero"),
            (
                "receiver: team\nmute_time_intervals: [x]",
                "2:1 `mute_time_intervals` is not supported by this version",
            ),
            (
                "receiver: team\ngruop_by: [a]",
                "2:1 unknown key `gruop_by` in `route`; did you mean `group_by`?",
            ),
            ("receiver: team\nescalation: [{receiver: boss}]", "2:14 a step of `escalation` needs `after`"),
            (
                "receiver: team\nescalation: [{receiver: boss, after: 1m, severity: bad}]",
                "2:52 \"bad\" is none of info,",
            ),
            ("receiver: team\ngroup_by: ['...', a]", "2:11 `...` is all labels, and stands alone"),
        ] {
            let faults = read(text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.starts_with(told)), "{text}: {faults:?}");
        }
    }

    #[test]
    fn the_rules_of_inhibition_are_read_and_there_is_a_default() {
        let none = |_: &str| None;
        let reading = Reading::new(&none, Path::new(""), true);
        let mut whole = Whole::default();
        let text = "- source_matchers: [alertname=HostDown]\n  target_match: {severity: warning}\n  equal: [instance]\n- {}\n";
        read_inhibit_rules(&mut whole, &reading, &yaml::parse(text).0.unwrap());
        let rules = whole.alert.manager.inhibit_rules.unwrap();
        assert_eq!(rules[0].source.to_string(), "{alertname=\"HostDown\"}");
        assert_eq!(rules[0].equal, Equal::Labels(["instance".to_owned()].into()));
        assert_eq!(reading.into_faults().len(), 1);
        let default = &InhibitRule::default_rules()[0];
        let labels = |severity: &str| [("severity".to_owned(), severity.to_owned())].into();
        assert!(
            default.source.match_all(&labels("critical")) && !default.source.match_all(&labels("warning"))
        );
        assert!(default.target.match_all(&labels("info")) && !default.target.match_all(&labels("emergency")));
    }
}

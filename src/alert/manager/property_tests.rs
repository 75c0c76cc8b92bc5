//! Whatever sources say and people do: nobody is told twice without a cause, nothing that fires is forgotten, and whoever was told of
//! a begin is told of the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::config::{Config, GroupBy, Route, Step};
use super::core::Manager;
use super::history::History;
use super::matcher::Matchers;
use super::silence::NewSilence;
use super::view::{Acknowledge, Filter, State, Which};
use crate::alert::{Active, Cause, Notification, Origin, Phase, Report, Severity, Status};
use crate::clock::Moment;
use crate::query::Labels;

/// What can happen.
#[derive(Clone, Debug)]
enum Act {
    /// Of an alert, by number: it is as said at each of two levels.
    Say(u8, Option<bool>, Option<bool>),
    Pass(u16),
    Ack(u8, Option<u16>),
    Silence(u8, u16),
    Clear(u8),
    Restart(u16),
}

fn act() -> impl Strategy<Value = Act> {
    let phase = || proptest::option::of(any::<bool>());
    prop_oneof![
        8 => (0..6u8, phase(), phase()).prop_map(|(alert, low, high)| Act::Say(alert, low, high)),
        4 => (1..900u16).prop_map(Act::Pass),
        1 => (0..6u8, proptest::option::of(1..900u16)).prop_map(|(alert, length)| Act::Ack(alert, length)),
        1 => (0..6u8, 1..900u16).prop_map(|(alert, length)| Act::Silence(alert, length)),
        1 => (0..6u8).prop_map(Act::Clear),
        1 => (0..200u16).prop_map(Act::Restart),
    ]
}

fn config() -> Config {
    let by_name = GroupBy::Labels(["alertname".to_owned()].into());
    let mut root = Route { group_wait: Duration::from_secs(10), ..Route::new("team") };
    root.group_interval = Duration::from_secs(60);
    root.repeat_interval = Duration::from_secs(3600);
    root.escalation = vec![Step {
        after: Duration::from_secs(600),
        receiver: "boss".into(),
        severity: Some(Severity::Emergency),
    }];
    let matchers = |text: &str| Matchers::parse(text).unwrap();
    root.routes = vec![
        Route {
            matchers: matchers("severity=~\"critical|emergency\""),
            receiver: "pager".into(),
            go_on: true,
            ..root.clone()
        },
        Route { matchers: matchers("alertname=~\"A[012]\""), group_by: by_name, ..root.clone() },
    ];
    Config { route: Some(root), ..Config::default() }
}

fn at(seconds: u64) -> Moment {
    let unix_ms = 1_700_000_000_000 + i64::try_from(seconds).unwrap() * 1000;
    Moment { since_start: Duration::from_secs(seconds), unix_ms }
}

struct World {
    manager: Manager,
    now: u64,
    said: BTreeMap<u8, Vec<Active>>,
    /// What each receiver knows of each alert: does it fire, and at which level?
    known: BTreeMap<(String, String), (Status, Severity, u64)>,
    sent: Vec<(u64, String)>,
}

impl World {
    fn heard(&mut self) -> Result<(), TestCaseError> {
        for told in self.manager.take_effects().notifications {
            self.take(&told)?;
        }
        Ok(())
    }

    fn take(&mut self, told: &Notification) -> Result<(), TestCaseError> {
        // Somebody has done that by hand; no limit is for it.
        if told.cause != Cause::Acknowledged {
            self.sent.push((self.now, told.receiver.to_string()));
        }
        prop_assert!(!told.alerts.is_empty());
        let names: BTreeSet<&str> = told.alerts.iter().map(|one| &*one.fingerprint).collect();
        prop_assert_eq!(names.len(), told.alerts.len(), "an alert twice in one notification");
        if told.cause == Cause::Acknowledged {
            for one in &told.alerts {
                let known = self.known.get(&(told.receiver.to_string(), one.fingerprint.clone()));
                let knows = matches!(known, Some((Status::Firing, ..)));
                prop_assert!(knows && one.acknowledged.is_some() && one.status == Status::Firing, "{told:?}");
            }
            return Ok(());
        }
        let mut news =
            matches!(told.cause, Cause::Repeat | Cause::Escalation | Cause::Flapping | Cause::Digest);
        for one in &told.alerts {
            let key = (told.receiver.to_string(), one.fingerprint.clone());
            let now = (one.status, one.severity);
            match self.known.get(&key) {
                Some((Status::Resolved, ..)) | None => {
                    let fresh = one.status == Status::Firing
                        || told.cause == Cause::Flapping
                        || told.cause == Cause::Digest;
                    prop_assert!(fresh, "an end without a begin: {told:?}");
                    news = true;
                }
                Some((status, severity, _)) => news |= (*status, *severity) != now,
            }
            self.known.insert(key, (one.status, one.severity, self.now));
        }
        prop_assert!(news, "nothing new in {told:?}");
        Ok(())
    }

    fn until(&mut self, seconds: u64) -> Result<(), TestCaseError> {
        // Sources speak every minute, so that none counts as gone.
        while self.now < seconds {
            let wake = self.manager.next_wake(at(self.now)).map_or(60, |wake| wake.as_secs() + 1);
            self.now = (self.now + wake.clamp(1, 60)).min(seconds);
            for (alert, active) in self.said.clone() {
                self.report(alert, active);
            }
            self.manager.tick(at(self.now));
            self.heard()?;
        }
        Ok(())
    }

    fn report(&mut self, alert: u8, active: Vec<Active>) {
        let source = format!("rule{alert}").into();
        self.manager.report(Report {
            source,
            origin: Origin::Rule,
            at: at(self.now),
            active,
            no_data: Vec::new(),
        });
    }

    fn does(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match *act {
            Act::Pass(seconds) => self.until(self.now + u64::from(seconds))?,
            Act::Say(alert, low, high) => {
                let of = |severity: &str, fires: Option<bool>| {
                    fires.map(|fires| Active {
                        labels: Labels::new([("alertname", &*format!("A{alert}")), ("severity", severity)]),
                        annotations: BTreeMap::new(),
                        phase: if fires { Phase::Firing } else { Phase::Pending },
                        value: 1.0,
                        active_at_ms: at(self.now).unix_ms,
                        fired_at_ms: fires.then(|| at(self.now).unix_ms),
                        generator: "/".into(),
                    })
                };
                let active: Vec<Active> =
                    [of("warning", low), of("critical", high)].into_iter().flatten().collect();
                self.said.insert(alert, active.clone());
                self.report(alert, active);
            }
            Act::Ack(alert, length) => {
                let wish = Acknowledge {
                    by: "ann".into(),
                    note: String::new(),
                    for_: length.map(|length| Duration::from_secs(length.into())),
                };
                if let Some(id) = self.id(alert) {
                    let _ = self.manager.acknowledge(&id, wish, at(self.now));
                }
            }
            Act::Silence(alert, length) => {
                let silence = NewSilence {
                    id: None,
                    matchers: Matchers::parse(&format!("alertname=A{alert}")).unwrap(),
                    starts_at_ms: at(self.now).unix_ms,
                    ends_at_ms: at(self.now + u64::from(length)).unix_ms,
                    created_by: "ann".into(),
                    comment: String::new(),
                };
                self.manager.silence(silence, at(self.now)).unwrap();
            }
            Act::Clear(alert) => {
                let which = Which::Matching(Matchers::parse(&format!("alertname=A{alert}")).unwrap());
                self.manager.clear(&which, "ann", at(self.now));
            }
            Act::Restart(down) => {
                let saved = serde_json::to_string(&self.manager.saved()).unwrap();
                self.now += u64::from(down);
                let saved = serde_json::from_str(&saved).unwrap();
                self.manager = Manager::restore(config(), saved, History::default(), at(self.now));
            }
        }
        self.heard()
    }

    fn id(&self, alert: u8) -> Option<String> {
        let name = format!("A{alert}");
        let all = self.manager.list(&Filter::default());
        all.into_iter().find(|view| view.labels["alertname"] == name).map(|view| view.id.to_string())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn receivers_know_how_alerts_are_and_are_told_nothing_twice(acts in proptest::collection::vec(act(), 1..60)) {
        let mut world = World {
            manager: Manager::new(config(), at(0)),
            now: 0,
            said: BTreeMap::new(),
            known: BTreeMap::new(),
            sent: Vec::new(),
        };
        for act in &acts {
            world.does(act)?;
        }
        // In an hour every silence, snooze, cooldown and clearing is over, and nothing flaps.
        world.until(world.now + 3600)?;
        for view in world.manager.list(&Filter::default()) {
            let said = view.labels["alertname"].trim_start_matches('A').parse::<u8>().unwrap();
            let fires = world.said[&said].iter().any(|active| active.phase == Phase::Firing);
            prop_assert_eq!(view.firing, fires);
            prop_assert_ne!(view.state, State::Flapping);
            if fires {
                let known = world.known.iter().filter(|((_, id), _)| *id == view.id.to_string());
                let levels: Vec<_> = known.filter(|(_, known)| known.0 == Status::Firing).map(|(_, known)| known.1).collect();
                prop_assert!(!levels.is_empty(), "nobody knows of {:?}", view);
                prop_assert!(levels.iter().all(|level| *level == view.severity), "{:?} {:?}", levels, view);
            }
        }
        // Everything ends, and everybody hears of it.
        for alert in 0..6 {
            world.said.insert(alert, Vec::new());
            world.report(alert, Vec::new());
        }
        world.until(world.now + 3600)?;
        for (who, (status, ..)) in &world.known {
            prop_assert_eq!(*status, Status::Resolved, "{:?} was not told of the end", who);
        }
        prop_assert!(world.manager.list(&Filter::default()).is_empty());
        prop_assert_eq!(world.manager.stats().groups, 0);
        // No receiver had more than five in its bucket and five more a minute.
        for receiver in ["team", "pager", "boss"] {
            let times: Vec<u64> = world.sent.iter().filter(|(_, to)| to == receiver).map(|(at, _)| *at).collect();
            for many in times.windows(12) {
                prop_assert!(many[11] - many[0] >= 60, "{times:?}");
            }
        }
    }
}

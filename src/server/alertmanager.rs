//! Alertmanager's API, version 2, so that amtool and Grafana see and silence our alerts, and any Prometheus can send us its own.
//!
//! | path | methods | |
//! | --- | --- | --- |
//! | `/api/v2/status`, `receivers` | GET | version; the receivers of the route |
//! | `/api/v2/alerts` | GET, POST | what fires; alerts of another program |
//! | `/api/v2/alerts/groups` | GET | the same by group |
//! | `/api/v2/silences` | GET, POST | all; one more, or another form of one |
//! | `/api/v2/silence/ID` | GET, DELETE | one; its end |
//!
//! Shapes and parameters are Alertmanager's own. An alert is the merged one: of rules that differ only in `severity` the worst.

use std::collections::BTreeMap;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::refused;
use super::auth::Scope;
use super::body::Body;
use super::headers::require_content_type;
use super::problem::Problem;
use super::request::parameters;
use super::routes::{Call, Kind, Operation, Parameter, does, get, operation};
use crate::alert::manager::{AlertView, Alerts, Filter, Matchers, NewSilence, Posted, Silence, State};
use crate::log::timestamp;
use crate::query::Labels;
use crate::query::http::parse_time;

/// Most alerts of one request. Prometheus sends at most 64 at once.
const MOST_POSTED: usize = 10_000;

/// Most bytes of what an alert says: labels, annotations, address. Alertmanager takes as much as a request holds; here as many as there may be
/// stay below 200 MB.
const MOST_SAID: usize = 16 << 10;

/// The years 1 to 9999, Unix milliseconds: what RFC 3339 can write. One time outside would make the list unreadable for all clients.
const WRITABLE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// What a firing alert says of its end: as Prometheus has it, some minutes from now.
const END_MS: i64 = 5 * 60_000;

/// Its operations.
pub(super) fn table() -> Vec<Operation> {
    let shows = |path, about, work| get(path, about, work);
    let changes = |method, path, about, work| operation(method, path, Scope::AlertsWrite, about, work);
    let filter = Parameter::may("filter", Kind::Texts, "matchers such as job=\"api\"");
    let picks = [
        filter,
        Parameter::may("active", Kind::Text, "false leaves out those that nothing suppresses"),
        Parameter::may("silenced", Kind::Text, "false leaves out those that are silenced"),
        Parameter::may("inhibited", Kind::Text, "false leaves out those that are inhibited"),
        Parameter::may("receiver", Kind::Text, "a regular expression for the name of a receiver"),
    ];
    vec![
        shows("/api/v2/status", "Version, in Alertmanager's form", does!(c => status(&c))).json("AmStatus"),
        shows("/api/v2/receivers", "The receivers of the route", does!(c => receivers(&c).await))
            .json("AmReceivers"),
        shows("/api/v2/alerts", "What fires, in Alertmanager's form", does!(c => alerts(&c).await))
            .asks(&picks)
            .json("AmAlerts"),
        changes(
            Method::POST,
            "/api/v2/alerts",
            "Take alerts as a Prometheus sends them",
            does!(c => post(&c).await),
        )
        .reads("application/json", "AmPosted")
        .gives(&[], ""),
        shows("/api/v2/alerts/groups", "What fires by group", does!(c => groups(&c).await))
            .asks(&picks)
            .json("AmGroups"),
        shows("/api/v2/silences", "Silences, in Alertmanager's form", does!(c => silences(&c).await))
            .asks(&[filter])
            .json("AmSilences"),
        changes(Method::POST, "/api/v2/silences", "Add or change a silence", does!(c => silence(&c).await))
            .reads("application/json", "AmSilenceWish")
            .json("AmSilenceId"),
        shows("/api/v2/silence/:id", "A silence", does!(c => one(&c).await)).json("AmSilence"),
        changes(Method::DELETE, "/api/v2/silence/:id", "End a silence now", does!(c => expire(&c).await))
            .gives(&[], ""),
    ]
}

fn manager(call: &Call) -> Result<&Alerts, Problem> {
    call.app.admin.alerts.as_ref().ok_or_else(Problem::not_found)
}

#[allow(clippy::needless_pass_by_value)] // made for it
fn shown(data: Value) -> Result<Response<Body>, Problem> {
    let mut response = Response::new(Body::from(format!("{data}\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn status(call: &Call) -> Result<Response<Body>, Problem> {
    manager(call)?;
    shown(json!({
        "cluster": { "status": "disabled", "peers": [] },
        "versionInfo": {
            "version": crate::build::VERSION, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
        },
        "config": { "original": "# see /api/v1/admin/config\n" },
        "uptime": timestamp(
            call.app.clock.now().unix_ms - i64::try_from(call.app.clock.now().since_start.as_millis()).unwrap_or(0)
        ),
    }))
}

async fn receivers(call: &Call) -> Result<Response<Body>, Problem> {
    let names = manager(call)?.receivers().await.map_err(|refusal| refused(&refusal))?;
    let mut names: Vec<Value> = names.into_iter().map(|name| json!({ "name": name })).collect();
    names.dedup();
    shown(names.into())
}

/// What the parameters pick.
struct Picked {
    filter: Filter,
    active: bool,
    silenced: bool,
    inhibited: bool,
    receiver: Option<Matchers>,
}

fn matchers(asked: &[(String, String)]) -> Result<Matchers, Problem> {
    let mut all = Matchers::default();
    for (_, text) in asked.iter().filter(|(name, _)| name == "filter") {
        all = Matchers::parse(text).and_then(|more| all.and(more)).map_err(Problem::bad_data)?;
    }
    Ok(all)
}

impl Picked {
    fn read(call: &Call) -> Result<Self, Problem> {
        let asked = parameters(call.parts.uri.query().unwrap_or_default())?;
        let flag = |name: &str| {
            let given = asked.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            match given {
                None | Some("" | "true" | "1") => Ok(true),
                Some("false" | "0") => Ok(false),
                Some(other) => Err(Problem::bad_data(format!("{name} is true or false, not {other:?}"))),
            }
        };
        let receiver = asked.iter().find(|(name, value)| name == "receiver" && !value.is_empty());
        let receiver = receiver.map(|(_, pattern)| {
            Matchers::one("receiver", crate::series::selector::Op::Like, pattern)
                .and_then(|one| Matchers::new(vec![one]))
                .map_err(Problem::bad_data)
        });
        let states = vec![State::Firing, State::Flapping];
        Ok(Picked {
            filter: Filter { states, matchers: matchers(&asked)?, ..Filter::default() },
            active: flag("active")?,
            silenced: flag("silenced")?,
            inhibited: flag("inhibited")?,
            receiver: receiver.transpose()?,
        })
    }

    fn picks_receiver(&self, name: &str) -> bool {
        let labels = BTreeMap::from([("receiver".to_owned(), name.to_owned())]);
        self.receiver.as_ref().is_none_or(|matchers| matchers.match_all(&labels))
    }

    fn picks(&self, alert: &AlertView) -> bool {
        let (silenced, inhibited) = (!alert.silenced_by.is_empty(), !alert.inhibited_by.is_empty());
        (self.active || silenced || inhibited)
            && (self.silenced || !silenced)
            && (self.inhibited || !inhibited)
            && (self.receiver.is_none() || alert.receivers.iter().any(|name| self.picks_receiver(name)))
    }
}

fn alert(alert: &AlertView, call: &Call) -> Value {
    let suppressed = !alert.silenced_by.is_empty() || !alert.inhibited_by.is_empty();
    let receivers: Vec<Value> = alert.receivers.iter().map(|name| json!({ "name": name })).collect();
    let external = call.app.config.external_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let generator = match alert.generator.starts_with('/') {
        true => format!("{external}{}", alert.generator),
        false => alert.generator.clone(),
    };
    json!({
        "annotations": alert.annotations,
        "endsAt": timestamp(alert.ends_at_ms.unwrap_or(call.app.clock.now().unix_ms.saturating_add(END_MS))),
        "fingerprint": alert.id,
        "receivers": receivers,
        "startsAt": timestamp(alert.starts_at_ms.unwrap_or(alert.active_at_ms)),
        "status": {
            "inhibitedBy": alert.inhibited_by,
            "silencedBy": alert.silenced_by,
            "mutedBy": [],
            "state": if suppressed { "suppressed" } else { "active" },
        },
        "updatedAt": timestamp(alert.updated_at_ms),
        "generatorURL": generator,
        "labels": alert.labels,
    })
}

async fn alerts(call: &Call) -> Result<Response<Body>, Problem> {
    let picked = Picked::read(call)?;
    let all = manager(call)?.list(picked.filter.clone()).await.map_err(|refusal| refused(&refusal))?;
    let all = all.iter().filter(|one| one.firing && picked.picks(one));
    shown(all.map(|one| alert(one, call)).collect())
}

async fn groups(call: &Call) -> Result<Response<Body>, Problem> {
    let picked = Picked::read(call)?;
    let all = manager(call)?.groups(picked.filter.clone()).await.map_err(|refusal| refused(&refusal))?;
    let groups = all.iter().filter(|group| picked.picks_receiver(&group.receiver)).filter_map(|group| {
        let alerts = group.alerts.iter().filter(|one| one.firing && picked.picks(one));
        let alerts: Vec<Value> = alerts.map(|one| alert(one, call)).collect();
        (!alerts.is_empty()).then(
            || json!({ "labels": group.labels, "receiver": { "name": group.receiver }, "alerts": alerts }),
        )
    });
    shown(groups.collect())
}

fn time(text: &str) -> Result<i64, Problem> {
    let ms = parse_time(text).map_err(Problem::bad_data)?;
    if !WRITABLE_MS.contains(&ms) {
        return Err(Problem::bad_data(format!("{text:?} is in no year from 1 to 9999")));
    }
    Ok(ms)
}

fn read<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T, Problem> {
    require_content_type(&call.parts.headers, &["application/json"])?;
    serde_json::from_slice(&call.body).map_err(|error| Problem::bad_data(format!("the body: {error}")))
}

async fn post(call: &Call) -> Result<Response<Body>, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        labels: BTreeMap<String, String>,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
        starts_at: Option<String>,
        ends_at: Option<String>,
        #[serde(default, rename = "generatorURL")]
        generator: String,
    }
    let wires: Vec<Wire> = read(call)?;
    if wires.len() > MOST_POSTED {
        return Err(Problem::bad_data(format!("there are more than {MOST_POSTED} alerts")));
    }
    let mut posted = Vec::with_capacity(wires.len());
    for wire in wires {
        let labels = Labels::new(&wire.labels);
        if labels.is_empty() || wire.labels.keys().any(String::is_empty) {
            return Err(Problem::bad_data("an alert has at least one label, and each label a name"));
        }
        let said = wire.labels.iter().chain(&wire.annotations).map(|(name, text)| name.len() + text.len());
        if said.sum::<usize>() + wire.generator.len() > MOST_SAID {
            return Err(Problem::bad_data(format!("an alert says more than {MOST_SAID} bytes")));
        }
        // A time that Go has not set is the year 1.
        let of = |text: Option<String>| -> Result<Option<i64>, Problem> {
            let text = text.filter(|text| !text.is_empty() && !text.starts_with("0001-"));
            text.map(|text| time(&text)).transpose()
        };
        posted.push(Posted {
            labels,
            annotations: wire.annotations,
            starts_at_ms: of(wire.starts_at)?,
            ends_at_ms: of(wire.ends_at)?,
            generator: wire.generator,
        });
    }
    manager(call)?.post(posted).await.map_err(|refusal| refused(&refusal))?;
    Ok(Response::new(Body::empty()))
}

fn wire(silence: &Silence) -> Value {
    json!({
        "id": silence.id,
        "status": { "state": silence.state },
        "updatedAt": timestamp(silence.updated_at_ms),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "startsAt": timestamp(silence.starts_at_ms),
        "endsAt": timestamp(silence.ends_at_ms),
        "matchers": silence.matchers,
    })
}

async fn silences(call: &Call) -> Result<Response<Body>, Problem> {
    let filter = matchers(&parameters(call.parts.uri.query().unwrap_or_default())?)?;
    let all = manager(call)?.silences().await.map_err(|refusal| refused(&refusal))?;
    // As in Alertmanager: the values that the silence's own matchers name are what the filter looks at.
    let picked = all.iter().filter(|silence| {
        let named = silence.matchers.iter().map(|one| (one.label().to_owned(), one.value().to_owned()));
        filter.match_all(&named.collect())
    });
    shown(picked.map(wire).collect())
}

async fn silence(call: &Call) -> Result<Response<Body>, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        id: Option<String>,
        matchers: Matchers,
        starts_at: String,
        ends_at: String,
        #[serde(default)]
        created_by: String,
        #[serde(default)]
        comment: String,
    }
    let wire: Wire = read(call)?;
    let silence = NewSilence {
        id: wire.id.filter(|id| !id.is_empty()),
        matchers: wire.matchers,
        starts_at_ms: time(&wire.starts_at)?,
        ends_at_ms: time(&wire.ends_at)?,
        created_by: wire.created_by,
        comment: wire.comment,
    };
    let silence = manager(call)?.silence(silence).await.map_err(|refusal| refused(&refusal))?;
    shown(json!({ "silenceID": silence.id }))
}

async fn one(call: &Call) -> Result<Response<Body>, Problem> {
    let all = manager(call)?.silences().await.map_err(|refusal| refused(&refusal))?;
    let found = all.iter().find(|silence| silence.id == call.name);
    found.map_or_else(
        || Err(Problem::new(StatusCode::NOT_FOUND, "there is no silence of this id")),
        |silence| shown(wire(silence)),
    )
}

async fn expire(call: &Call) -> Result<Response<Body>, Problem> {
    manager(call)?.expire_silence(&call.name).await.map_err(|refusal| refused(&refusal))?;
    Ok(Response::new(Body::empty()))
}

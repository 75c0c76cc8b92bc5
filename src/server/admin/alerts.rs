//! Alerts: shown, cleared, taken, silenced; their history; and what could not be delivered.
//!
//! Bodies are JSON objects whose unknown fields are refused. Who does something is the name of the token; `by` in a body says it
//! for those who share one.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::audit::Detail;
use super::super::auth::Who;
use super::super::body::Body;
use super::super::headers::require_content_type;
use super::super::problem::Problem;
use super::super::request::parameters;
use super::super::router::success;
use super::super::routes::Call;
use crate::alert::Severity;
use crate::alert::manager::{
    Acknowledge, Alerts, Filter, HistoryFilter, Matchers, NewSilence, Refusal, State, Which, history,
};
use crate::alert::receivers;
use crate::config::units::parse_duration;

/// Most ids of one request to clear.
const MOST_IDS: usize = 1000;

/// Longest silence and snooze: a year.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Notifications that could not be delivered.
pub trait DeadLetters: Send + Sync {
    /// All of them, a list of objects with an `id`, the newest last.
    fn list(&self) -> Value;

    /// Tries one again; false if there is none of this id, or no way for it any more.
    fn retry(&self, id: u64) -> bool;

    /// Throws one away; false if there is none of this id.
    fn delete(&self, id: u64) -> bool;
}

impl DeadLetters for receivers::Handle {
    fn list(&self) -> Value {
        serde_json::to_value(self.dead_letters()).unwrap_or_default()
    }

    fn retry(&self, id: u64) -> bool {
        receivers::Handle::retry(self, id)
    }

    fn delete(&self, id: u64) -> bool {
        receivers::Handle::delete(self, id)
    }
}

/// A refusal in the form of all errors.
pub(in crate::server) fn refused(refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::Unknown(_) => StatusCode::NOT_FOUND,
        Refusal::NotFiring(_) => StatusCode::CONFLICT,
        Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
        Refusal::Full(_) | Refusal::Stopped => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, refusal.to_string())
}

fn manager(call: &Call) -> Result<&Alerts, Problem> {
    call.app.admin.alerts.as_ref().ok_or_else(Problem::not_found)
}

fn shown(data: &impl Serialize) -> Result<Response<Body>, Problem> {
    serde_json::to_value(data)
        .map(|data| success(&data))
        .map_err(|error| Problem::internal(error.to_string()))
}

/// The same, told to the audit log too.
fn done(data: &impl Serialize) -> Result<Response<Body>, Problem> {
    let data = serde_json::to_value(data).map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = success(&data);
    response.extensions_mut().insert(Detail(data));
    Ok(response)
}

/// Reads a body of JSON.
fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Problem> {
    require_content_type(&call.parts.headers, &["application/json"])?;
    of_json(&call.body)
}

fn of_json<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad_data(format!("the body: {error}")))
}

/// Who does it.
fn by(call: &Call, said: Option<String>) -> String {
    match (said.filter(|by| !by.trim().is_empty()), &call.who) {
        (Some(by), Who::Token(name)) if *by != **name => format!("{by} ({name})"),
        (Some(by), _) => by,
        (None, Who::Token(name)) => name.to_string(),
        (None, _) => "api".to_owned(),
    }
}

fn invalid(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::bad_data(format!("invalid {name:?}: {why}")).details(json!({ "field": name }))
}

fn matchers<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Matchers, Problem> {
    let parse = |text| Matchers::parse(text).map_err(|why| invalid("matchers", why));
    let mut all = Matchers::default();
    for text in texts {
        all = all.and(parse(text)?).map_err(|why| invalid("matchers", why))?;
    }
    Ok(all)
}

/// What `state`, `level` and `match[]` say.
fn filter(asked: &[(String, String)]) -> Result<Filter, Problem> {
    let of = |wanted: &'static [&'static str]| {
        let chosen = asked.iter().filter(move |(name, _)| wanted.contains(&name.as_str()));
        chosen.flat_map(|(_, value)| value.split(',')).filter(|word| !word.is_empty())
    };
    let state = |word: &str| {
        let words = State::ALL.map(State::as_str).join(", ");
        State::of(word).ok_or_else(|| invalid("state", format!("{word:?} is none of {words}")))
    };
    let level = |word: &str| {
        let words = Severity::ALL.map(Severity::as_str).join(", ");
        let found = Severity::ALL.into_iter().find(|level| level.as_str() == word);
        found.ok_or_else(|| invalid("level", format!("{word:?} is none of {words}")))
    };
    let selectors = asked.iter().filter(|(name, _)| name == "match[]").map(|(_, text)| text.as_str());
    Ok(Filter {
        states: of(&["state"]).map(state).collect::<Result<_, _>>()?,
        severities: of(&["level", "severity"]).map(level).collect::<Result<_, _>>()?,
        matchers: matchers(selectors)?,
    })
}

/// `GET …/alerts`.
pub(super) async fn list(call: &Call) -> Result<Response<Body>, Problem> {
    let asked = parameters(call.parts.uri.query().unwrap_or_default())?;
    let alerts = manager(call)?.list(filter(&asked)?).await.map_err(|refusal| refused(&refusal))?;
    shown(&json!({ "count": alerts.len(), "alerts": alerts }))
}

/// `POST …/alerts`: clears all, or those of `ids` or `matchers`.
pub(super) async fn clear(call: &Call) -> Result<Response<Body>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        ids: Option<Vec<String>>,
        matchers: Option<Vec<String>>,
        by: Option<String>,
    }
    let wish = if call.body.iter().all(u8::is_ascii_whitespace) {
        Wish { ids: None, matchers: None, by: None }
    } else {
        read(call)?
    };
    let which = match (wish.ids, wish.matchers) {
        (None, None) => Which::All,
        (Some(ids), None) if ids.len() > MOST_IDS => {
            return Err(invalid("ids", format!("there are more than {MOST_IDS}")));
        }
        (Some(ids), None) => Which::Ids(ids),
        // An empty list is none of them, and not all.
        (None, Some(texts)) if texts.is_empty() => return Err(invalid("matchers", "there are none")),
        (None, Some(texts)) => Which::Matching(matchers(texts.iter().map(String::as_str))?),
        (Some(_), Some(_)) => return Err(Problem::bad_data("ids and matchers cannot be given together")),
    };
    let cleared =
        manager(call)?.clear(which, &by(call, wish.by)).await.map_err(|refusal| refused(&refusal))?;
    if cleared.unknown.is_empty() {
        return done(&json!({ "count": cleared.count }));
    }
    let message = format!("no alert has these ids: {}", cleared.unknown.join(", "));
    let details = json!({ "unknown": cleared.unknown, "count": cleared.count });
    Err(Problem::new(StatusCode::NOT_FOUND, message).details(details))
}

/// `POST …/alerts/ID/acknowledge`: with `for` it is a snooze.
pub(super) async fn acknowledge(call: &Call) -> Result<Response<Body>, Problem> {
    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        by: Option<String>,
        note: Option<String>,
        #[serde(rename = "for")]
        length: Option<String>,
    }
    let wish: Wish = if call.body.is_empty() { Wish::default() } else { read(call)? };
    let length = wish.length.as_deref().map(|text| length_of("for", text)).transpose()?;
    let wish = Acknowledge { by: by(call, wish.by), note: wish.note.unwrap_or_default(), for_: length };
    let taken = manager(call)?.acknowledge(&call.name, wish).await.map_err(|refusal| refused(&refusal))?;
    done(&json!({ "id": call.name, "acknowledged": taken }))
}

/// `DELETE …/alerts/ID/acknowledge`.
pub(super) async fn unacknowledge(call: &Call) -> Result<Response<Body>, Problem> {
    let was = manager(call)?.unacknowledge(&call.name, &by(call, None)).await;
    done(&json!({ "id": call.name, "was": was.map_err(|refusal| refused(&refusal))? }))
}

/// `POST …/alerts/ID/escalate`.
pub(super) async fn escalate(call: &Call) -> Result<Response<Body>, Problem> {
    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        by: Option<String>,
    }
    let wish: Wish = if call.body.is_empty() { Wish::default() } else { read(call)? };
    let told = manager(call)?.escalate(&call.name, &by(call, wish.by)).await;
    done(&json!({ "id": call.name, "told": told.map_err(|refusal| refused(&refusal))? }))
}

fn length_of(name: &str, text: &str) -> Result<Duration, Problem> {
    let length = parse_duration(text).map_err(|why| invalid(name, why))?;
    if length.is_zero() || length > LONGEST {
        return Err(invalid(name, "it is longer than 0 and at most a year"));
    }
    Ok(length)
}

/// `GET …/silences`.
pub(super) async fn silences(call: &Call) -> Result<Response<Body>, Problem> {
    shown(&manager(call)?.silences().await.map_err(|refusal| refused(&refusal))?)
}

/// `POST …/silences`: a new one, or with `id` another form of one.
pub(super) async fn silence(call: &Call) -> Result<Response<Body>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        id: Option<String>,
        matchers: Vec<String>,
        starts_at_ms: Option<i64>,
        ends_at_ms: Option<i64>,
        #[serde(rename = "for")]
        length: Option<String>,
        by: Option<String>,
        comment: Option<String>,
    }
    let wish: Wish = read(call)?;
    let now = call.app.clock.now().unix_ms;
    let starts_at_ms = wish.starts_at_ms.unwrap_or(now);
    let ends_at_ms = match (wish.ends_at_ms, wish.length.as_deref()) {
        (Some(end), None) => end,
        (None, Some(text)) => {
            let length = length_of("for", text)?;
            starts_at_ms.max(now).saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
        }
        _ => return Err(Problem::bad_data("a silence has an end: either ends_at_ms or for")),
    };
    let silence = NewSilence {
        id: wish.id,
        matchers: matchers(wish.matchers.iter().map(String::as_str))?,
        starts_at_ms,
        ends_at_ms,
        created_by: by(call, wish.by),
        comment: wish.comment.unwrap_or_default(),
    };
    done(&manager(call)?.silence(silence).await.map_err(|refusal| refused(&refusal))?)
}

/// `DELETE …/silences/ID`.
pub(super) async fn expire_silence(call: &Call) -> Result<Response<Body>, Problem> {
    done(&manager(call)?.expire_silence(&call.name).await.map_err(|refusal| refused(&refusal))?)
}

/// `GET …/alerts/history`, as JSON or by `format=csv`.
pub(super) async fn transitions(call: &Call) -> Result<Response<Body>, Problem> {
    let asked = parameters(call.parts.uri.query().unwrap_or_default())?;
    let of = |wanted: &str| asked.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let number = |name: &str| -> Result<Option<i64>, Problem> {
        of(name).map(|text| text.parse().map_err(|_| invalid(name, "it is a whole number"))).transpose()
    };
    let count = |name: &str| -> Result<Option<u64>, Problem> {
        let number = number(name)?.map(u64::try_from).transpose();
        number.map_err(|_| invalid(name, "it is not below 0"))
    };
    let as_csv = match of("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => return Err(invalid("format", format!("{other:?} is none of json, csv"))),
    };
    let Filter { states, severities, matchers } = filter(&asked)?;
    let filter = HistoryFilter {
        since_ms: number("since_ms")?,
        until_ms: number("until_ms")?,
        states,
        severities,
        matchers,
        before: count("before")?,
        limit: count("limit")?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
    };
    let found = manager(call)?.history(filter).await.map_err(|refusal| refused(&refusal))?;
    if !as_csv {
        return shown(&found);
    }
    let mut response = Response::new(Body::from(history::csv(&found)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let name = HeaderValue::from_static("attachment; filename=\"alert-history.csv\"");
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// `GET …/deadletters`.
pub(super) fn dead_letters(call: &Call) -> Result<Response<Body>, Problem> {
    let letters = call.app.admin.dead_letters.as_ref().ok_or_else(Problem::not_found)?;
    Ok(success(&letters.list()))
}

/// `POST …/deadletters/ID/retry` and `DELETE …/deadletters/ID`.
pub(super) fn settle(call: &Call, retry: bool) -> Result<Response<Body>, Problem> {
    let letters = call.app.admin.dead_letters.as_ref().ok_or_else(Problem::not_found)?;
    let none =
        || Problem::new(StatusCode::NOT_FOUND, format!("there is no dead letter {:?} to settle", call.name));
    let id: u64 = call.name.parse().map_err(|_| none())?;
    let is_done = if retry { letters.retry(id) } else { letters.delete(id) };
    if is_done {
        done(&json!({ "id": id, "done": if retry { "retry" } else { "delete" } }))
    } else {
        Err(none())
    }
}

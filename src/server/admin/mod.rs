//! The administration: what only who runs the server may see and do. All of it needs the scope `admin`, but for alerts.
//!
//! | path | methods | |
//! | --- | --- | --- |
//! | `/api/v1/admin/clients` | GET | who is connected to the streams, and how each fares: [`clients`] |
//! | `/api/v1/admin/clients/ID` | DELETE | sends one away |
//! | `/api/v1/admin/targets` | GET | what is scraped, by job: [`views`] |
//! | `/api/v1/admin/rules` | GET | the rules, as `/api/v1/rules` shows them |
//! | `/api/v1/admin/config` | GET | the configuration in force, who set what, without secrets: [`views`] |
//! | `/api/v1/admin/loglevel` | GET, PUT | how much the log says: [`process`] |
//! | `/api/v1/admin/drain` | POST | stops the process as SIGTERM does: [`process`] |
//! | `/api/v1/admin/performance/metrics` | GET | operations, errors, system, security, connections: [`performance`] |
//! | `/api/v1/admin/performance/operations/NAME` | GET | the last hundred runs of one: [`performance`] |
//! | `/api/v1/admin/performance/report` | GET | the same judged and told to people: [`report`] |
//! | `/api/v1/admin/performance/alerts` | GET, POST | alerts, and clearing them: [`alerts`] |
//! | `/api/v1/admin/alerts/ID/acknowledge` | POST, DELETE | taken by somebody, or not any more |
//! | `/api/v1/admin/alerts/ID/escalate` | POST | the next ones are told, without waiting |
//! | `/api/v1/admin/alerts/history` | GET | transitions, as JSON or CSV |
//! | `/api/v1/admin/silences`, `/ID` | GET, POST, DELETE | silences |
//! | `/api/v1/admin/deadletters`, `/ID`, `/ID/retry` | GET, DELETE, POST | what could not be delivered |
//!
//! [`Admin`] is what the process around the server gives it for this.

use std::fmt;
use std::sync::Arc;

use hyper::Method;

use super::app::App;
use super::auth::Scope;
use super::problem::Problem;
use super::routes::Kind::{Choice, Integer, Text, Texts};
use super::routes::{Operation, Parameter, does, get, operation};
use super::rules;
use super::table::RULES;
use crate::alert::manager::Alerts;
use crate::monitor::{Monitor, Snapshot};

mod alerts;
mod clients;
mod performance;
mod process;
mod report;
mod views;

pub use alerts::DeadLetters;
pub(super) use alerts::refused;

/// What the process around the server shows and does for its administration. What is not there is answered with 404 or 501.
#[derive(Clone, Default)]
pub struct Admin {
    /// The configuration in force and where each value is from, as `gaugecast config show --origin` prints it.
    pub config: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// The level of the log; with one, sets it first.
    pub log_level: Option<Arc<dyn Fn(Option<crate::log::Level>) -> crate::log::Level + Send + Sync>>,
    /// Begins the end of the process.
    pub drain: Option<Arc<dyn Fn() + Send + Sync>>,
    /// All that the monitor knows.
    pub performance: Option<Arc<dyn Fn() -> Snapshot + Send + Sync>>,
    /// Tells the single runs of operations, and takes what bad tokens are tried, as events of security.
    pub monitor: Option<Monitor>,
    /// The alert manager.
    pub alerts: Option<Alerts>,
    /// What the receivers could not deliver.
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// The operations of the administration.
pub(super) fn table(app: &App) -> Vec<Operation> {
    let admin = |path, about, work| get(path, about, work).scope(Scope::Admin);
    let mut rows = Vec::new();
    if app.stream.is_some() {
        rows.extend([
            admin(
                "/api/v1/admin/clients",
                "Who is connected to the streams",
                does!(c => Ok(clients::list(&c.app))),
            )
            .json("Clients"),
            operation(
                Method::DELETE,
                "/api/v1/admin/clients/:id",
                Scope::Admin,
                "Send a client away",
                does!(c => clients::kick(&c)),
            )
            .json("Kicked"),
        ]);
    }
    rows.push(
        admin("/api/v1/admin/targets", "What is scraped, by job", does!(c => Ok(views::targets(&c.app))))
            .json("AdminTargets"),
    );
    if app.rules.is_some() {
        rows.push(
            admin(
                "/api/v1/admin/rules",
                "The rules that are evaluated, with their alerts",
                does!(c => rules::rules(c.app.rules.as_ref().ok_or_else(Problem::not_found)?, &c.parts)),
            )
            .asks(&RULES)
            .json("Rules"),
        );
    }
    if app.admin.config.is_some() {
        rows.push(
            admin(
                "/api/v1/admin/config",
                "The configuration in force and who set what, without secrets",
                does!(c => views::config(&c.app)),
            )
            .json("AdminConfig"),
        );
    }
    if app.admin.log_level.is_some() {
        rows.extend([
            admin("/api/v1/admin/loglevel", "How much the log says", does!(c => process::log_level(&c.app)))
                .json("LogLevel"),
            operation(
                Method::PUT,
                "/api/v1/admin/loglevel",
                Scope::Admin,
                "Set it, until the next reload or start",
                does!(c => process::set_log_level(&c)),
            )
            .reads("application/json", "NewLogLevel")
            .json("LogLevel"),
        ]);
    }
    if app.admin.drain.is_some() {
        rows.push(
            operation(
                Method::POST,
                "/api/v1/admin/drain",
                Scope::Admin,
                "Stop the process as SIGTERM does",
                does!(c => process::drain(&c.app)),
            )
            .status(&[202])
            .json("Draining"),
        );
    }
    if app.admin.performance.is_some() {
        rows.extend([
            admin(
                "/api/v1/admin/performance/metrics",
                "Operations, errors, system, security, connections",
                does!(c => performance::metrics(&c.app)),
            )
            .json("Performance"),
            admin(
                "/api/v1/admin/performance/operations/:name",
                "The last hundred runs of an operation, newest first",
                does!(c => performance::runs(&c)),
            )
            .json("OperationRuns"),
            admin(
                "/api/v1/admin/performance/report",
                "The same, judged, for people",
                does!(c => report::report(&c).await),
            )
            .asks(&[
                Parameter::may("format", Choice(&["json", "markdown", "html"]), "instead of Accept"),
                Parameter::may("baseline", Text, "a saved baseline to compare with, by default the newest"),
            ])
            .gives(&["application/json", "text/markdown", "text/html"], "Report"),
        ]);
    }
    if app.admin.alerts.is_some() {
        rows.extend(of_alerts());
        rows.extend(super::alertmanager::table());
    }
    if app.admin.dead_letters.is_some() {
        let path = "/api/v1/admin/deadletters/:id";
        rows.extend([
            admin(
                "/api/v1/admin/deadletters",
                "Notifications that could not be delivered",
                does!(c => alerts::dead_letters(&c)),
            )
            .json("DeadLetters"),
            operation(
                Method::DELETE,
                path,
                Scope::Admin,
                "Throw one away",
                does!(c => alerts::settle(&c, false)),
            )
            .json("Settled"),
            operation(
                Method::POST,
                "/api/v1/admin/deadletters/:id/retry",
                Scope::Admin,
                "Try one again",
                does!(c => alerts::settle(&c, true)),
            )
            .json("Settled"),
        ]);
    }
    rows
}

/// The operations on alerts: whoever may read sees them.
fn of_alerts() -> Vec<Operation> {
    const PICK: [Parameter; 3] = [
        Parameter::may("state", Text, "pending, firing, flapping or resolved; several with commas"),
        Parameter::may("level", Text, "info, warning, critical or emergency; several with commas"),
        Parameter::may("match[]", Texts, "matchers such as job=\"api\""),
    ];
    let [state, level, matchers] = PICK;
    let change = |method, path, about, work| operation(method, path, Scope::AlertsWrite, about, work);
    vec![
        get(
            "/api/v1/admin/performance/alerts",
            "Alerts, the worst first",
            does!(c => alerts::list(&c).await),
        )
        .asks(&PICK)
        .json("AlertList"),
        change(
            Method::POST,
            "/api/v1/admin/performance/alerts",
            "Clear all, or those of ids or matchers",
            does!(c => alerts::clear(&c).await),
        )
        .reads("application/json", "ClearWish")
        .json("Cleared"),
        change(
            Method::POST,
            "/api/v1/admin/alerts/:id/acknowledge",
            "Take an alert, for a while if `for` says so",
            does!(c => alerts::acknowledge(&c).await),
        )
        .reads("application/json", "AcknowledgeWish")
        .json("Acknowledged"),
        change(
            Method::DELETE,
            "/api/v1/admin/alerts/:id/acknowledge",
            "Give it back",
            does!(c => alerts::unacknowledge(&c).await),
        )
        .json("Unacknowledged"),
        change(
            Method::POST,
            "/api/v1/admin/alerts/:id/escalate",
            "Tell those whom its escalation tells next, now",
            does!(c => alerts::escalate(&c).await),
        )
        .reads("application/json", "EscalateWish")
        .json("Escalated"),
        get(
            "/api/v1/admin/alerts/history",
            "What happened to alerts, the newest first",
            does!(c => alerts::transitions(&c).await),
        )
        .asks(&[
            state,
            level,
            matchers,
            Parameter::may("since_ms", Integer, "not before, Unix milliseconds"),
            Parameter::may("until_ms", Integer, "not after, Unix milliseconds"),
            Parameter::may("before", Integer, "only those before this number, for paging"),
            Parameter::may("limit", Integer, "at most so many"),
            Parameter::may("format", Choice(&["json", "csv"]), "json by default"),
        ])
        .gives(&["application/json", "text/csv"], "Transitions"),
        get("/api/v1/admin/silences", "Silences, the newest first", does!(c => alerts::silences(&c).await))
            .json("Silences"),
        change(
            Method::POST,
            "/api/v1/admin/silences",
            "Add a silence, or change the one of `id`",
            does!(c => alerts::silence(&c).await),
        )
        .reads("application/json", "SilenceWish")
        .json("SilenceAnswer"),
        change(
            Method::DELETE,
            "/api/v1/admin/silences/:id",
            "End a silence now",
            does!(c => alerts::expire_silence(&c).await),
        )
        .json("SilenceAnswer"),
    ]
}

//! The administration: what only who runs the server may see and do. All of it needs the scope `admin`, but for alerts.
//!
//! | path | methods | |
//! | --- | --- | --- |
//! | `/api/v1/admin/clients` | GET | who is connected to the streams, and how each fares: [`clients`] |
//! | `/api/v1/admin/clients/ID` | DELETE | sends one away |
//! | `/api/v1/admin/targets` | GET | what is scraped, by job: [`views`] |
//! | `/api/v1/admin/config` | GET | the configuration in force, who set what, without secrets: [`views`] |
//! | `/api/v1/admin/loglevel` | GET, PUT | how much the log says: [`process`] |
//! | `/api/v1/admin/drain` | POST | stops the process as SIGTERM does: [`process`] |
//! | `/api/v1/admin/performance/metrics` | GET | operations, errors, system, security, connections: [`performance`] |
//! | `/api/v1/admin/performance/report` | GET | the same judged and told to people: [`report`] |
//!
//! [`Admin`] is what the process around the server gives it for this.

use std::fmt;
use std::sync::Arc;

use hyper::Method;

use super::app::App;
use super::auth::Scope;
use super::routes::Kind::{Choice, Text};
use super::routes::{Operation, Parameter, does, get, operation};
use crate::monitor::Snapshot;

mod clients;
mod performance;
mod process;
mod report;
mod views;

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
    rows
}

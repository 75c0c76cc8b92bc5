//! The dashboards: a file each that lists rows of panels ([`model`]), made Grafana's JSON by [`json`].
//!
//! They fit any Prometheus data source, gaugecast itself included, since all that depends on it is chosen by variables: the
//! data source, `job` and `instance`. Gaugecast's own series have neither of these labels where gaugecast itself is asked; that is why
//! "All" is `.*`, which a missing label matches too.

mod alerts;
mod bridge;
mod host;
mod json;
mod loadtest;
mod model;
mod operations;
mod overview;

use super::File;
use model::Dashboard;

fn dashboards() -> [Dashboard; 6] {
    [
        overview::dashboard(),
        host::dashboard(),
        operations::dashboard(),
        bridge::dashboard(),
        alerts::dashboard(),
        loadtest::dashboard(),
    ]
}

/// One file each.
pub(super) fn all() -> Vec<File> {
    let dashboards = dashboards();
    let file = |dashboard: &Dashboard| {
        let others: Vec<_> = dashboards
            .iter()
            .filter(|other| other.name != dashboard.name)
            .map(|other| (other.name, title(other.name)))
            .collect();
        File::new(format!("grafana/dashboards/{}.json", dashboard.name), json::text(dashboard, &others))
    };
    dashboards.iter().map(file).collect()
}

/// What links call a dashboard.
fn title(name: &str) -> &'static str {
    match name {
        "overview" => "Overview",
        "host" => "Host",
        "operations" => "Operations",
        "bridge" => "Bridge",
        "alerts" => "Alerts",
        _ => "Load test",
    }
}

//! Grafana: data sources, alerting, the provider of dashboards, and the dashboards.

use super::{File, Options, alerting, dashboards};

pub(super) fn files(options: &Options) -> Vec<File> {
    let mut files = vec![
        File::new(
            "grafana/provisioning/dashboards/gaugecast.yml",
            include_str!("../../grafana/provisioning/dashboards/gaugecast.yml"),
        ),
        File::new(
            "grafana/provisioning/datasources/prometheus.yml",
            include_str!("../../grafana/provisioning/datasources/prometheus.yml"),
        ),
    ];
    files.extend(alerting::files(options));
    files.extend(dashboards::all());
    files
}

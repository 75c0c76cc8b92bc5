//! Grafana: data sources, alerting, the provider of dashboards, and the dashboards.

use super::{DEFAULT_HOST, DEFAULT_PORT, File, Options, alerting, dashboards, put};

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
        File::new(
            "grafana/provisioning/datasources/alertmanager.yml",
            include_str!("../../grafana/provisioning/datasources/alertmanager.yml"),
        ),
        File::new("grafana/provisioning/datasources/gaugecast.yml", itself(options)),
    ];
    files.extend(alerting::files(options));
    files.extend(dashboards::all());
    files
}

/// gaugecast as a data source.
fn itself(options: &Options) -> String {
    put(
        include_str!("../../grafana/provisioning/datasources/gaugecast.yml"),
        &format!("url: http://{DEFAULT_HOST}:{DEFAULT_PORT}\n"),
        &format!("url: http://{}\n", options.address()),
    )
}

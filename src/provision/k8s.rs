//! Kubernetes: a Helm chart, with the rules for Prometheus Operator and the dashboards for Grafana's sidecar in it.

use super::{DEFAULT_PORT, File, Options, dashboards, prometheus, put};

/// Files of the chart that take no parameter, by their paths in it.
macro_rules! chart {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../packaging/helm/gaugecast/", $path)))),*]
    };
}

const STATIC: [(&str, &str); 14] = chart![
    ".helmignore",
    "Chart.yaml",
    "values.schema.json",
    "templates/NOTES.txt",
    "templates/_helpers.tpl",
    "templates/config.yaml",
    "templates/dashboards.yaml",
    "templates/monitor.yaml",
    "templates/networkpolicy.yaml",
    "templates/rules.yaml",
    "templates/service.yaml",
    "templates/serviceaccount.yaml",
    "templates/storage.yaml",
    "templates/workload.yaml",
];

pub(super) fn files(options: &Options) -> Vec<File> {
    let mut files: Vec<File> = STATIC.iter().map(|&(path, text)| file(path, text)).collect();
    let values = include_str!("../../packaging/helm/gaugecast/values.yaml");
    let port = put(values, &format!("port: {DEFAULT_PORT}\n"), &format!("port: {}\n", options.port));
    files.push(File { text: port.into(), ..file("values.yaml", "") });
    // In the repository these two folders are links to where the files stand.
    for (name, text) in prometheus::rules(options) {
        files.push(File { text: text.into(), ..file(&format!("files/rules/{name}"), "") });
    }
    for dashboard in dashboards::all() {
        let name = dashboard.path.trim_start_matches("grafana/");
        files.push(File { text: dashboard.text.clone(), ..file(&format!("files/{name}"), "") });
    }
    files
}

fn file(path: &str, text: &'static str) -> File {
    File::new(format!("packaging/helm/gaugecast/{path}"), text)
}

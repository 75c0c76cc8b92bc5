//! Docker Compose: gaugecast, Prometheus, Alertmanager and Grafana on one host.

use super::{DEFAULT_PORT, File, Options};

const COMPOSE: &str = include_str!("../../docker-compose.yml");

pub(super) fn files(options: &Options) -> Vec<File> {
    vec![File::new("docker-compose.yml", compose(options))]
}

fn compose(options: &Options) -> String {
    if options.port == DEFAULT_PORT {
        return COMPOSE.into();
    }
    let listen = format!("--web.listen-address=127.0.0.1:{}", options.port);
    let text = super::put(COMPOSE, "localhost:7171", &format!("localhost:{}", options.port));
    let text = super::put(
        &text,
        "command: [--path.rootfs=/host]",
        &format!("command: [--path.rootfs=/host, {listen}]"),
    );
    super::put(
        &text,
        "test: [CMD, /gaugecast, check, ready]",
        &format!("test: [CMD, /gaugecast, check, ready, {listen}]"),
    )
}

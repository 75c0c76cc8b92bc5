//! The dashboards.

use super::{File, Options};

/// One file each.
pub(super) fn all(_: &Options) -> Vec<File> {
    vec![File::new("grafana/dashboards/host.json", include_str!("../../../grafana/dashboards/host.json"))]
}

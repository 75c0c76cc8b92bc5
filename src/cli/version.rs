//! What `--version` tells.

use crate::build::{BRANCH, REVISION, RUST_VERSION, VERSION};

/// What `--version` tells after the program's name, as Prometheus programs do.
pub(super) fn text() -> String {
    format!(
        "version {VERSION} (branch: {BRANCH}, revision: {REVISION})\n  rust version:     {RUST_VERSION}\n  platform:         {}/{}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

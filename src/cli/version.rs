//! What this build is.

/// Version of the crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Branch it was built from; `unknown` outside a repository.
pub const BRANCH: &str = env!("GAUGECAST_BRANCH");
/// Commit it was built from; `unknown` outside a repository.
pub const REVISION: &str = env!("GAUGECAST_REVISION");
/// Version of the compiler.
pub const RUST_VERSION: &str = env!("GAUGECAST_RUSTC");

/// What `--version` tells after the program's name, as Prometheus programs do.
pub(super) fn text() -> String {
    format!(
        "version {VERSION} (branch: {BRANCH}, revision: {REVISION})\n  rust version:     {RUST_VERSION}\n  platform:         {}/{}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

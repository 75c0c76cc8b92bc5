//! What this build is; the package's build script finds it out.

/// Version of the crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Branch it was built from; `unknown` outside a repository.
pub const BRANCH: &str = env!("GAUGECAST_BRANCH");

/// Commit it was built from; `unknown` outside a repository.
pub const REVISION: &str = env!("GAUGECAST_REVISION");

/// Version of the compiler, `1.95.0`.
pub const RUST_VERSION: &str = env!("GAUGECAST_RUSTC");

/// Features it was built with, sorted and joined by commas; may be empty.
pub const FEATURES: &str = env!("GAUGECAST_FEATURES");

//! What `--web.listen-address` shows of a test while it runs: a gaugecast of its own with the test's figures in its
//! registry, so that there is the page, `/metrics` for Prometheus, and the stream, which also tells how each whole test
//! has ended.

use std::net::SocketAddr;

use tokio::runtime::Runtime;

use crate::config::Config;
use crate::loadtest::Event;
use crate::loadtest::publish::{Outcome, Published};
use crate::registry::Registry;
use crate::serve::{self, Running};

pub(super) struct Dashboard {
    runtime: Runtime,
    running: Running,
    published: Published,
}

impl Dashboard {
    /// Listens at `address`, for no longer than it lives. What went wrong is told in words.
    pub(super) fn start(address: SocketAddr) -> Result<Self, String> {
        let registry = Registry::new();
        let published = Published::register(&registry).map_err(|error| error.to_string())?;
        let mut config = Config::default();
        config.server.listen = vec![address];
        // Whose figures it has is plain: those of the test, not of the host.
        config.collect.disable_defaults = true;
        config.collect.switches.insert("process".into(), true);
        // A thread beside those of the generator, which so are not in its way.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .thread_name("dashboard")
            .build()
            .map_err(|error| error.to_string())?;
        let running = runtime.block_on(serve::start(&config, registry, None));
        let running = running.map_err(|error| error.to_string())?;
        Ok(Self { runtime, running, published })
    }

    /// Where it is to be found.
    pub(super) fn greeting(&self) -> String {
        let at = self.running.addresses();
        at.iter().map(|at| format!("figures at http://{at}/ and http://{at}/metrics")).collect()
    }

    pub(super) fn take(&mut self, event: &Event<'_>) {
        self.published.take(event);
        if let Event::Cycle(report) = event {
            self.running.events().publish(&Outcome::of(report));
        }
    }

    pub(super) fn stop(self) {
        self.runtime.block_on(self.running.stop());
    }
}

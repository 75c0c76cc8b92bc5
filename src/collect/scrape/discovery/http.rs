//! Targets that a server tells: a JSON list of groups, as in Prometheus' `http_sd_configs`.

use std::time::Duration;

use super::super::config::Asked;
use super::{Discovered, groups_of_json};
use crate::http_client::Url;
use crate::http_client::{Ask, Fetcher, Line};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer.
const MAX_BYTES: usize = 16 << 20;

/// The server of one `http_sd_configs`.
#[derive(Debug)]
pub(super) struct Server {
    url: Url,
    fetcher: Fetcher,
    line: Line,
}

impl Server {
    pub(super) fn new(asked: &Asked) -> Self {
        Server { url: asked.url.clone(), fetcher: Fetcher::new(asked.client.clone()), line: Line::default() }
    }

    /// Asks for the targets.
    pub(super) async fn ask(&mut self, every: Duration) -> Result<Vec<Discovered>, String> {
        let seconds = every.as_secs_f64().to_string();
        let ask = Ask {
            url: &self.url,
            accept: "application/json",
            compression: true,
            limit: MAX_BYTES,
            header: Some(("X-Prometheus-Refresh-Interval-Seconds", &seconds)),
        };
        let told = tokio::time::timeout(TIMEOUT, self.fetcher.get(&mut self.line, ask)).await;
        let at = |reason: &dyn std::fmt::Display| format!("{}: {reason}", self.url);
        let answer = told
            .map_err(|_| at(&format!("no answer within {} s", TIMEOUT.as_secs())))?
            .map_err(|failure| at(&failure.message))?;
        let media = answer.content_type.as_deref().unwrap_or_default();
        if media.split(';').next().unwrap_or_default().trim() != "application/json" {
            return Err(at(&format!("unsupported Content-Type {media:?}")));
        }
        let groups = groups_of_json(&answer.body).map_err(|reason| at(&reason))?;
        let meta = || Some(("__meta_url", self.url.to_string()));
        Ok(groups.into_iter().map(|group| Discovered { group, meta: meta() }).collect())
    }
}

//! Where targets come from: the configuration itself, [`file`]s, a server that is asked over [`http`].
//!
//! A discovery that fails keeps the targets it found before; it is logged when that begins and when it ends.

pub(super) mod file;
mod http;

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::config::{Group, Job};
use super::metrics::Metrics;

/// A group with the label that tells where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    pub(crate) group: Group,
    /// `__meta_filepath` or `__meta_url`, and its value.
    pub(crate) meta: Option<(&'static str, String)>,
}

/// All discoveries of a job.
#[derive(Debug)]
pub(super) struct Discovery {
    statics: Vec<Discovered>,
    sources: Vec<Refreshed>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Source {
    Files(file::Folder),
    Http(Box<http::Server>),
}

/// A discovery that is repeated.
#[derive(Debug)]
struct Refreshed {
    source: Source,
    every: Duration,
    due: Instant,
    /// What it last found.
    found: Vec<Discovered>,
    /// What was last wrong.
    fault: Option<String>,
}

impl Discovery {
    pub(super) fn new(job: &Job, metrics: Metrics) -> Self {
        let statics =
            job.statics.iter().map(|group| Discovered { group: group.clone(), meta: None }).collect();
        let files = job.files.iter().map(|files| (Source::Files(file::Folder::new(files)), files.refresh));
        let asked =
            job.asked.iter().map(|asked| (Source::Http(Box::new(http::Server::new(asked))), asked.refresh));
        let due = Instant::now();
        let refreshed = |(source, every)| Refreshed { source, every, due, found: Vec::new(), fault: None };
        Discovery { statics, sources: files.chain(asked).map(refreshed).collect(), metrics }
    }

    /// All groups that are known.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Discovered> {
        self.statics.iter().chain(self.sources.iter().flat_map(|source| &source.found))
    }

    /// Which is due next, and when; none if nothing is repeated.
    pub(super) fn next(&self) -> Option<(usize, Instant)> {
        let due = self.sources.iter().map(|source| source.due).enumerate();
        due.min_by_key(|(_, due)| *due)
    }

    /// Asks one anew. Gives whether its groups have changed. Dropping the future leaves everything as it was.
    pub(super) async fn refresh(&mut self, which: usize, job: &str) -> bool {
        let refreshed = &mut self.sources[which];
        let (mechanism, told) = match &mut refreshed.source {
            Source::Files(folder) => ("file", folder.read().await),
            Source::Http(server) => ("http", server.ask(refreshed.every).await.map(|found| (found, None))),
        };
        refreshed.due = Instant::now() + refreshed.every;
        // Files may be good in part.
        let (found, fault) = match told {
            Ok((found, fault)) => (Some(found), fault),
            Err(fault) => (None, Some(fault)),
        };
        if let Some(fault) = &fault {
            self.metrics.refresh_failed(mechanism);
            if refreshed.fault.as_ref() != Some(fault) {
                warn!(job, mechanism, error = %fault, "targets cannot be discovered, those known stay");
            }
        } else if refreshed.fault.is_some() {
            info!(job, mechanism, "targets are discovered again");
        }
        refreshed.fault = fault;
        match found {
            Some(found) if found != refreshed.found => {
                refreshed.found = found;
                true
            }
            _ => false,
        }
    }
}

/// Reads a JSON list of groups, as files and servers have it.
fn groups_of_json(text: &[u8]) -> Result<Vec<Group>, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Told {
        #[serde(default)]
        targets: Vec<String>,
        #[serde(default)]
        labels: Option<std::collections::BTreeMap<String, String>>,
    }
    let told: Vec<Told> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok(told
        .into_iter()
        .map(|told| Group { targets: told.targets, labels: told.labels.unwrap_or_default() })
        .collect())
}

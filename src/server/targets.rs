//! What is scraped, in the shape of Prometheus' HTTP API.
//!
//! | path | |
//! | --- | --- |
//! | `/api/v1/targets` | targets with their labels, last scrape and health; `state=active\|dropped\|any`, `scrapePool=JOB` |
//! | `/api/v1/scrape_pools` | names of the jobs |

use hyper::Response;
use hyper::http::request::Parts;
use serde_json::{Map, Value, json};

use super::body::Body;
use super::problem::Problem;
use super::request::parameters;
use super::router::success;
use crate::collect::scrape::{PoolTargets, Target, Targets};
use crate::config::units::format_duration;
use crate::log::timestamp;

/// What Prometheus says of a target that was not scraped yet.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `GET /api/v1/targets`.
pub(super) fn targets(targets: &Targets, parts: &Parts) -> Result<Response<Body>, Problem> {
    let asked = parameters(parts.uri.query().unwrap_or_default())?;
    let of =
        |name: &str| asked.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let (active, dropped) = match of("state").to_ascii_lowercase().as_str() {
        "" | "any" => (true, true),
        "active" => (true, false),
        "dropped" => (false, true),
        other => {
            return Err(Problem::bad_data(format!("the state {other:?} is none of active, dropped, any")));
        }
    };
    let pools = pools(targets, of("scrapePool"));
    let mut data = json!({ "activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {} });
    if active {
        let each = pools.iter().flat_map(|pool| pool.active.iter().map(|target| shown(&pool.job, target)));
        data["activeTargets"] = each.collect();
    }
    if dropped {
        let each = pools.iter().flat_map(|pool| {
            let job = &pool.job;
            pool.dropped.iter().map(move |labels| json!({ "discoveredLabels": labels, "scrapePool": job }))
        });
        data["droppedTargets"] = each.collect();
        let counts = pools.iter().map(|pool| (pool.job.clone(), pool.dropped_count.into()));
        data["droppedTargetCounts"] = Value::Object(counts.collect::<Map<_, _>>());
    }
    Ok(success(&data))
}

/// `GET /api/v1/scrape_pools`.
pub(super) fn scrape_pools(targets: &Targets) -> Response<Body> {
    let jobs: Vec<String> = pools(targets, "").into_iter().map(|pool| pool.job).collect();
    success(&json!({ "scrapePools": jobs }))
}

/// The pools by name, or that of one job.
pub(super) fn pools(targets: &Targets, of: &str) -> Vec<PoolTargets> {
    let mut pools = targets.all();
    pools.retain(|pool| of.is_empty() || pool.job == of);
    pools.sort_by(|a, b| a.job.cmp(&b.job));
    pools
}

pub(super) fn shown(job: &str, target: &Target) -> Value {
    let (settled, status) = (&target.settled, target.status());
    let url = settled.url.to_string();
    json!({
        "discoveredLabels": settled.discovered,
        "labels": settled.labels,
        "scrapePool": job,
        "scrapeUrl": url,
        "globalUrl": url,
        "lastError": status.error,
        "lastScrape": status.last_ms.map_or_else(|| NEVER.to_owned(), timestamp),
        "lastScrapeDuration": status.took.as_secs_f64(),
        "health": match status.up {
            None => "unknown",
            Some(true) => "up",
            Some(false) => "down",
        },
        "scrapeInterval": format_duration(settled.interval),
        "scrapeTimeout": format_duration(settled.timeout),
    })
}

//! `/federate`: the last value of what is asked for, our own series and those of others, for another Prometheus to scrape.
//!
//! Each value has its time: the one that its source gave it, or that of the tick. A histogram or a summary of which only some
//! series are asked for is told as single series of unknown type, since half a histogram is none.

use std::sync::Arc;

use hyper::Response;
use hyper::header::{ACCEPT, ACCEPT_ENCODING};
use hyper::http::request::Parts;

use super::app::App;
use super::body::Body;
use super::handlers::{FRESH, list, permit, respond, selectors, write};
use super::headers;
use super::problem::Problem;
use super::request::parameters;
use crate::series::{Family, FamilyMeta, Kind, Selector, Series, Tick};

/// `GET /federate?match[]=…`.
pub(super) async fn federate(app: &App, parts: &Parts) -> Result<Response<Body>, Problem> {
    let permit = permit(app)?;
    let selectors = selectors(&parameters(parts.uri.query().unwrap_or_default())?)?;
    if selectors.is_empty() {
        return Err(Problem::bad_data("no match[] parameter provided"));
    }
    let tick = app.ticks.fresh(FRESH).await;
    let (accept, encoding) = (list(parts, ACCEPT), list(parts, ACCEPT_ENCODING));
    let (writer, shown) = (app.clone(), Arc::clone(&tick));
    let answer = write(&tick, move || {
        let families = pick(&shown, &selectors);
        writer.expositions.part(&shown.stamped(), accept.as_deref(), encoding.as_deref(), &families)
    })
    .await;
    let mut response = respond(&tick, &answer);
    headers::vary(response.headers_mut(), "Accept, Accept-Encoding");
    Ok(response.map(|body| body.hold(permit)))
}

/// The families of the series that any of the selectors picks.
fn pick(tick: &Tick, selectors: &[Selector]) -> Vec<Arc<Family>> {
    let picks = |series: &Series| selectors.iter().any(|selector| selector.matches(series.key()));
    let mut out = Vec::new();
    for family in &tick.schema.families {
        let Some(part) = family.only(picks) else { continue };
        let is_made_of_series =
            matches!(family.meta.kind, Kind::Histogram | Kind::GaugeHistogram | Kind::Summary);
        if Arc::ptr_eq(&part, family) || !is_made_of_series {
            out.push(part);
        } else {
            out.extend(singles(&part));
        }
    }
    out.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    out
}

/// A family for each name of its series, of unknown type.
fn singles(family: &Family) -> Vec<Arc<Family>> {
    let mut out: Vec<Family> = Vec::new();
    for series in &family.series {
        let name = series.name();
        match out.iter_mut().find(|family| *family.meta.name == *name) {
            Some(family) => family.series.push(Arc::clone(series)),
            None => {
                let meta = FamilyMeta {
                    name: (&*name).into(),
                    kind: Kind::Unknown,
                    help: family.meta.help.clone(),
                    unit: "".into(),
                };
                out.push(Family { meta: Arc::new(meta), series: vec![Arc::clone(series)] });
            }
        }
    }
    out.into_iter().map(Arc::new).collect()
}

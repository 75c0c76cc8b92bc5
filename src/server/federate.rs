//! `/federate`: the last value of what is asked for, our own series and those of others, for another Prometheus to scrape.
//!
//! Each value has its time: the one that its source gave it, or that of the tick. A histogram or a summary of which only some
//! series are asked for is told as single series of unknown type, since half a histogram is none. So is a family of others
//! that breaks a rule of its type: one bad target must not cost a strict scraper the whole page.

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
use crate::exposition::parse::Format;
use crate::exposition::read::Reader;
use crate::exposition::{Encoder, Escaping, TextFormat};
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
        let stamped = shown.stamped();
        let families = pick(&stamped, &selectors);
        writer.expositions.part(&stamped, accept.as_deref(), encoding.as_deref(), &families)
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
        let is_whole = Arc::ptr_eq(&part, family) || !is_made_of_series;
        if is_whole && keeps_the_rules(tick, &part) {
            out.push(part);
        } else {
            out.extend(singles(&part));
        }
    }
    out.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    out
}

/// Is the family what OpenMetrics says of its type? A gauge and an unknown may be anything.
fn keeps_the_rules(tick: &Tick, family: &Arc<Family>) -> bool {
    if matches!(family.meta.kind, Kind::Gauge | Kind::Unknown) {
        return true;
    }
    let mut encoder = Encoder::new(TextFormat::OpenMetrics, Escaping::AllowUtf8);
    let page = encoder.encode(tick, std::slice::from_ref(family));
    Reader::strict().read(&page, Format::OpenMetrics).is_ok()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Moment;
    use crate::series::{Epoch, Scope, Table};

    #[test]
    fn a_family_that_breaks_a_rule_of_its_type_is_told_as_single_series() {
        let page = "# TYPE bad histogram\nbad_bucket{le=\"much\"} 1\n\
                    # TYPE good histogram\ngood_bucket{le=\"+Inf\"} 1\ngood_sum 1\ngood_count 1\n\
                    # TYPE half histogram\nhalf_bucket{le=\"1\"} 1\n# TYPE less summary\nless_count -1\n";
        let mut table = Table::new(Epoch(1), 100);
        let source = table.add_source("theirs", Scope::Foreign);
        table.apply(source, &Reader::new().read(page.as_bytes(), Format::Text).expect("a page"));
        let tick = table.commit(Moment { since_start: Duration::ZERO, unix_ms: 1000 }, 0);
        let all = [Selector::parse("{__name__!=\"\"}").expect("a selector")];
        let families = pick(&tick, &all);
        let told: Vec<_> = families.iter().map(|f| (&*f.meta.name, f.meta.kind)).collect();
        let unknown = |name| (name, Kind::Unknown);
        let (bad, good) = (unknown("bad_bucket"), ("good", Kind::Histogram));
        assert_eq!(told, [bad, good, unknown("half_bucket"), unknown("less_count")]);
        let text = Encoder::new(TextFormat::OpenMetrics, Escaping::AllowUtf8).encode(&tick, &families);
        assert!(Reader::strict().read(&text, Format::OpenMetrics).is_ok());
    }
}

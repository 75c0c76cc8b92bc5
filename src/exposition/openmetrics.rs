//! OpenMetrics 1.0.
//!
//! A series has the same name in every format, since its name is its identity. Where OpenMetrics would demand
//! another one, the type gives way and the name stays: a counter whose samples do not end in `_total` is written as
//! unknown, and so is an info without `_info` and a family whose names [clash](clashing) with another's. Samples of
//! a metric stand together, so `_created` follows its metric and not, as in 0.0.4, the family.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::layout::{Block, by_name};
use crate::series::{Family, FamilyMeta, Kind, Role, Series, key};

/// The blocks of a family; of one series name each if it `clashes`.
pub(super) fn blocks(family: &Family, clashes: bool) -> Vec<Block<'_>> {
    let meta = &*family.meta;
    match shape(family).filter(|_| !clashes) {
        Some((name, kind)) => {
            let has_unit = name.strip_suffix(&*meta.unit).is_some_and(|base| base.ends_with('_'));
            let unit =
                if has_unit && !matches!(kind, Kind::Info | Kind::StateSet) { &*meta.unit } else { "" };
            let series = family.series.iter().collect();
            vec![Block { name: Cow::Borrowed(name), kind, help: &meta.help, unit, series }]
        }
        None => by_name(meta, family.series.iter(), |_| Kind::Unknown),
    }
}

/// Name and type of a family in OpenMetrics; nothing if its series have names that no type allows.
fn shape(family: &Family) -> Option<(&str, Kind)> {
    let meta = &*family.meta;
    let name = match meta.kind {
        Kind::Counter => meta.name.strip_suffix("_total")?,
        Kind::Info => meta.name.strip_suffix("_info")?,
        _ => &*meta.name,
    };
    let has = |role| family.series.iter().any(|series| series.role == role);
    let kind = match meta.kind {
        // A native histogram has only sum and count in text; a histogram must have buckets, a summary need not.
        Kind::Histogram if !has(Role::Bucket) => Kind::Summary,
        other => other,
    };
    let fits = |series: &Arc<Series>| {
        let suffix = series.name().strip_prefix(name).is_some_and(|suffix| suffixes(kind).contains(&suffix));
        let label = match kind {
            Kind::Summary if series.role == Role::Value => Some("quantile"),
            Kind::StateSet => Some(name),
            _ => None,
        };
        suffix && label.is_none_or(|label| key::label(series.key(), label).is_some())
    };
    family.series.iter().all(fits).then_some((name, kind))
}

fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["_total", "_created"],
        Kind::Summary => &["", "_count", "_sum", "_created"],
        Kind::Histogram => &["_count", "_sum", "_bucket", "_created"],
        Kind::GaugeHistogram => &["_gcount", "_gsum", "_bucket"],
        Kind::Info => &["_info"],
        Kind::Gauge | Kind::StateSet | Kind::Unknown => &[""],
    }
}

/// For each family: does another one lay claim to a name that its type gives it? OpenMetrics reserves all names that a
/// type can have, so a counter `a_total` cannot stand beside a gauge `a`. In 0.0.4 it can, so it happens.
pub(super) fn clashing(families: &[Arc<Family>]) -> Vec<bool> {
    let claims = |family: &Family| -> Vec<String> {
        match shape(family) {
            Some((name, kind)) => {
                let own = if suffixes(kind).contains(&"") { None } else { Some("") };
                suffixes(kind).iter().copied().chain(own).map(|suffix| [name, suffix].concat()).collect()
            }
            None => vec![family.meta.name.to_string()],
        }
    };
    let mut claimed: HashMap<String, usize> = HashMap::new();
    for family in families {
        for name in claims(family) {
            *claimed.entry(name).or_default() += 1;
        }
    }
    // A family of a single name has nothing to give way with.
    let clashes = |names: &[String]| names.len() > 1 && names.iter().any(|name| claimed[name] > 1);
    families.iter().map(|family| clashes(&claims(family))).collect()
}

/// Exemplars stand at totals of counters and at buckets only.
pub(super) fn may_have_exemplar(meta: &FamilyMeta, series: &Series) -> bool {
    series.role == Role::Bucket || (meta.kind == Kind::Counter && series.role == Role::Value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse::Format;
    use super::super::read::Reader;
    use super::super::sample::{BOTH, tick_of, tick_of_text};
    use super::super::{Encoder, Escaping, TextFormat};
    use crate::series::Tick;

    fn encode(tick: &Tick) -> String {
        let mut encoder = Encoder::new(TextFormat::OpenMetrics, Escaping::AllowUtf8);
        let text = String::from_utf8(encoder.encode(tick, &tick.schema.families)).expect("UTF-8");
        assert!(Reader::strict().read(text.as_bytes(), Format::OpenMetrics).is_ok(), "{text}");
        text
    }

    #[test]
    fn a_page_in_our_order_comes_out_as_it_went_in() {
        assert_eq!(encode(&tick_of(BOTH)), BOTH);
    }

    #[test]
    fn where_a_name_would_have_to_change_the_type_gives_way() {
        let text = "# TYPE hits counter\nhits 1\n# TYPE a gauge\na 1\n# TYPE a_total counter\na_total 2\n\
                    # TYPE n histogram\nn_sum 1\nn_count 1\n# TYPE s summary\ns 5\ns_count 1\n";
        assert_eq!(
            encode(&tick_of_text(text)),
            "# TYPE a gauge\na 1\n# TYPE a_total unknown\na_total 2\n# TYPE hits unknown\nhits 1\n\
             # TYPE n summary\nn_sum 1\nn_count 1\n# TYPE s unknown\ns 5\n# TYPE s_count unknown\ns_count 1\n# EOF\n"
        );
    }

    /// A page in which several families meet, of names that may clash.
    fn page() -> impl Strategy<Value = String> {
        let family = ("[ab](_total|_info|_sum|_created)?", "(counter|gauge|untyped|summary|histogram)");
        let sample =
            ("[ab](_total|_info|_sum|_count|_bucket|_created)?", "(\\{(le|quantile|a)=\"[01]\"\\})?", 0..9u8);
        let families = proptest::collection::vec(family, 0..4);
        (families, proptest::collection::vec(sample, 0..12)).prop_map(|(families, samples)| {
            let types = families.iter().map(|(name, kind)| format!("# TYPE {name} {kind}\n"));
            types.chain(samples.iter().map(|(n, l, v)| format!("{n}{l} {v}\n"))).collect()
        })
    }

    /// Keys and values of a tick, sorted.
    fn told(tick: &Tick) -> Vec<(String, u64)> {
        let mut told: Vec<_> =
            tick.schema.series().map(|(_, s)| (s.key().to_owned(), tick.value(s).to_bits())).collect();
        told.sort();
        told
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_series(page in page()) {
            let tick = tick_of_text(&page);
            for format in [TextFormat::Text, TextFormat::OpenMetrics] {
                let text = Encoder::new(format, Escaping::AllowUtf8).encode(&tick, &tick.schema.families);
                let text = String::from_utf8(text).expect("UTF-8");
                let back = match format {
                    TextFormat::Text => tick_of_text(&text),
                    TextFormat::OpenMetrics => tick_of(&text),
                };
                prop_assert_eq!(told(&back), told(&tick), "{}", text);
            }
        }
    }
}

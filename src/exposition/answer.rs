//! What a scraper gets: a tick in the format, packing and choice it asked for.

use std::sync::Arc;

use bytes::Bytes;

use super::number;
use crate::series::Tick;

/// Which sources an answer shows, by their names in [`Schema::sources`](crate::series::Schema::sources).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Only these; all when empty.
    pub collect: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

impl Filter {
    fn shows(&self, source: &str) -> bool {
        let has = |list: &[String]| list.iter().any(|name| name == source);
        (self.collect.is_empty() || has(&self.collect)) && !has(&self.exclude)
    }
}

/// An answer to a scraper.
#[derive(Clone, Debug)]
pub struct Answer {
    /// For the header.
    pub content_type: String,
    /// `gzip`, or none for plain.
    pub content_encoding: Option<&'static str>,
    /// As it is sent.
    pub body: Bytes,
}

/// Writes answers.
#[derive(Debug, Default)]
pub struct Expositions {}

impl Expositions {
    /// The tick as text 0.0.4.
    #[must_use]
    pub fn answer(
        &self,
        tick: &Arc<Tick>,
        _accept: Option<&str>,
        _accept_encoding: Option<&str>,
        filter: &Filter,
    ) -> Answer {
        let mut out = Vec::new();
        for family in &tick.schema.families {
            let meta = &family.meta;
            out.extend_from_slice(format!("# TYPE {} {}\n", meta.name, meta.kind.as_str()).as_bytes());
            for series in &family.series {
                if filter.shows(&tick.schema.sources[usize::from(series.source.0)]) {
                    out.extend_from_slice(series.key().as_bytes());
                    out.push(b' ');
                    number::push(&mut out, tick.value(series));
                    out.push(b'\n');
                }
            }
        }
        Answer {
            content_type: "text/plain; version=0.0.4; charset=utf-8".into(),
            content_encoding: None,
            body: out.into(),
        }
    }
}

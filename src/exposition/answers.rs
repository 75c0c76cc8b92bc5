//! One encoding for all scrapers of a tick.
//!
//! [`Expositions`] is shared by all connections. It encodes a tick once per format and escaping, compresses it at
//! most once, and gives everyone who asks the same bytes. Who asks while it is being encoded waits for it. Of each
//! form it keeps the newest tick only; what [`Encoder`] has laid out stays from tick to tick.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hashbrown::HashMap;

use super::escape::Escaping;
use super::layout::{Encoder, TextFormat};
use super::negotiate::{self, Wire};
use super::{json, protobuf};
use crate::series::{Epoch, Family, Schema, Series, Tick};

/// Which series a request wants; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `collect[]`: only of these sources, if there are any.
    pub collect: Vec<String>,
    /// `exclude[]`: not of these sources.
    pub exclude: Vec<String>,
    /// `name[]`: only families or series of these names, if there are any.
    pub names: Vec<String>,
}

impl Filter {
    /// Does it let everything through?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.collect.is_empty() && self.exclude.is_empty() && self.names.is_empty()
    }

    /// The families that are left.
    #[must_use]
    pub fn select(&self, schema: &Schema) -> Vec<Arc<Family>> {
        select(&schema.own, |series| self.takes(schema, series))
    }

    fn takes(&self, schema: &Schema, series: &Series) -> bool {
        let source = schema.sources.get(usize::from(series.source.0)).map_or("", |name| name);
        let listed = |list: &[String], name: &str| list.iter().any(|one| one == name);
        (self.collect.is_empty() || listed(&self.collect, source))
            && !listed(&self.exclude, source)
            && (self.names.is_empty()
                || listed(&self.names, &series.family)
                || listed(&self.names, &series.name()))
    }
}

/// The families with only those series that `takes` says; families without any are left out.
#[must_use]
pub fn select(families: &[Arc<Family>], takes: impl Fn(&Series) -> bool) -> Vec<Arc<Family>> {
    families.iter().filter_map(|family| family.only(&takes)).collect()
}

/// An answer to a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Value of `Content-Type`.
    pub content_type: String,
    /// Value of `Content-Encoding`: `gzip` or none.
    pub content_encoding: Option<&'static str>,
    /// The body, compressed as said.
    pub body: Bytes,
}

/// What scrapers are answered; see the module.
#[derive(Debug, Default)]
pub struct Expositions {
    forms: Mutex<HashMap<Form, Arc<Mutex<Kept>>>>,
}

/// What makes bodies differ. There are few, so that the map stays small whatever is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Text(TextFormat, Escaping),
    Protobuf(Escaping),
    Json { exact: bool },
}

impl Form {
    /// The form that a scraper asks for, and its `Content-Type`.
    fn asked(accept: Option<&str>) -> (Form, String) {
        let negotiated = negotiate::accept(accept);
        let form = match negotiated.wire {
            Wire::Text | Wire::TextUtf8 => Form::Text(TextFormat::Text, negotiated.escaping),
            Wire::OpenMetrics001 | Wire::OpenMetrics => {
                Form::Text(TextFormat::OpenMetrics, negotiated.escaping)
            }
            Wire::Protobuf => Form::Protobuf(negotiated.escaping),
        };
        (form, negotiated.content_type())
    }

    /// What is shown in this form when nothing is chosen: scrapers see our own series, readers of JSON all.
    fn families(self, schema: &Schema) -> &[Arc<Family>] {
        match self {
            Form::Text(..) | Form::Protobuf(_) => &schema.own,
            Form::Json { .. } => &schema.families,
        }
    }
}

/// The last body of a form.
#[derive(Debug, Default)]
struct Kept {
    encoder: Option<Encoder>,
    of: Option<(Epoch, u64)>,
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl Expositions {
    /// Nothing encoded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The answer to a scrape of `tick`, with the series of [`Scope::Own`](crate::series::Scope::Own); `accept` and `accept_encoding` are the request's headers. A filtered answer
    /// is encoded for this request alone.
    ///
    /// May take milliseconds for many series, and waits while another does the same work.
    #[must_use]
    pub fn answer(
        &self,
        tick: &Arc<Tick>,
        accept: Option<&str>,
        accept_encoding: Option<&str>,
        filter: &Filter,
    ) -> Answer {
        let (form, content_type) = Form::asked(accept);
        let families = (!filter.is_empty()).then(|| filter.select(&tick.schema));
        self.respond(tick, form, content_type, accept_encoding, families.as_deref())
    }

    /// The same for `families`, a part of the tick's schema, foreign series too.
    #[must_use]
    pub fn part(
        &self,
        tick: &Tick,
        accept: Option<&str>,
        accept_encoding: Option<&str>,
        families: &[Arc<Family>],
    ) -> Answer {
        let (form, content_type) = Form::asked(accept);
        self.respond(tick, form, content_type, accept_encoding, Some(families))
    }

    /// The same as JSON; see [`json`]. `families` is a part of the tick's schema (see [`select`]), or all if not given, foreign ones too.
    #[must_use]
    pub fn json(
        &self,
        tick: &Arc<Tick>,
        accept_encoding: Option<&str>,
        families: Option<&[Arc<Family>]>,
        exact: bool,
    ) -> Answer {
        self.respond(tick, Form::Json { exact }, "application/json".to_owned(), accept_encoding, families)
    }

    fn respond(
        &self,
        tick: &Tick,
        form: Form,
        content_type: String,
        accept_encoding: Option<&str>,
        families: Option<&[Arc<Family>]>,
    ) -> Answer {
        let zip = negotiate::gzip(accept_encoding);
        let body = match families {
            None => self.shared(tick, form, zip),
            Some(families) => {
                let plain = encode(form, &mut None, tick, families, Bytes::new());
                if zip { compress(&plain) } else { plain }
            }
        };
        Answer { content_type, content_encoding: zip.then_some("gzip"), body }
    }

    fn shared(&self, tick: &Tick, form: Form, zip: bool) -> Bytes {
        let kept = {
            let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(forms.entry(form).or_default())
        };
        // Held while encoding: who asks for the same waits, instead of doing the work again.
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = (tick.epoch, tick.offset);
        if kept.of != Some(asked) {
            // Who comes late with an older tick does not push out the newer one.
            if kept.of.is_some_and(|(epoch, offset)| epoch == tick.epoch && offset > tick.offset) {
                let plain = encode(form, &mut None, tick, form.families(&tick.schema), Bytes::new());
                return if zip { compress(&plain) } else { plain };
            }
            kept.of = None;
            kept.gzip = None;
            let Kept { encoder, plain, .. } = &mut *kept;
            *plain = encode(form, encoder, tick, form.families(&tick.schema), std::mem::take(plain));
            kept.of = Some(asked);
        }
        if zip {
            let plain = kept.plain.clone();
            kept.gzip.get_or_insert_with(|| compress(&plain)).clone()
        } else {
            kept.plain.clone()
        }
    }
}

/// Encodes, into the memory of `last` if nobody is sending it any more.
fn encode(
    form: Form,
    encoder: &mut Option<Encoder>,
    tick: &Tick,
    families: &[Arc<Family>],
    last: Bytes,
) -> Bytes {
    Bytes::from(match form {
        Form::Text(format, escaping) => {
            let mut out = if last.is_unique() { last.into() } else { Vec::new() };
            let encoder = encoder.get_or_insert_with(|| Encoder::new(format, escaping));
            encoder.encode_into(tick, families, &mut out);
            out
        }
        Form::Protobuf(escaping) => protobuf::encode(tick, families, escaping),
        Form::Json { exact } => json::encode(tick, families, exact),
    })
}

/// Level 1: on expositions it takes a third of the time of the default level for a tenth more bytes.
pub(crate) fn compress(plain: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::with_capacity(plain.len() / 8 + 64), Compression::new(1));
    gzip.write_all(plain).expect("memory takes all");
    gzip.finish().expect("memory takes all").into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Barrier;
    use std::thread;

    use super::super::sample::{BOTH, tick_of};
    use super::*;

    fn text(answer: &Answer) -> String {
        String::from_utf8(answer.body.to_vec()).expect("UTF-8")
    }

    #[test]
    fn all_scrapers_of_a_tick_get_the_same_bytes() {
        let (tick, expositions) = (tick_of(BOTH), Expositions::new());
        for zip in [None, Some("gzip")] {
            let one = expositions.answer(&tick, None, zip, &Filter::default());
            let other = expositions.answer(&tick, Some("text/plain"), zip, &Filter::default());
            assert_eq!(one.body.as_ptr(), other.body.as_ptr(), "shared, not equal");
        }
    }

    #[test]
    fn who_asks_at_the_same_time_gets_the_same_bytes() {
        let (tick, expositions, start) = (tick_of(BOTH), Expositions::new(), Barrier::new(4));
        let ask = || {
            start.wait();
            expositions.answer(&tick, None, Some("gzip"), &Filter::default()).body
        };
        let bodies = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(bodies.iter().all(|body| body.as_ptr() == bodies[0].as_ptr()));
    }

    #[test]
    fn a_body_that_is_still_being_sent_is_left_alone() {
        let expositions = Expositions::new();
        let mut table = super::super::sample::table_of("a 1\n");
        let at = crate::clock::Moment { since_start: std::time::Duration::ZERO, unix_ms: 0 };
        let mut answer = || expositions.answer(&table.commit(at, 0), None, None, &Filter::default()).body;
        let (first, second) = (answer(), answer());
        assert_eq!(first, second);
        assert_ne!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn a_compressed_answer_is_the_plain_one_compressed() {
        let (tick, expositions) = (tick_of(BOTH), Expositions::new());
        let plain = expositions.answer(&tick, None, None, &Filter::default());
        let zipped = expositions.answer(&tick, None, Some("gzip"), &Filter::default());
        assert_eq!((plain.content_encoding, zipped.content_encoding), (None, Some("gzip")));
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&*zipped.body).read_to_end(&mut back).expect("gzip");
        assert_eq!(back, plain.body);
    }

    #[test]
    fn every_form_is_encoded_in_its_own() {
        let (tick, expositions) =
            (tick_of("# TYPE \"a.b\" counter\n{\"a.b_total\"} 1\n# EOF\n"), Expositions::new());
        let answer = |accept| text(&expositions.answer(&tick, Some(accept), None, &Filter::default()));
        assert_eq!(answer("text/plain"), "# TYPE a_b_total counter\na_b_total 1\n");
        assert_eq!(
            answer("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"),
            "# TYPE \"a.b\" counter\n{\"a.b_total\"} 1\n# EOF\n"
        );
        assert_eq!(answer("text/plain;escaping=dots"), "# TYPE a_dot_b__total counter\na_dot_b__total 1\n");
        assert!(text(&expositions.json(&tick, None, None, false)).contains("\"a.b_total\""));
    }

    #[test]
    fn a_filter_leaves_what_it_names() {
        let (tick, expositions) = (tick_of(BOTH), Expositions::new());
        let answer = |filter: &Filter| text(&expositions.answer(&tick, None, None, filter));
        let names = Filter { names: vec!["plain".into(), "s_count".into()], ..Filter::default() };
        assert_eq!(
            answer(&names),
            "# TYPE plain untyped\nplain NaN 1700000000500\n# TYPE s summary\ns_count 1\n"
        );
        assert_eq!(answer(&Filter { exclude: vec!["test".into()], ..Filter::default() }), "");
        assert_eq!(answer(&Filter { collect: vec!["other".into()], ..Filter::default() }), "");
        let all = answer(&Filter { collect: vec!["test".into()], ..Filter::default() });
        assert_eq!(all, answer(&Filter::default()));
    }

    #[test]
    fn a_scraper_sees_our_own_series_and_a_reader_of_json_those_of_others_too() {
        use crate::series::Scope;
        let expositions = Expositions::new();
        let mut table = crate::series::Table::new(Epoch(7), 10);
        for (name, scope, page) in [
            ("own", Scope::Own, "up{job=\"own\"} 1\n"),
            ("target", Scope::Foreign, "up{job=\"other\"} 1\nthere 2\n"),
        ] {
            let source = table.add_source(name, scope);
            let mut reader = super::super::read::Reader::new();
            table.apply(
                source,
                &reader.read(page.as_bytes(), super::super::parse::Format::Text).expect("a page"),
            );
        }
        let at = crate::clock::Moment { since_start: std::time::Duration::ZERO, unix_ms: 0 };
        let tick = table.commit(at, 0);
        let own = "# TYPE up untyped\nup{job=\"own\"} 1\n";
        let filters =
            [Filter::default(), Filter { names: vec!["up".into(), "there".into()], ..Filter::default() }];
        for filter in filters {
            assert_eq!(text(&expositions.answer(&tick, None, None, &filter)), own);
        }
        let json = text(&expositions.json(&tick, None, None, false));
        assert!(json.contains("other") && json.contains("there"), "{json}");
    }

    #[test]
    fn a_new_tick_is_a_new_answer_and_an_old_one_does_not_push_it_out() {
        let expositions = Expositions::new();
        let mut table = crate::series::Table::new(Epoch(7), 10);
        let source = table.add_source("test", crate::series::Scope::Own);
        let mut reader = super::super::read::Reader::new();
        let mut tick = |page: &str| {
            let page = reader.read(page.as_bytes(), super::super::parse::Format::Text).expect("a page");
            table.apply(source, &page);
            let at = crate::clock::Moment { since_start: std::time::Duration::ZERO, unix_ms: 0 };
            table.commit(at, 0)
        };
        let (one, two) = (tick("a 1\n"), tick("a 2\nb 3\n"));
        let answer = |tick| expositions.answer(tick, None, None, &Filter::default());
        assert_eq!(text(&answer(&one)), "# TYPE a untyped\na 1\n");
        let newer = answer(&two);
        assert_eq!(text(&newer), "# TYPE a untyped\na 2\n# TYPE b untyped\nb 3\n");
        assert_eq!(text(&answer(&one)), "# TYPE a untyped\na 1\n");
        assert_eq!(answer(&two).body.as_ptr(), newer.body.as_ptr());
    }
}

//! The text formats' common part: what stays the same between ticks is laid out once.
//!
//! A [`Block`] is a `# TYPE` with the series under it; [`super::text`] and [`super::openmetrics`] each say of which
//! blocks a family consists. An [`Encoder`] keeps for each family the rendered text between the values and copies
//! it, so that a tick costs one copy and one number a series. Only families whose `Arc` is another than at the last
//! tick are laid out anew.

use std::borrow::Cow;
use std::sync::Arc;

use super::escape::Escaping;
use super::{number, openmetrics, text};
use crate::series::{Exemplar, Family, FamilyMeta, Kind, NO_TIME, Series, Tick, key};

/// Which text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextFormat {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// One `# TYPE` and what stands under it.
pub(super) struct Block<'a> {
    /// Name in the metadata.
    pub(super) name: Cow<'a, str>,
    pub(super) kind: Kind,
    pub(super) help: &'a str,
    pub(super) unit: &'a str,
    pub(super) series: Vec<&'a Arc<Series>>,
}

impl<'a> Block<'a> {
    /// A block without unit.
    pub(super) fn new(
        name: Cow<'a, str>,
        kind: Kind,
        meta: &'a FamilyMeta,
        series: Vec<&'a Arc<Series>>,
    ) -> Self {
        Block { name, kind, help: &meta.help, unit: "", series }
    }
}

/// Blocks of one series name each, in the order in which the names come up.
pub(super) fn by_name<'a>(
    meta: &'a FamilyMeta,
    series: impl Iterator<Item = &'a Arc<Series>>,
    kind: impl Fn(&Series) -> Kind,
) -> Vec<Block<'a>> {
    let mut blocks: Vec<Block<'a>> = Vec::new();
    for series in series {
        let name = series.name();
        match blocks.iter_mut().find(|block| block.name == name) {
            Some(block) => block.series.push(series),
            None => blocks.push(Block::new(name, kind(series), meta, vec![series])),
        }
    }
    blocks
}

/// Writes ticks in one text format with one escaping.
#[derive(Debug)]
pub struct Encoder {
    format: TextFormat,
    escaping: Escaping,
    layouts: Vec<Layout>,
    size: usize,
}

/// The text of one family between its values.
#[derive(Debug)]
struct Layout {
    family: Arc<Family>,
    /// See [`openmetrics::clashing`].
    clashes: bool,
    text: Vec<u8>,
    /// In the order of the text.
    values: Vec<Value>,
    exemplars: bool,
}

/// A value in a layout.
#[derive(Debug)]
struct Value {
    series: Arc<Series>,
    /// That of the series, kept here so that a tick does not touch the series.
    slot: u32,
    /// End of the text before it.
    end: u32,
}

impl Encoder {
    /// An encoder that has laid out nothing.
    #[must_use]
    pub fn new(format: TextFormat, escaping: Escaping) -> Self {
        Encoder { format, escaping, layouts: Vec::new(), size: 0 }
    }

    /// Writes `families`, which are those of the tick's schema or a part of them, sorted by name. Values and times
    /// are the tick's; a time is written where the source gave one.
    #[must_use]
    pub fn encode(&mut self, tick: &Tick, families: &[Arc<Family>]) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(tick, families, &mut out);
        out
    }

    /// The same into a buffer, whose content is lost. For large pages fresh memory costs as much as the encoding.
    pub fn encode_into(&mut self, tick: &Tick, families: &[Arc<Family>], out: &mut Vec<u8>) {
        self.lay_out(families);
        out.clear();
        // What the last one took, and a little for numbers that grow.
        out.reserve(self.size + self.size / 16 + 64);
        for layout in &self.layouts {
            layout.write(tick, self.format, out);
        }
        if self.format == TextFormat::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        self.size = out.len();
    }

    fn lay_out(&mut self, families: &[Arc<Family>]) {
        let same = |(layout, family): (&Layout, &Arc<Family>)| Arc::ptr_eq(&layout.family, family);
        if self.layouts.len() == families.len() && self.layouts.iter().zip(families).all(same) {
            return;
        }
        let clashing = match self.format {
            TextFormat::Text => vec![false; families.len()],
            TextFormat::OpenMetrics => openmetrics::clashing(families),
        };
        let mut old = std::mem::take(&mut self.layouts).into_iter().peekable();
        self.layouts = Vec::with_capacity(families.len());
        for (family, clashes) in families.iter().zip(clashing) {
            while old.next_if(|layout| layout.family.meta.name < family.meta.name).is_some() {}
            let kept = old.next_if(|layout| Arc::ptr_eq(&layout.family, family) && layout.clashes == clashes);
            let layout = kept.unwrap_or_else(|| Layout::new(family, clashes, self.format, self.escaping));
            self.layouts.push(layout);
        }
    }
}

impl Layout {
    fn new(family: &Arc<Family>, clashes: bool, format: TextFormat, escaping: Escaping) -> Self {
        let blocks = match format {
            TextFormat::Text => text::blocks(family),
            TextFormat::OpenMetrics => openmetrics::blocks(family, clashes),
        };
        let mut out = String::new();
        let mut values = Vec::with_capacity(family.series.len());
        for block in &blocks {
            let name = escaping.metric(&block.name);
            for (word, text) in
                [("HELP", block.help), ("TYPE", type_word(block.kind, format)), ("UNIT", block.unit)]
            {
                // A family without help or unit has no line for it.
                if text.is_empty() {
                    continue;
                }
                if !out.is_empty() {
                    out.push('\n');
                }
                out.push_str("# ");
                out.push_str(word);
                out.push(' ');
                if key::is_legacy_name(&name) {
                    out.push_str(&name);
                } else {
                    out.push('"');
                    key::escape_into(&name, &mut out);
                    out.push('"');
                }
                out.push(' ');
                match (word, format) {
                    ("HELP", TextFormat::Text) => {
                        out.push_str(&text.replace('\\', "\\\\").replace('\n', "\\n"))
                    }
                    _ => key::escape_into(text, &mut out),
                }
            }
            for one in &block.series {
                out.push('\n');
                out.push_str(&escaping.key(one.key()));
                out.push(' ');
                let end = u32::try_from(out.len()).expect("a family takes less than 4 GiB");
                values.push(Value { series: Arc::clone(one), slot: one.slot, end });
            }
        }
        let exemplars = format == TextFormat::OpenMetrics
            && blocks
                .iter()
                .any(|b| matches!(b.kind, Kind::Counter | Kind::Histogram | Kind::GaugeHistogram));
        Layout { family: Arc::clone(family), clashes, text: out.into_bytes(), values, exemplars }
    }

    fn write(&self, tick: &Tick, format: TextFormat, out: &mut Vec<u8>) {
        let (values, times) = tick.columns();
        let mut start = 0;
        for Value { series, slot, end } in &self.values {
            let (slot, end) = (*slot as usize, *end as usize);
            out.extend_from_slice(&self.text[start..end]);
            start = end;
            number::push(out, values[slot]);
            if times[slot] != NO_TIME {
                out.push(b' ');
                push_time(out, times[slot], format);
            }
            if self.exemplars
                && let Some(exemplar) = tick.exemplar(series)
                && openmetrics::may_have_exemplar(&self.family.meta, series)
            {
                push_exemplar(out, exemplar);
            }
        }
        if start > 0 {
            out.push(b'\n');
        }
    }
}

fn type_word(kind: Kind, format: TextFormat) -> &'static str {
    match (kind, format) {
        (Kind::Unknown, TextFormat::Text) => "untyped",
        (kind, _) => kind.as_str(),
    }
}

fn push_time(out: &mut Vec<u8>, time_ms: i64, format: TextFormat) {
    match format {
        TextFormat::Text => out.extend_from_slice(itoa::Buffer::new().format(time_ms).as_bytes()),
        #[allow(clippy::cast_precision_loss)] // exact to the millisecond for 285,000 years
        TextFormat::OpenMetrics => number::push(out, time_ms as f64 / 1000.0),
    }
}

fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b" # ");
    out.extend_from_slice(if exemplar.labels.is_empty() { b"{}" } else { exemplar.labels.as_bytes() });
    out.push(b' ');
    number::push(out, exemplar.value);
    if exemplar.time_ms != NO_TIME {
        out.push(b' ');
        push_time(out, exemplar.time_ms, TextFormat::OpenMetrics);
    }
}

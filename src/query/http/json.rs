//! Writing JSON as Prometheus does.

use crate::query::eval::Output;
use crate::query::number::{push_plain, scientific_into};
use crate::query::promql::ast::Type;
use crate::query::source::Sample;

/// JSON as it grows.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A string, with what HTML would take for markup escaped: Go's encoder does so, but for labels.
    pub(super) fn text(&mut self, text: &str) {
        self.string(text, true);
    }

    fn string(&mut self, text: &str, html: bool) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.0.push(b'"');
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let line_separator =
                html && byte == 0xe2 && matches!(text.as_bytes()[at..], [_, 0x80, 0xa8 | 0xa9, ..]);
            let plain = byte >= 0x20 && byte != b'"' && byte != b'\\' && !line_separator;
            if plain && !(html && matches!(byte, b'<' | b'>' | b'&')) {
                continue;
            }
            if at < from {
                continue;
            }
            self.0.extend_from_slice(&text.as_bytes()[from..at]);
            from = at + 1;
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                _ if line_separator => {
                    self.raw(if text.as_bytes()[at + 2] == 0xa8 { "\\u2028" } else { "\\u2029" });
                    from = at + 3;
                }
                _ => {
                    self.raw("\\u00");
                    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    self.0.extend_from_slice(&digits);
                }
            }
        }
        self.0.extend_from_slice(&text.as_bytes()[from..]);
        self.0.push(b'"');
    }

    fn joined<T>(&mut self, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (i, item) in items.enumerate() {
            if i > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
    }

    pub(super) fn array<T>(&mut self, items: impl Iterator<Item = T>, write: impl FnMut(&mut Self, T)) {
        self.0.push(b'[');
        self.joined(items, write);
        self.0.push(b']');
    }

    pub(super) fn object<T>(&mut self, items: impl Iterator<Item = T>, write: impl FnMut(&mut Self, T)) {
        self.0.push(b'{');
        self.joined(items, write);
        self.0.push(b'}');
    }

    pub(super) fn labels<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        self.object(labels, |out, (name, value)| {
            out.string(name, false);
            out.0.push(b':');
            out.string(value, false);
        });
    }

    /// Milliseconds as seconds, with three digits behind the point if there are any.
    fn time(&mut self, ms: i64) {
        if ms < 0 {
            self.0.push(b'-');
        }
        let ms = ms.unsigned_abs();
        self.0.extend_from_slice(itoa::Buffer::new().format(ms / 1000).as_bytes());
        let rest = ms % 1000;
        if rest > 0 {
            let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or(0);
            self.0.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
        }
    }

    /// A value in quotes; with an exponent where it is very small or very large.
    fn value(&mut self, value: f64) {
        self.0.push(b'"');
        let size = value.abs();
        if size != 0.0 && size.is_finite() && !(1e-6..1e21).contains(&size) {
            scientific_into(&mut self.0, value);
        } else {
            push_plain(&mut self.0, value);
        }
        self.0.push(b'"');
    }

    fn sample(&mut self, sample: Sample) {
        self.0.push(b'[');
        self.time(sample.t);
        self.0.push(b',');
        self.value(sample.v);
        self.0.push(b']');
    }

    /// `[time,…]`, with as many digits as the time needs.
    #[allow(clippy::cast_precision_loss)]
    fn at(&mut self, ms: i64, write: impl FnOnce(&mut Self)) {
        self.0.push(b'[');
        push_plain(&mut self.0, ms as f64 / 1000.0);
        self.0.push(b',');
        write(self);
        self.0.push(b']');
    }

    /// `{"resultType":…,"result":…}`.
    pub(super) fn output(&mut self, output: &Output) {
        self.raw("{\"resultType\":\"");
        self.raw(match output.kind() {
            Type::Scalar => "scalar",
            Type::String => "string",
            Type::Vector => "vector",
            Type::Matrix => "matrix",
        });
        self.raw("\",\"result\":");
        match output {
            // These two are written otherwise than samples: the time as a number, the value never with an exponent.
            Output::Scalar(t, v) => self.at(*t, |out| {
                out.0.push(b'"');
                push_plain(&mut out.0, *v);
                out.0.push(b'"');
            }),
            Output::Text(t, text) => self.at(*t, |out| out.text(text)),
            Output::Vector(t, series) => self.array(series.iter(), |out, (metric, v)| {
                out.raw("{\"metric\":");
                out.labels(metric.iter());
                out.raw(",\"value\":");
                out.sample(Sample { t: *t, v: *v });
                out.raw("}");
            }),
            Output::Matrix(series) => self.array(series.iter(), |out, (metric, samples)| {
                out.raw("{\"metric\":");
                out.labels(metric.iter());
                out.raw(",\"values\":");
                out.array(samples.iter(), |out, sample| out.sample(*sample));
                out.raw("}");
            }),
        }
        self.raw("}");
    }
}

//! What a scraper accepts.
//!
//! [`accept`] reads `Accept` and [`gzip`] `Accept-Encoding`, both with q-values. Whatever is asked for there is an
//! answer: what is not known is passed over, and when nothing is left text 0.0.4 is what everybody understands.

use super::escape::Escaping;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `text/plain; version=1.0.0`: the same, but the scraper knows quoted names.
    TextUtf8,
    /// `application/openmetrics-text; version=0.0.1`.
    OpenMetrics001,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
    /// `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited`.
    Protobuf,
}

/// What to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Negotiated {
    /// The form.
    pub wire: Wire,
    /// What becomes of names that are no legacy names.
    pub escaping: Escaping,
    /// The scraper asked for that escaping; then the answer names it.
    pub asked: bool,
}

impl Negotiated {
    /// What is answered when nothing else is asked for.
    pub const DEFAULT: Negotiated =
        Negotiated { wire: Wire::Text, escaping: Escaping::Underscores, asked: false };

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> String {
        let base = match self.wire {
            Wire::Text => "text/plain; version=0.0.4; charset=utf-8",
            Wire::TextUtf8 => "text/plain; version=1.0.0; charset=utf-8",
            Wire::OpenMetrics001 => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Wire::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Wire::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        if self.asked { format!("{base}; escaping={}", self.escaping.as_str()) } else { base.to_owned() }
    }
}

/// Chooses by `Accept`: the highest q-value, among equals the first. A clause with a malformed or zero q-value is
/// passed over.
#[must_use]
pub fn accept(header: Option<&str>) -> Negotiated {
    let mut best = (Negotiated::DEFAULT, 0);
    for clause in clauses(header.unwrap_or_default()) {
        if clause.q > best.1
            && let Some(negotiated) = clause.negotiated()
        {
            best = (negotiated, clause.q);
        }
    }
    best.0
}

/// Should the answer be compressed with gzip? Yes if `Accept-Encoding` has it (by name or by `*`) and does not
/// prefer `identity`.
#[must_use]
pub fn gzip(header: Option<&str>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for clause in clauses(header.unwrap_or_default()) {
        match () {
            () if clause.is("gzip") || clause.is("x-gzip") => gzip = Some(clause.q),
            () if clause.is("identity") => identity = Some(clause.q),
            () if clause.is("*") => any = Some(clause.q),
            () => {}
        }
    }
    gzip.or(any).is_some_and(|q| q > 0 && q >= identity.unwrap_or(0))
}

struct Clause<'a> {
    range: &'a str,
    parameters: &'a str,
    /// Thousandths; q-values have three digits (RFC 9110, 12.4.2).
    q: u32,
}

fn clauses(header: &str) -> impl Iterator<Item = Clause<'_>> {
    header.split(',').filter_map(|clause| {
        let (range, parameters) = clause.split_once(';').unwrap_or((clause, ""));
        let mut clause = Clause { range: range.trim(), parameters, q: 1000 };
        if let Some(text) = clause.parameter("q") {
            let q: f64 = text.parse().ok().filter(|q| (0.0..=1.0).contains(q))?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1000
            let thousandths = (q * 1000.0).round() as u32;
            clause.q = thousandths;
        }
        Some(clause)
    })
}

impl Clause<'_> {
    fn is(&self, range: &str) -> bool {
        self.range.eq_ignore_ascii_case(range)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.parameters.split(';').filter_map(|parameter| parameter.split_once('='));
        pairs
            .find(|(n, _)| n.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().trim_matches('"'))
    }

    fn negotiated(&self) -> Option<Negotiated> {
        let version = self.parameter("version").unwrap_or_default();
        let wire = if self.is("application/openmetrics-text") {
            match version {
                "1.0.0" => Wire::OpenMetrics,
                // Without a version it is a scraper from before 1.0.
                "0.0.1" | "" => Wire::OpenMetrics001,
                _ => return None,
            }
        } else if self.is("text/plain") {
            match version {
                "0.0.4" | "" => Wire::Text,
                "1.0.0" => Wire::TextUtf8,
                _ => return None,
            }
        } else if self.is("application/vnd.google.protobuf") {
            let proto = self.parameter("proto") == Some("io.prometheus.client.MetricFamily");
            if !proto || self.parameter("encoding") != Some("delimited") {
                return None;
            }
            Wire::Protobuf
        } else if self.is("*/*") || self.is("text/*") {
            Wire::Text
        } else {
            return None;
        };
        let escaping = self.parameter("escaping").and_then(Escaping::parse);
        Some(Negotiated { wire, escaping: escaping.unwrap_or_default(), asked: escaping.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_2_PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
         application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
         text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    #[test]
    fn scrapers_get_what_they_prefer() {
        let om = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let om_001 = "application/openmetrics-text; version=0.0.1; charset=utf-8";
        let text = "text/plain; version=0.0.4; charset=utf-8";
        let protobuf =
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        for (header, want) in [
            (PROMETHEUS_2, om),
            (PROMETHEUS_2_PROTOBUF, protobuf),
            (
                PROMETHEUS_3,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", text),
            ("application/json", text),
            ("", text),
            ("application/openmetrics-text", om_001),
            ("application/openmetrics-text; version=\"1.0.0\"; charset=utf-8", om),
            ("application/openmetrics-text;version=2.0.0, text/plain", text),
            (
                "text/plain;version=1.0.0;escaping=dots",
                "text/plain; version=1.0.0; charset=utf-8; escaping=dots",
            ),
            (
                "text/plain;version=0.0.4;escaping=values",
                "text/plain; version=0.0.4; charset=utf-8; escaping=values",
            ),
            ("text/plain;escaping=nonsense", text),
            ("text/plain;q=0.5, application/openmetrics-text;version=1.0.0;q=0.501", om),
            ("application/openmetrics-text;version=1.0.0;q=0, */*", text),
            ("application/openmetrics-text;version=1.0.0;q=2", text),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", text),
        ] {
            assert_eq!(accept(Some(header)).content_type(), want, "{header}");
        }
        assert_eq!(accept(None), Negotiated::DEFAULT);
    }

    #[test]
    fn gzip_is_used_where_it_is_wanted() {
        for (header, want) in [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("deflate", false),
            ("", false),
            ("gzip;q=0", false),
            ("gzip;q=0.5, identity", false),
            ("gzip;q=0.5, identity;q=0.5", true),
            ("*", true),
            ("*, gzip;q=0", false),
            ("identity;q=0, *;q=0.1", true),
        ] {
            assert_eq!(gzip(Some(header)), want, "{header}");
        }
        assert!(!gzip(None));
    }
}

//! The messages of the WebSocket as lines of text: server-sent events and NDJSON.
//!
//! A message's JSON is written once, into a WebSocket frame. The other forms are copies of those bytes with lines
//! around them, made when somebody first wants them and then shared ([`Texts`]); while nobody does they cost
//! nothing. No value is written twice.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;

use super::frame::Frames;
use super::protocol::{Server, millis};

/// How messages stand in the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One server-sent event each: `event` is the message's type, `data` the message. The event that ends a
    /// `snapshot` or `delta` has the `id` from which a client can go on, `epoch:offset`.
    Sse,
    /// One line each.
    Ndjson,
}

impl Form {
    /// The form that an `Accept` header asks for: NDJSON if it names it and does not prefer events.
    pub(super) fn of(accept: &str) -> Form {
        let weight = |wanted: &str| {
            accept.split(',').find_map(|item| {
                let mut parts = item.split(';').map(str::trim);
                let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
                let weight = parts.find_map(|part| part.strip_prefix("q="));
                named.then(|| weight.map_or(1.0, |text| text.parse::<f32>().unwrap_or(0.0)))
            })
        };
        let lines = weight("application/x-ndjson").unwrap_or(0.0);
        if lines > weight("text/event-stream").unwrap_or(0.0) { Form::Ndjson } else { Form::Sse }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Form::Sse => "text/event-stream",
            Form::Ndjson => "application/x-ndjson",
        }
    }

    /// In one word, for the figures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Form::Sse => "sse",
            Form::Ndjson => "ndjson",
        }
    }

    /// Messages after which a client is where it was.
    pub(super) fn plain(self, frames: &Frames) -> Bytes {
        self.write(frames, None)
    }

    /// Messages of a view, after which a client is at `place`.
    pub(super) fn placed(self, frames: &Frames, place: &str) -> Bytes {
        self.write(frames, Some(place))
    }

    fn write(self, frames: &Frames, place: Option<&str>) -> Bytes {
        let mut out = Vec::with_capacity(frames.bytes.len() + 64 * frames.count as usize);
        let mut payloads = frames.payloads().peekable();
        while let Some(payload) = payloads.next() {
            let is_last = payloads.peek().is_none();
            if self == Form::Ndjson {
                out.extend_from_slice(payload);
                out.push(b'\n');
                continue;
            }
            let kind = kind(payload);
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(kind);
            match place {
                Some(place) if is_last => {
                    out.extend_from_slice(b"\nid: ");
                    out.extend_from_slice(place.as_bytes());
                }
                // Between the parts of a snapshot a client has lost what it had and has not all that is new:
                // if it is cut off there, it must not go on from its former place.
                Some(_) if kind == b"snapshot" => out.extend_from_slice(b"\nid"),
                _ => {}
            }
            out.extend_from_slice(b"\ndata: ");
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\n\n");
        }
        out.into()
    }

    /// What a connection begins with: after how long to come back when it is cut, and `padding` bytes for
    /// proxies that hold a beginning back. Nothing in NDJSON, where there is no such thing.
    pub(super) fn opening(self, retry: Duration, padding: usize) -> String {
        match self {
            Form::Ndjson => String::new(),
            Form::Sse if padding == 0 => format!("retry: {}\n\n", millis(retry)),
            Form::Sse => format!(":{}\nretry: {}\n\n", " ".repeat(padding), millis(retry)),
        }
    }

    /// A sign of life: a comment, or a `ping` message.
    pub(super) fn heartbeat(self, unix_ms: i64) -> Bytes {
        match self {
            Form::Sse => Bytes::from_static(b": ping\n\n"),
            Form::Ndjson => self.plain(&Server::Ping { server_time: unix_ms }.frame()),
        }
    }
}

/// The type of a message. All of ours begin with it.
fn kind(payload: &[u8]) -> &[u8] {
    let word = payload.strip_prefix(b"{\"type\":\"").unwrap_or_default();
    &word[..word.iter().position(|byte| *byte == b'"').unwrap_or(0)]
}

/// Each form of some messages, made when first asked for.
#[derive(Debug, Default)]
pub(super) struct Texts {
    sse: OnceLock<Bytes>,
    ndjson: OnceLock<Bytes>,
}

impl Texts {
    /// The messages in a form; `make` is called if nobody has asked for it yet.
    pub(super) fn get(&self, form: Form, make: impl FnOnce() -> Bytes) -> &Bytes {
        match form {
            Form::Sse => self.sse.get_or_init(make),
            Form::Ndjson => self.ndjson.get_or_init(make),
        }
    }

    /// How many forms were made, for tests.
    #[cfg(test)]
    pub(super) fn made(&self) -> usize {
        [&self.sse, &self.ndjson].into_iter().filter(|form| form.get().is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::FrameWriter;
    use super::super::protocol::Close;
    use super::*;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn frames(payloads: &[&str]) -> Frames {
        let mut writer = FrameWriter::default();
        payloads.iter().for_each(|payload| writer.text(&[payload.as_bytes()]));
        writer.finish()
    }

    #[test]
    fn f31_ndjson_is_for_those_who_name_it_and_do_not_prefer_events() {
        for (accept, form) in [
            ("", Form::Sse),
            ("*/*", Form::Sse),
            ("text/event-stream", Form::Sse),
            ("application/x-ndjson", Form::Ndjson),
            ("Application/X-NDJSON ; q=0.5, */*", Form::Ndjson),
            ("application/x-ndjson, text/event-stream", Form::Sse),
            ("application/x-ndjson;q=0.9, text/event-stream;q=0.8", Form::Ndjson),
            ("application/x-ndjson;q=0", Form::Sse),
        ] {
            assert_eq!(Form::of(accept), form, "{accept}");
        }
    }

    #[test]
    fn f37_only_the_end_of_a_frame_says_where_the_client_is() {
        let long = "x".repeat(70_000);
        let parts = [
            "{\"type\":\"schema\"}".to_owned(),
            format!("{{\"type\":\"snapshot\",\"part\":1,\"{long}\":0}}"),
            "{\"type\":\"snapshot\",\"part\":2}".to_owned(),
        ];
        let frames = frames(&parts.each_ref().map(String::as_str));
        assert_eq!(
            text(&Form::Sse.placed(&frames, "7:3")),
            format!(
                "event: schema\ndata: {}\n\nevent: snapshot\nid\ndata: {}\n\nevent: snapshot\nid: 7:3\ndata: {}\n\n",
                parts[0], parts[1], parts[2]
            )
        );
        assert_eq!(text(&Form::Ndjson.placed(&frames, "7:3")), parts.join("\n") + "\n");
        let [bye, close] = Close::GoingAway.frames(Duration::ZERO);
        assert!(text(&Form::Sse.plain(&bye)).starts_with("event: bye\ndata: {\"type\":\"bye\","));
        assert!(Form::Sse.plain(&close).is_empty(), "a control frame is no message");
    }

    #[test]
    fn b38_padding_is_a_comment_of_the_wished_length() {
        let opening = Form::Sse.opening(Duration::from_secs(2), 2048);
        let (comment, rest) = opening.split_once('\n').unwrap();
        assert_eq!((comment.len(), rest), (2049, "retry: 2000\n\n"));
        assert!(comment.starts_with(':'));
    }

    #[test]
    fn a_form_is_made_once_and_only_when_somebody_wants_it() {
        let texts = Texts::default();
        assert_eq!(texts.get(Form::Sse, || "made".into()), "made");
        assert_eq!(texts.get(Form::Sse, || panic!("it is there")), "made");
        assert!(texts.ndjson.get().is_none());
    }
}

//! Server-sent events (WHATWG HTML, 9.2) as a client reads them: the answer to a request, its chunks, its lines.
//!
//! Like [`wire`](super::wire) it owns no socket, and no memory for a connection that has nothing half-read.

use std::ops::ControlFlow;

use super::http::Head;

/// The longest event, or line, taken, in bytes.
const LONGEST: usize = 16 << 20;

/// What a reader tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// An event: its data, lines joined by newlines, and the last event id up to now.
    Event {
        /// The data.
        data: &'a [u8],
        /// See [`Reader::last_id`].
        id: &'a str,
    },
    /// The answer is over: whole with its last chunk, else cut off.
    End,
}

/// The request for a stream.
#[must_use]
pub fn request(host: &str, path: &str, last_id: &str) -> String {
    let last = if last_id.is_empty() { String::new() } else { format!("Last-Event-ID: {last_id}\r\n") };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n{last}\r\n"
    )
}

/// Whether this answer is a stream of events. If so, how its body is framed.
///
/// # Errors
///
/// What it is instead.
pub fn begin(head: &Head) -> Result<Reader, String> {
    let kind = head.header("content-type").unwrap_or("nothing");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/event-stream") {
        return Err(format!("Content-Type is {kind}, not text/event-stream"));
    }
    let body = match head.header("transfer-encoding") {
        Some(coding) if coding.eq_ignore_ascii_case("chunked") => Body::Size(Vec::new()),
        Some(coding) => return Err(format!("Transfer-Encoding {coding}")),
        None => Body::Plain,
    };
    Ok(Reader { body, ..Reader::default() })
}

/// Where in the body the next byte stands.
#[derive(Debug, Default)]
enum Body {
    /// Not chunked: all is content.
    #[default]
    Plain,
    /// In the line with a chunk's size.
    Size(Vec<u8>),
    /// In a chunk, with so many bytes to come.
    Chunk(usize),
    /// In the line break behind a chunk, with so many bytes to come.
    Break(usize),
    /// Behind the last chunk.
    Over,
}

/// Takes the body of one answer apart.
#[derive(Debug, Default)]
pub struct Reader {
    body: Body,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Data lines of the event so far, each with a newline.
    data: Vec<u8>,
    id: String,
    /// The last byte was a carriage return: a line feed now is part of that line's end.
    after_cr: bool,
}

impl Reader {
    /// Goes on from `id`, which the server has been told as `Last-Event-ID`.
    pub fn resume(&mut self, id: &str) {
        self.id = id.to_owned();
    }

    /// The id to go on from.
    #[must_use]
    pub fn last_id(&self) -> &str {
        &self.id
    }

    /// Takes what was read from the socket and tells each event that is whole now, and the end.
    ///
    /// # Errors
    ///
    /// What the server did against the standards, or what `on` returned; the connection is of no more use then.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on: impl FnMut(Told<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        while !bytes.is_empty() {
            match &mut self.body {
                Body::Plain => return self.content(bytes, &mut on),
                Body::Size(line) => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                    line.extend_from_slice(part);
                    bytes = rest;
                    if end.is_none() && line.len() <= 1024 {
                        continue;
                    }
                    match size(line)? {
                        0 => {
                            self.body = Body::Over;
                            on(Told::End)?;
                        }
                        size => self.body = Body::Chunk(size),
                    }
                }
                Body::Chunk(left) => {
                    let (content, rest) = bytes.split_at(bytes.len().min(*left));
                    *left -= content.len();
                    if *left == 0 {
                        self.body = Body::Break(2);
                    }
                    bytes = rest;
                    self.content(content, &mut on)?;
                }
                Body::Break(left) => {
                    if bytes[0] != if *left == 2 { b'\r' } else { b'\n' } {
                        return Err("a chunk that is longer than it says".into());
                    }
                    bytes = &bytes[1..];
                    *left -= 1;
                    if *left == 0 {
                        self.body = Body::Size(Vec::new());
                    }
                }
                Body::Over => return Ok(()),
            }
        }
        Ok(())
    }

    fn content(
        &mut self,
        mut bytes: &[u8],
        on: &mut impl FnMut(Told<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
            bytes = &bytes[1..];
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            let flow = if self.line.is_empty() {
                self.take(line)
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take(&whole)
            };
            if flow.is_break() {
                let data = std::mem::take(&mut self.data);
                on(Told::Event { data: &data[..data.len() - 1], id: &self.id })?;
            }
            bytes = match (bytes[end], rest) {
                (b'\r', [b'\n', rest @ ..]) => rest,
                (b'\r', []) => {
                    self.after_cr = true;
                    rest
                }
                _ => rest,
            };
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() + self.data.len() > LONGEST {
            return Err(format!("an event of more than {LONGEST} bytes"));
        }
        Ok(())
    }

    /// Takes a line without its end. Breaks when an event is whole.
    fn take(&mut self, line: &[u8]) -> ControlFlow<()> {
        let (field, value) = match memchr::memchr(b':', line) {
            _ if line.is_empty() && self.data.is_empty() => return ControlFlow::Continue(()),
            _ if line.is_empty() => return ControlFlow::Break(()),
            None => (line, &line[line.len()..]),
            Some(at) => (&line[..at], &line[at + 1..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"id" if !value.contains(&0) => self.id = String::from_utf8_lossy(value).into_owned(),
            // Its name is in the message too; comments, `retry` and what is unknown say nothing here.
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The size of a chunk: hex digits, then perhaps extensions.
fn size(line: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(line);
    let digits = text.trim_end().split(';').next().unwrap_or_default().trim_end();
    let size = usize::from_str_radix(digits, 16).ok().filter(|size| *size <= LONGEST);
    size.ok_or_else(|| format!("{digits:?} is no size of a chunk"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::http::Answer;
    use super::*;

    fn reader(headers: &str) -> Result<Reader, String> {
        let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
        begin(&Answer::default().feed(text.as_bytes()).unwrap().unwrap().0)
    }

    fn plain() -> Reader {
        reader("Content-Type: text/event-stream; charset=utf-8").unwrap()
    }

    fn chunked() -> Reader {
        reader("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked").unwrap()
    }

    fn read(reader: &mut Reader, pieces: &[&[u8]]) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        for piece in pieces {
            reader.feed(piece, |told| {
                seen.push(match told {
                    Told::Event { data, id } => format!("{id}={}", String::from_utf8_lossy(data)),
                    Told::End => "end".into(),
                });
                Ok(())
            })?;
        }
        Ok(seen)
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let text =
            b": comment\nevent: x\nid: 1\ndata: a\ndata:b\n\ndata:  c\n\nid\ndata\n\nid:n\x00l\nretry: 5\n\n";
        assert_eq!(read(&mut plain(), &[text]).unwrap(), ["1=a\nb", "1= c", "="]);
        let mut resumed = plain();
        resumed.resume("7");
        assert_eq!(read(&mut resumed, &[b"data: a\r\rid: 8\r\n\r\ndata: b\n\n"]).unwrap(), ["7=a", "8=b"]);
    }

    #[test]
    fn chunks_are_joined_and_the_last_one_is_the_end() {
        let body: [&[u8]; 2] = [b"5;x=y\r\ndata:\r\n3\r\n a\n\r", b"\n1\r\n\n\r\n0\r\n\r\n"];
        assert_eq!(read(&mut chunked(), &body).unwrap(), ["=a", "end"]);
        for bad in [&b"x\r\n"[..], b"1\r\nabc", b"fffffffffffffffff\r\n"] {
            assert!(read(&mut chunked(), &[bad]).is_err());
        }
    }

    #[test]
    fn an_answer_that_is_no_event_stream_is_refused() {
        assert!(reader("Content-Type: text/html").unwrap_err().contains("text/html"));
        assert!(reader("X: y").unwrap_err().contains("not text/event-stream"));
    }

    #[test]
    fn a_stream_begins_where_the_client_was() {
        assert!(request("h", "/p", "e:1").contains("\r\nLast-Event-ID: e:1\r\n"));
        assert!(!request("h", "/p", "").contains("Last-Event-ID"));
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_are_cut(
            messages in prop::collection::vec("[a-z]{1,300}", 1..8),
            (chunk, piece) in (1_usize..200, 1_usize..200),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        ) {
            let text: String = messages.iter().map(|m| format!("id: {m}{end}data: {m}{end}{end}")).collect();
            let mut bytes = Vec::new();
            for chunk in text.as_bytes().chunks(chunk) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            let expected: Vec<String> = messages.iter().map(|m| format!("{m}={m}")).collect();
            let mut reader = chunked();
            let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
            prop_assert_eq!(read(&mut reader, &pieces).unwrap(), expected);
            prop_assert!(reader.line.capacity() == 0 && reader.data.capacity() == 0);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut plain(), &[&bytes]);
            let _ = read(&mut chunked(), &[&bytes]);
        }
    }
}

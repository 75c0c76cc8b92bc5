//! WebSocket (RFC 6455) as a client needs it to look on: an opening handshake and a reader of frames over bytes.
//!
//! It owns no socket and keeps no buffer for a connection that has nothing half-read. That is what lets one
//! process hold ten thousand of them: a library's reader has a buffer each, of 4 KiB at the least.

use std::ops::Range;

use super::http::{Answer, Head};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

/// The longest message taken, in bytes.
const LONGEST_MESSAGE: usize = 16 << 20;

/// A message, or a control frame, of the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text or binary message, whole.
    Data(&'a [u8]),
    /// To be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// The answer to a ping.
    Pong(&'a [u8]),
    /// The server closes: code (1005 when it gives none) and reason.
    Close(u16, String),
}

/// Takes the bytes of one connection apart.
#[derive(Debug, Default)]
pub struct Reader {
    /// The beginning of a frame whose rest has not come.
    rest: Vec<u8>,
    /// The fragments of a message so far.
    fragments: Option<Vec<u8>>,
}

impl Reader {
    /// Takes what was read from the socket, and tells each message that is whole now.
    ///
    /// # Errors
    ///
    /// What the server did against RFC 6455, or what `on` returned; the connection is of no more use then.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut on: impl FnMut(Message<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut held = std::mem::take(&mut self.rest);
        let all = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        let mut at = 0;
        while let Some(frame) = Frame::parse(&all[at..])? {
            let payload = &all[at + frame.payload.start..at + frame.payload.end];
            at += frame.payload.end;
            self.frame(&frame, payload, &mut on)?;
        }
        if at < all.len() {
            self.rest = all[at..].to_vec();
        }
        Ok(())
    }

    fn frame(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        on: &mut impl FnMut(Message<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        match (frame.opcode, &mut self.fragments) {
            (8, _) => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                on(Message::Close(code, reason))
            }
            (9, _) => on(Message::Ping(payload)),
            (10, _) => on(Message::Pong(payload)),
            (1 | 2, None) if frame.fin => on(Message::Data(payload)),
            (1 | 2, fragments @ None) => {
                *fragments = Some(payload.to_vec());
                Ok(())
            }
            (0, Some(message)) => {
                if message.len() + payload.len() > LONGEST_MESSAGE {
                    return Err(format!("a message of more than {LONGEST_MESSAGE} bytes"));
                }
                message.extend_from_slice(payload);
                match frame.fin.then(|| self.fragments.take()).flatten() {
                    Some(whole) => on(Message::Data(&whole)),
                    None => Ok(()),
                }
            }
            (0, None) => Err("a continuation of no message".into()),
            (1 | 2, Some(_)) => Err("a message within the fragments of another".into()),
            (opcode, _) => Err(format!("opcode {opcode}")),
        }
    }
}

struct Frame {
    fin: bool,
    opcode: u8,
    payload: Range<usize>,
}

impl Frame {
    /// The frame at the beginning of `bytes`; `None` when it is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err("reserved bits without an extension".into());
        }
        if second & 0x80 != 0 {
            return Err("a masked frame from a server".into());
        }
        let (start, length) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(length) => (10, u64::from_be_bytes(*length)),
                None => return Ok(None),
            },
            short => (2, u64::from(short)),
        };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if opcode >= 8 && (length > 125 || !fin) {
            return Err("a control frame that is long or in fragments".into());
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= LONGEST_MESSAGE)
            .ok_or_else(|| format!("a frame of {length} bytes"))?;
        Ok((bytes.len() >= start + length).then_some(Self { fin, opcode, payload: start..start + length }))
    }
}

/// A frame of a client, masked, with a payload of at most 65,535 bytes.
#[must_use]
pub fn frame(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(long).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().take(65_535).zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// An opening handshake under way.
#[derive(Debug)]
pub struct Handshake {
    accept: String,
    subprotocol: Option<String>,
    answer: Answer,
}

/// Why a handshake did not end in a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server answered with another HTTP status than 101.
    Http(Head),
    /// What came is no answer of a WebSocket server.
    NotWebSocket(String),
    /// The subprotocol that was asked for was not agreed on.
    Subprotocol(String),
}

impl Handshake {
    /// The request to send, and what waits for its answer.
    #[must_use]
    pub fn begin(host: &str, path: &str, subprotocol: Option<&str>) -> (String, Self) {
        let key = generate_key();
        let offer = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        );
        let accept = derive_accept_key(key.as_bytes());
        (request, Self { accept, subprotocol: subprotocol.map(str::to_owned), answer: Answer::default() })
    }

    /// Takes bytes of the answer. When it is whole, the bytes behind it, which are frames already.
    ///
    /// # Errors
    ///
    /// [`Refusal`], when the answer is not that of a WebSocket server that agrees.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let not = |what: &str| Refusal::NotWebSocket(what.to_owned());
        let Some((head, rest)) = self.answer.feed(bytes).map_err(not)? else { return Ok(None) };
        if head.status != 101 {
            return Err(Refusal::Http(head));
        }
        let header = |name: &str| head.header(name);
        if header("sec-websocket-accept") != Some(self.accept.as_str()) {
            return Err(not("Sec-WebSocket-Accept does not answer the key"));
        }
        let agreed = header("sec-websocket-protocol");
        if agreed != self.subprotocol.as_deref() {
            let name =
                |subprotocol: Option<&str>| subprotocol.map_or("none".to_owned(), |s| format!("{s:?}"));
            let wanted = name(self.subprotocol.as_deref());
            return Err(Refusal::Subprotocol(format!(
                "subprotocol {wanted} asked for, {} agreed",
                name(agreed)
            )));
        }
        Ok(Some(rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..=125 => frame.push(short as u8),
            long => {
                frame.push(126);
                frame.extend_from_slice(&(long as u16).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn read(chunks: &[&[u8]]) -> Result<Vec<String>, String> {
        let (mut reader, mut seen) = (Reader::default(), Vec::new());
        for chunk in chunks {
            reader.feed(chunk, |message| {
                seen.push(match message {
                    Message::Data(data) => String::from_utf8_lossy(data).into_owned(),
                    other => format!("{other:?}"),
                });
                Ok(())
            })?;
        }
        assert!(reader.rest.capacity() == 0, "nothing is kept between whole frames");
        Ok(seen)
    }

    proptest! {
        #[test]
        fn messages_are_the_same_however_the_bytes_are_cut(
            messages in prop::collection::vec("[a-z]{0,300}", 1..8),
            size in 1_usize..200,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|m| server_frame(0x81, m.as_bytes())).collect();
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(read(&chunks).unwrap(), messages);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::default().feed(&bytes, |_| Ok(()));
            let _ = Handshake::begin("h", "/", None).1.feed(&bytes);
        }
    }

    #[test]
    fn fragments_are_joined_with_control_frames_between_them() {
        let bytes = [
            server_frame(0x01, b"ab"),
            server_frame(0x89, b"p"),
            server_frame(0x80, b"cd"),
            server_frame(0x88, b"\x03\xe9bye"),
        ]
        .concat();
        assert_eq!(read(&[&bytes]).unwrap(), ["Ping([112])", "abcd", "Close(1001, \"bye\")"]);
    }

    #[test]
    fn what_a_server_may_not_send_is_an_error() {
        for bytes in [&[0x81, 0x80, 0, 0, 0, 0][..], &[0xc1, 0], &[0x80, 0], &[0x83, 0], &[0x09, 0]] {
            assert!(read(&[bytes]).is_err(), "{bytes:?}");
        }
        assert!(read(&[&[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0]]).is_err());
    }

    #[test]
    fn a_frame_of_ours_is_masked() {
        assert_eq!(frame(1, b"ab", [1, 2, 3, 4]), [0x81, 0x82, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2]);
    }

    fn answered(answer: &str, subprotocol: Option<&str>) -> Result<Option<Vec<u8>>, Refusal> {
        let (_, mut handshake) = Handshake::begin("h", "/", subprotocol);
        let answer = answer.replace("KEY", &handshake.accept);
        handshake.feed(answer.as_bytes())
    }

    #[test]
    fn an_answer_is_judged_by_status_key_and_subprotocol() {
        let good = "HTTP/1.1 101 Switching Protocols\r\nSEC-WEBSOCKET-ACCEPT: KEY\r\nSec-WebSocket-Protocol: a\r\n\r\nxy";
        assert_eq!(answered(good, Some("a")), Ok(Some(b"xy".to_vec())));
        assert_eq!(answered(&good[..40], Some("a")), Ok(None));
        assert!(matches!(answered(good, Some("b")), Err(Refusal::Subprotocol(_))));
        assert!(matches!(answered(good, None), Err(Refusal::Subprotocol(_))));
        assert!(matches!(answered(&good.replace("KEY", "x"), Some("a")), Err(Refusal::NotWebSocket(_))));
        let missing = answered("HTTP/1.1 404 Not Found\r\n\r\n", None);
        assert!(matches!(missing, Err(Refusal::Http(head)) if head.status == 404));
        assert!(matches!(answered("SSH-2.0", None), Err(Refusal::NotWebSocket(_))));
    }
}

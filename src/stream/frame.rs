//! Ready WebSocket frames (RFC 6455, 5.2) as a server sends them: whole, unmasked, header included, so that
//! the same bytes go to every client.

use bytes::Bytes;

const FIN_TEXT: u8 = 0x81;
const FIN_BINARY: u8 = 0x82;
const FIN_CLOSE: u8 = 0x88;
const FIN_PING: u8 = 0x89;

/// Some frames in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames {
    /// The frames, one behind the other.
    pub(super) bytes: Bytes,
    /// How many.
    pub(super) count: u32,
}

impl Frames {
    /// The payloads of the text frames among them, in order.
    pub(super) fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            loop {
                let [first, short, after @ ..] = rest else { return None };
                let (skip, len) = match (*short, after) {
                    (126, [a, b, ..]) => (2, usize::from(u16::from_be_bytes([*a, *b]))),
                    (127, [_, _, _, _, a, b, c, d, ..]) => (8, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
                    (short, _) => (0, usize::from(short)),
                };
                let (payload, others) = after[skip..].split_at(len);
                rest = others;
                if *first == FIN_TEXT {
                    return Some(payload);
                }
            }
        })
    }
}

/// Collects frames.
#[derive(Debug, Default)]
pub(super) struct FrameWriter {
    out: Vec<u8>,
    count: u32,
}

impl FrameWriter {
    /// Appends a text frame whose payload is these parts in a row.
    pub(super) fn text(&mut self, parts: &[&[u8]]) {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        self.out.reserve(len + 10);
        header(&mut self.out, FIN_TEXT, len);
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.count += 1;
    }

    /// What was collected.
    pub(super) fn finish(self) -> Frames {
        Frames { bytes: self.out.into(), count: self.count }
    }
}

/// One text frame.
pub(super) fn text(payload: &[u8]) -> Frames {
    let mut writer = FrameWriter::default();
    writer.text(&[payload]);
    writer.finish()
}

/// One binary frame.
pub(super) fn binary(payload: &[u8]) -> Frames {
    let mut out = Vec::with_capacity(payload.len() + 10);
    header(&mut out, FIN_BINARY, payload.len());
    out.extend_from_slice(payload);
    Frames { bytes: out.into(), count: 1 }
}

/// A ping without payload.
pub(super) fn ping() -> Frames {
    Frames { bytes: Bytes::from_static(&[FIN_PING, 0]), count: 1 }
}

/// A close frame. `reason` is cut at 123 bytes, the most a control frame can carry beside the code.
pub(super) fn close(code: u16, reason: &str) -> Frames {
    let reason = &reason[..reason.floor_char_boundary(123)];
    let mut out = Vec::with_capacity(reason.len() + 4);
    header(&mut out, FIN_CLOSE, reason.len() + 2);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
    Frames { bytes: out.into(), count: 1 }
}

fn header(out: &mut Vec<u8>, first: u8, len: usize) {
    out.push(first);
    if let Ok(short) = u8::try_from(len)
        && short < 126
    {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(len) {
        out.push(126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// The payloads of the text frames in `bytes`, for tests.
#[cfg(test)]
pub(super) fn payloads(bytes: &[u8]) -> Vec<String> {
    let frames = Frames { bytes: Bytes::copy_from_slice(bytes), count: 0 };
    frames.payloads().map(|payload| String::from_utf8(payload.to_vec()).unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// What an independent reader makes of our frames.
    async fn read(bytes: Bytes) -> Vec<Message> {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await.unwrap();
        drop(near);
        let stream = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        stream.filter_map(|message| async { message.ok() }).collect().await
    }

    #[tokio::test]
    async fn frames_of_all_lengths_read_back_as_they_were_written() {
        let mut writer = FrameWriter::default();
        let lengths = [0, 1, 125, 126, 65_535, 65_536, 200_000];
        for len in lengths {
            writer.text(&["x".repeat(len / 2).as_bytes(), "y".repeat(len - len / 2).as_bytes()]);
        }
        let frames = writer.finish();
        assert_eq!(frames.count, 7);
        let read = read(frames.bytes.clone()).await;
        let got: Vec<usize> = read.iter().map(Message::len).collect();
        assert_eq!(got, lengths);
        assert_eq!(payloads(&frames.bytes).iter().map(String::len).collect::<Vec<_>>(), lengths);
    }

    #[tokio::test]
    async fn ping_and_close_read_back_and_a_long_reason_is_cut_between_characters() {
        assert_eq!(read(ping().bytes).await, [Message::Ping(Bytes::new())]);
        let told = read(close(4408, &"é".repeat(100)).bytes).await;
        let [Message::Close(Some(told))] = &told[..] else { panic!("{told:?}") };
        assert_eq!((u16::from(told.code), told.reason.as_str()), (4408, "é".repeat(61).as_str()));
    }
}

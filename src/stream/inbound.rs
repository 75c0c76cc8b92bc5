//! Follows the frames of a client as their bytes come in, for what tungstenite does not tell.
//!
//! - **Text that cannot become UTF-8** is refused at its first wrong byte. tungstenite looks at a fragment once all of it has come. Until then
//!   a client could go on sending what is lost already, and would be told late; RFC 6455 (8.1) lets us fail the connection as
//!   soon as we see it, and the Autobahn test suite asks for it.
//! - **A message that does not end**: tungstenite bounds its payload, but neither the number of its fragments, which may be empty, nor its
//!   time. Control frames may stand between fragments and end nothing.
//!
//! What else may be wrong with frames is left to tungstenite.

/// Bytes of payload that are unmasked and looked at together.
const CHUNK: usize = 256;

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

/// Follows what a client sends.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// The header of the frame, until it is whole.
    header: [u8; 14],
    headed: usize,
    /// Bytes of the payload that have not come.
    left: u64,
    masked: usize,
    /// The message is text.
    is_text: bool,
    /// Begins of a character whose end has not come.
    begun: [u8; 4],
    begun_len: usize,
    /// Nothing is looked at any more once something was wrong.
    failed: bool,
    /// The last fragment of a message has not come.
    open: bool,
    /// How many messages have begun, and control frames outside of them.
    messages: u32,
    /// Bytes of the last of these, with all that stands between its fragments.
    bytes: u32,
}

impl Inbound {
    /// Takes the next bytes; false, once, if a text message among them cannot be UTF-8.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.failed {
            if self.unfinished().is_none() {
                self.messages = self.messages.wrapping_add(1);
                self.bytes = 0;
            }
            if self.left == 0 {
                self.header[self.headed] = bytes[0];
                self.headed += 1;
                self.bytes = self.bytes.saturating_add(1);
                bytes = &bytes[1..];
                self.begin();
            } else {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK).min(bytes.len());
                let (now, later) = bytes.split_at(most);
                bytes = later;
                self.left -= now.len() as u64;
                self.failed = self.is_data() && self.is_text && !self.is_utf8(now);
                self.masked += now.len();
                self.bytes = self.bytes.saturating_add(now.len() as u32); // of a chunk
                self.end();
                if self.failed {
                    return false;
                }
            }
        }
        true
    }

    /// The message that has begun and not ended, by its number; after the last of 32 bits comes the first.
    pub(super) fn unfinished(&self) -> Option<u32> {
        (self.open || self.headed > 0).then_some(self.messages)
    }

    /// Bytes of the message that has begun and not ended.
    pub(super) fn unfinished_bytes(&self) -> u32 {
        self.unfinished().map_or(0, |_| self.bytes)
    }

    fn is_data(&self) -> bool {
        self.header[0] & 0x0f < CLOSE
    }

    /// Reads the header if it is whole.
    fn begin(&mut self) {
        let short = self.header[1] & 0x7f;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        if self.headed < 2 || self.headed < 2 + extended + mask {
            return;
        }
        let mut wide = [0; 8];
        wide[8 - extended..].copy_from_slice(&self.header[2..2 + extended]);
        self.left = if extended == 0 { u64::from(short) } else { u64::from_be_bytes(wide) };
        self.masked = 0;
        match self.header[0] & 0x0f {
            0 => {}
            opcode if opcode < CLOSE => (self.is_text, self.begun_len) = (opcode == TEXT, 0),
            _ => {}
        }
        self.end();
    }

    /// Waits for the next header if the payload is whole.
    fn end(&mut self) {
        if self.left == 0 {
            if self.is_data() {
                self.open = self.header[0] & FIN == 0;
            }
            self.headed = 0;
        }
    }

    fn is_utf8(&mut self, masked: &[u8]) -> bool {
        let mut mask = [0; 4];
        if self.header[1] & 0x80 != 0 {
            mask.copy_from_slice(&self.header[self.headed - 4..self.headed]);
        }
        let mut text = [0; CHUNK + 4];
        text[..self.begun_len].copy_from_slice(&self.begun[..self.begun_len]);
        let len = self.begun_len + masked.len();
        for (i, (to, from)) in text[self.begun_len..].iter_mut().zip(masked).enumerate() {
            *to = from ^ mask[(self.masked + i) % 4];
        }
        match std::str::from_utf8(&text[..len]) {
            Ok(_) => self.begun_len = 0,
            Err(error) if error.error_len().is_some() => return false,
            Err(error) => {
                let begun = &text[error.valid_up_to()..len];
                self.begun[..begun.len()].copy_from_slice(begun);
                self.begun_len = begun.len();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
            len @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[test]
    fn the_first_wrong_byte_is_told_and_only_once() {
        let sent = frame(0x81, b"ab\xf4\x90\x80\x80cd");
        let mut inbound = Inbound::default();
        let told: Vec<bool> = sent.iter().map(|byte| inbound.take(std::slice::from_ref(byte))).collect();
        let wrong = 2 + 4 + 3; // the 0x90: beyond U+10FFFF
        assert_eq!(told.iter().position(|ok| !ok), Some(wrong));
        assert_eq!(told.iter().filter(|ok| !**ok).count(), 1);
    }

    #[test]
    fn binary_messages_and_control_frames_may_hold_anything() {
        let mut inbound = Inbound::default();
        let parts = [
            frame(0x82, b"\xff\xfe"),
            frame(0x01, b"\xc3"),
            frame(0x89, b"\xff"),
            frame(0x80, b"\xa4"),
            frame(0x02, b"\xff"),
            frame(0x80, b"\xff"),
        ];
        assert!(inbound.take(&parts.concat()), "a ping between the halves of an ä, too");
        assert!(!inbound.take(&frame(0x81, b"\xc3(")));
    }

    #[test]
    fn only_the_last_fragment_ends_a_message() {
        let mut inbound = Inbound::default();
        inbound.take(&[frame(0x81, b"whole"), frame(0x8a, b""), frame(0x01, b"ab")].concat());
        assert_eq!(
            (inbound.unfinished(), inbound.unfinished_bytes()),
            (Some(3), 8),
            "each begins with a header of 6"
        );
        inbound.take(&[frame(0x8a, b"x"), frame(0x00, b"")].concat());
        assert_eq!(
            (inbound.unfinished(), inbound.unfinished_bytes()),
            (Some(3), 21),
            "a pong ends nothing, and counts"
        );
        inbound.take(&frame(0x80, b""));
        assert_eq!((inbound.unfinished(), inbound.unfinished_bytes()), (None, 0));
        let next = [frame(0x00, b""), frame(0x89, b"pi")].concat();
        inbound.take(&next[..next.len() - 1]);
        assert_eq!(
            inbound.unfinished(),
            Some(4),
            "a frame that has begun is one, whatever tungstenite says to it"
        );
    }

    proptest! {
        #[test]
        fn however_it_is_cut_up_the_verdict_is_that_of_the_standard_library(
            fragments in proptest::collection::vec(prop_oneof![
                ".{0,20}".prop_map(String::into_bytes),
                ".{300}".prop_map(String::into_bytes),
                Just("x".repeat(70_000).into_bytes()),
                proptest::collection::vec(any::<u8>(), 0..4),
            ], 1..5),
            chunk in 1..2_000_usize,
        ) {
            let last = fragments.len() - 1;
            let mut sent = Vec::new();
            for (i, fragment) in fragments.iter().enumerate() {
                sent.extend(frame(u8::from(i == 0) | if i == last { 0x80 } else { 0 }, fragment));
            }
            let whole = fragments.concat();
            // An unfinished character at the end is wrong only once the message ends: that is tungstenite's to say.
            let wrong = std::str::from_utf8(&whole).is_err_and(|error| error.error_len().is_some());
            let mut inbound = Inbound::default();
            let told = sent.chunks(chunk).map(|bytes| inbound.take(bytes)).filter(|ok| !ok).count();
            prop_assert_eq!(told, usize::from(wrong));
            if !wrong {
                prop_assert_eq!((inbound.unfinished(), inbound.messages), (None, 1));
                prop_assert!(inbound.take(&frame(0x81, b"next")));
            }
        }
    }
}

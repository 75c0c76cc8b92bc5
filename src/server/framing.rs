//! Whether a request says twice how long it is.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` may be cut differently by a proxy and by us,
//! and what one takes for a body the other takes for the next request (request smuggling, RFC 9112 section
//! 6.1 and 11.2). hyper follows the RFC's minimum: it silently drops the `Content-Length`. We want to refuse
//! such a request, so [`HeadScan`] looks for the header in the bytes on their way to hyper.

/// What is known of the head of the request that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It was not seen whole: it came while the request before it was still being answered.
    Unseen,
    /// Seen whole, without `Content-Length`.
    Plain,
    /// Seen whole, with `Content-Length`.
    WithLength,
}

const NAME: &[u8] = b"content-length:";

/// Reads the head of one request as it arrives, in pieces of any size.
#[derive(Debug)]
pub(super) struct HeadScan {
    /// Bytes of [`NAME`] matched in this line; `None` once the line is another.
    matched: Option<usize>,
    /// Is this line empty so far, carriage returns aside?
    blank: bool,
    /// Has a line that is not empty been seen? Empty lines before the request line are skipped (RFC 9112 2.2).
    begun: bool,
    length: bool,
    done: bool,
}

impl HeadScan {
    pub(super) fn new() -> Self {
        HeadScan { matched: Some(0), blank: true, begun: false, length: false, done: false }
    }

    /// Takes the next bytes; says what the head is once its end has come.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Head> {
        for &byte in bytes {
            if self.done {
                return None;
            }
            match byte {
                b'\n' => {
                    if self.blank && self.begun {
                        self.done = true;
                        return Some(if self.length { Head::WithLength } else { Head::Plain });
                    }
                    self.begun |= !self.blank;
                    (self.blank, self.matched) = (true, Some(0));
                }
                b'\r' if self.blank => {}
                other => {
                    self.blank = false;
                    self.matched = match self.matched {
                        Some(at) if NAME[at] == other.to_ascii_lowercase() => Some(at + 1),
                        _ => None,
                    };
                    if self.matched == Some(NAME.len()) {
                        (self.length, self.matched) = (true, None);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(pieces: &[&[u8]]) -> Option<Head> {
        let mut scan = HeadScan::new();
        pieces.iter().find_map(|piece| scan.feed(piece))
    }

    #[test]
    fn a_content_length_is_seen_in_any_case_and_only_as_a_name() {
        let with = b"POST / HTTP/1.1\r\nHost: a\r\nCONTENT-length:3\r\n\r\nabc";
        assert_eq!(scan(&[with]), Some(Head::WithLength));
        let without = b"\r\n\r\nPOST / HTTP/1.1\r\nX: content-length: 3\r\nx-content-length: 3\r\n\r\n";
        assert_eq!(scan(&[without]), Some(Head::Plain));
        assert_eq!(scan(&[b"POST / HTTP/1.1\nContent-Length: 3\n\n"]), Some(Head::WithLength));
        assert_eq!(scan(&[b"POST / HTTP/1.1\r\nContent-Length: 3\r\n"]), None);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(cuts in proptest::collection::vec(1usize..8, 0..20)) {
            let mut rest: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nA: b\r\n\r\n";
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(scan(&pieces), Some(Head::WithLength));
        }
    }
}

//! The head of an HTTP/1.1 answer, as a client needs it that then goes on with something else.

use std::time::{Duration, SystemTime};

/// The longest head taken, in bytes.
const LONGEST: usize = 16 << 10;

/// Status and headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// When to try again: the answers 429 and 503 may say so, in seconds or as a date.
    #[must_use]
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        if !matches!(self.status, 429 | 503) {
            return None;
        }
        let text = self.header("retry-after")?;
        let date = || httpdate::parse_http_date(text).ok()?.duration_since(now).ok();
        text.parse().ok().map(Duration::from_secs).or_else(date)
    }
}

/// An answer whose head is on its way.
#[derive(Debug, Default)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// Takes bytes. When the head is whole: it, and the bytes behind it.
    ///
    /// # Errors
    ///
    /// Why it is no answer of HTTP.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<(Head, Vec<u8>)>, &'static str> {
        self.0.extend_from_slice(bytes);
        if !b"HTTP/".starts_with(&self.0[..self.0.len().min(5)]) {
            return Err("the answer is not HTTP");
        }
        let Some(end) = memchr::memmem::find(&self.0, b"\r\n\r\n") else {
            return if self.0.len() > LONGEST { Err("the answer has no end") } else { Ok(None) };
        };
        let text = String::from_utf8_lossy(&self.0[..end]);
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let head = Head { status: status.ok_or("the answer has no status")?, headers };
        Ok(Some((head, self.0[end + 4..].to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Answer::default().feed(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn a_head_is_taken_from_what_comes_in_pieces() {
        let mut answer = Answer::default();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
        let (head, rest) = answer.feed(b"\r\nxy").unwrap().unwrap();
        assert_eq!((head.status, head.header("a"), rest), (200, Some("b"), b"xy".to_vec()));
        assert!(Answer::default().feed(b"SSH-2.0").is_err());
    }

    #[test]
    fn only_a_refusal_says_when_to_come_back() {
        let after = |text: &str| head(text).retry_after(SystemTime::UNIX_EPOCH);
        assert_eq!(after("HTTP/1.1 429 x\r\nRetry-After: 3\r\n\r\n"), Some(Duration::from_secs(3)));
        assert_eq!(
            after("HTTP/1.1 503 x\r\nRetry-After: Thu, 01 Jan 1970 00:00:09 GMT\r\n\r\n"),
            Some(Duration::from_secs(9))
        );
        assert_eq!(after("HTTP/1.1 503 x\r\nRetry-After: soon\r\n\r\n"), None);
        assert_eq!(after("HTTP/1.1 404 x\r\nRetry-After: 3\r\n\r\n"), None);
    }
}

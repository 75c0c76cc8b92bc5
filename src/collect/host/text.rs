//! Taking apart what the kernel writes.

use std::borrow::Cow;

/// The lines of a file, without empty ones.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// The words of a line, separated by any blanks.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A number, decimal. None for what is no finite number.
pub(super) fn number(word: &[u8]) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)]
    if (1..=18).contains(&word.len()) && word.iter().all(u8::is_ascii_digit) {
        return Some(word.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')) as f64);
    }
    std::str::from_utf8(word).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A number that counts something: what the kernel gives as negative, where it lost count, is 0.
pub(super) fn count(word: &[u8]) -> Option<f64> {
    number(word).map(|value| value.max(0.0))
}

/// The first numbers of a text, if there are so many.
pub(super) fn first<const N: usize>(text: &[u8]) -> Option<[f64; N]> {
    let mut words = words(text).map_while(count);
    let mut numbers = [0.0; N];
    for number in &mut numbers {
        *number = words.next()?;
    }
    Some(numbers)
}

/// A number in hexadecimal, with or without `0x`.
pub(super) fn hex(word: &[u8]) -> Option<f64> {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    #[allow(clippy::cast_precision_loss)]
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().map(|value| value as f64)
}

/// Text for a label. Bytes that are no UTF-8 become U+FFFD.
pub(super) fn label(word: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(word)
}

/// A part of a metric name: what may not stand in one becomes `_`.
pub(super) fn name_part(word: &[u8]) -> String {
    let part = |&byte: &u8| if byte.is_ascii_alphanumeric() { char::from(byte) } else { '_' };
    word.iter().map(part).collect()
}

/// What was made of the text at each place of a file that keeps its order from one reading to the next, so
/// that it is made once and not in every pass.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    made: Vec<(Vec<u8>, T)>,
    at: usize,
}

impl<T> Remembered<T> {
    pub(super) fn new() -> Self {
        Remembered { made: Vec::new(), at: 0 }
    }

    /// Begins a reading.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
    }

    /// What was made of `text`, which stands at the next place.
    pub(super) fn next(&mut self, text: &[u8], make: impl FnOnce(&[u8]) -> T) -> &T {
        let at = self.at;
        self.at += 1;
        match self.made.get(at) {
            Some((before, _)) if before == text => {}
            Some(_) => {
                self.made.truncate(at);
                self.made.push((text.to_vec(), make(text)));
            }
            None => self.made.push((text.to_vec(), make(text))),
        }
        &self.made[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_kinds_are_read_and_others_are_not() {
        assert_eq!(number(b"18446744073709551615"), Some(18_446_744_073_709_551_615.0));
        assert_eq!(number(b"42"), Some(42.0));
        assert_eq!(number(b"-1"), Some(-1.0));
        assert_eq!(number(b"0.25"), Some(0.25));
        assert_eq!(count(b"-1"), Some(0.0));
        assert_eq!(hex(b"0x1003"), Some(4099.0));
        assert_eq!(hex(b"000000ff"), Some(255.0));
        for odd in [&b""[..], b"x", b"NaN", b"inf", b"1 ", b"\xff"] {
            assert_eq!(number(odd), None);
        }
    }

    #[test]
    fn what_stands_at_the_same_place_is_made_once() {
        let mut remembered = Remembered::new();
        let mut made = 0;
        for file in [["a", "b"], ["a", "b"], ["a", "c"]] {
            remembered.rewind();
            for word in file {
                let upper = remembered.next(word.as_bytes(), |text| {
                    made += 1;
                    text.to_ascii_uppercase()
                });
                assert_eq!(*upper, word.to_ascii_uppercase().as_bytes());
            }
        }
        assert_eq!(made, 3);
    }
}

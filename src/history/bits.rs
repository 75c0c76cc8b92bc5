//! Bits in a row: most significant first, appended at the end, read from any position.

/// Appends bits. The bytes are always a whole number of words of eight, zero behind the last bit, so that an open
/// chunk can be read while it grows.
#[derive(Clone, Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits written.
    len: usize,
}

impl BitWriter {
    /// Appends the low `count` bits (1 to 64) of `value`, whose other bits must be 0.
    pub(super) fn push(&mut self, value: u64, count: u32) {
        debug_assert!((1..=64).contains(&count) && (count == 64 || value >> count == 0));
        let used = u32::try_from(self.len % 64).expect("below 64");
        self.len += count as usize;
        if used == 0 {
            self.bytes.extend_from_slice(&(value << (64 - count)).to_be_bytes());
            return;
        }
        let free = 64 - used;
        let last = self.bytes.len() - 8;
        let word = self.bytes[last..].first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
        if count <= free {
            self.bytes[last..].copy_from_slice(&(word | value << (free - count)).to_be_bytes());
        } else {
            let over = count - free;
            self.bytes[last..].copy_from_slice(&(word | value >> over).to_be_bytes());
            self.bytes.extend_from_slice(&(value << (64 - over)).to_be_bytes());
        }
    }

    /// The bytes that hold the bits, without the unused ones at the end.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len.div_ceil(8)]
    }

    /// Bits written.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets the bits and keeps the memory, up to `keep` bytes of it.
    pub(super) fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.len = 0;
    }
}

/// A position in bits. The bytes are given with each call, so that the position can be kept beside their owner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BitReader {
    at: usize,
}

impl BitReader {
    /// Behind so many bits.
    pub(super) fn at(at: usize) -> Self {
        BitReader { at }
    }

    /// The next `count` bits (1 to 64), or `None` when there are not as many.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8], count: u32) -> Option<u64> {
        let (word, shift) = (self.peek(bytes), u32::try_from(self.at % 8).expect("below 8"));
        let ninth = self.at / 8 + 8;
        self.skip(count);
        if !self.is_within(bytes) {
            return None;
        }
        // A word that does not begin at a byte may reach into a ninth one.
        let over = (count + shift).saturating_sub(64);
        let high = word >> (64 - count);
        Some(if over == 0 { high } else { high | u64::from(*bytes.get(ninth)? >> (8 - over)) })
    }

    /// The bits from here on, the first one on top: 57 at least, and zeros where the bytes end.
    #[inline]
    pub(super) fn peek(&self, bytes: &[u8]) -> u64 {
        let (byte, shift) = (self.at / 8, self.at % 8);
        let rest = bytes.get(byte..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_be_bytes(*word),
            None => {
                let mut word = [0; 8];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(word)
            }
        };
        word << shift
    }

    /// Goes on by so many bits, also beyond the end; see [`is_within`](Self::is_within).
    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// Is what was taken and skipped all there?
    #[inline]
    pub(super) fn is_within(&self, bytes: &[u8]) -> bool {
        self.at <= bytes.len() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_read_back_as_they_were_written(parts in prop::collection::vec((any::<u64>(), 1u32..=64), 0..60)) {
            let mut writer = BitWriter::default();
            let parts: Vec<_> = parts.into_iter().map(|(v, n)| (v >> (64 - n), n)).collect();
            for &(value, count) in &parts {
                writer.push(value, count);
            }
            let mut reader = BitReader::default();
            for &(value, count) in &parts {
                prop_assert_eq!(reader.take(writer.bytes(), count), Some(value));
            }
            prop_assert_eq!(reader.take(writer.bytes(), 8), None);
        }
    }
}

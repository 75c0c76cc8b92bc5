//! Frames that wait for a client's socket, in order and whole, and the count of what was put in.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::frame::Frames;

/// How many slices go into one write. The kernel takes up to 1024; more than this many are rarely due, since the
/// frames of a channel come joined.
const SLICES: usize = 16;

/// What waits; see the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Bytes>,
    len: usize,
    frames: u64,
    bytes: u64,
}

impl Outbox {
    /// Appends frames.
    pub(super) fn push(&mut self, frames: Frames) {
        self.frames += u64::from(frames.count);
        self.bytes += frames.bytes.len() as u64;
        self.append(frames.bytes);
    }

    /// Appends bytes that are whole frames, without counting them.
    pub(super) fn append(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.waiting.push_back(bytes);
        }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Does nothing wait?
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Frames and bytes pushed since this was last asked.
    pub(super) fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.frames), std::mem::take(&mut self.bytes))
    }

    /// Gives the first of what waits to `write`, as one slice or several, which says how many bytes it took. Those
    /// are gone then.
    pub(super) fn write_with<T>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, T>,
    ) -> Result<usize, T> {
        let written = if self.waiting.len() == 1 {
            write(&[IoSlice::new(&self.waiting[0])])?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let due = self.waiting.iter().zip(slices.iter_mut());
            let count = due.map(|(bytes, slice)| *slice = IoSlice::new(bytes)).count();
            write(&slices[..count])?
        };
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(first) = self.waiting.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.waiting.pop_front();
        }
    }

    /// All that waits, for tests; it is gone then.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.len = 0;
        self.waiting.drain(..).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame;
    use super::*;

    #[test]
    fn what_a_busy_socket_leaves_goes_out_in_order_and_whole() {
        let mut outbox = Outbox::default();
        let (mut want, mut got) = (Vec::new(), Vec::<u8>::new());
        for i in 0..100 {
            let frames = frame::text(format!("frame {i}").as_bytes());
            want.extend_from_slice(&frames.bytes);
            outbox.push(frames);
            outbox.append(Bytes::from_static(b"pong"));
            want.extend_from_slice(b"pong");
        }
        assert_eq!((outbox.len(), outbox.take_counts().0), (want.len(), 100));
        while !outbox.is_empty() {
            let wrote = outbox.write_with(|slices| {
                let all = slices.iter().flat_map(|slice| slice.iter().copied());
                let before = got.len();
                got.extend(all.take(7));
                Ok::<_, ()>(got.len() - before)
            });
            assert!(wrote.is_ok_and(|written| written > 0));
        }
        assert_eq!(got, want);
        assert!(outbox.write_with(|_| Err(())).is_err());
    }
}

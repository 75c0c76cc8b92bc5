//! What a channel has published: its last frames, and the view to which they lead.
//!
//! A client that keeps up gets every frame. The loops write at most once per flush interval, and with short ticks
//! several frames are due by then, so a channel keeps the last ones: as many as [`KEPT`] and its neighbours allow, which is
//! about a quarter of a second. Those that are due to a client go out joined, and who is due the same shares the
//! same bytes. Who is further behind, or was busy, gets one delta from the offset it has instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::channel::View;
use super::frame::Frames;
use super::text::{Form, Texts};

/// Frames a channel keeps: with ticks of 2 ms those of a quarter of a second.
const KEPT: usize = 128;

/// Their bytes. Also the most that is joined, so no client is given more at once.
const KEPT_BYTES: usize = 256 << 10;

/// Their age: many times the time between two sweeps, so that a loop which was held up loses nothing.
const KEPT_AGE: Duration = Duration::from_millis(250);

/// The frame of one tick, with the `schema` before it if there was one.
#[derive(Debug)]
pub(super) struct Sent {
    /// Offset that a client must have for it.
    pub(super) prev: u64,
    /// When the tick was committed, in monotonic time.
    pub(super) committed: Duration,
    /// [`View::since`] `prev`.
    pub(super) frames: Frames,
    place: String,
    texts: Texts,
}

impl Sent {
    /// [`Sent::frames`] as text; made once for each form.
    pub(super) fn text(&self, form: Form) -> &Bytes {
        self.texts.get(form, || form.placed(&self.frames, &self.place))
    }

    /// How many forms of text were made, for tests.
    #[cfg(test)]
    pub(super) fn made(&self) -> usize {
        self.texts.made()
    }
}

/// The last frames of a channel, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(Arc<[Arc<Sent>]>);

impl Recent {
    /// These and one more; the oldest that need not be kept any more are left out.
    fn keep(&self, next: Sent) -> Recent {
        let mut bytes = next.frames.bytes.len();
        let held = self.0.iter().rev().take(KEPT - 1).take_while(|sent| {
            bytes += sent.frames.bytes.len();
            bytes <= KEPT_BYTES && next.committed.saturating_sub(sent.committed) <= KEPT_AGE
        });
        let from = self.0.len() - held.count();
        Recent(self.0[from..].iter().cloned().chain([Arc::new(next)]).collect())
    }
}

/// What a channel published at its last due tick.
#[derive(Debug)]
pub(super) struct Published {
    recent: Recent,
    /// For clients that are further behind.
    pub(super) view: Arc<View>,
    /// Frames joined from a place in [`Recent`] to its end. Nearly all clients ask for the same.
    joined: Mutex<Vec<(usize, Frames)>>,
}

/// What a client is to get of a channel.
#[derive(Debug)]
pub(super) enum Due<'a> {
    /// The frames it has not had, one by one; all get the same that have the same.
    Shared(Run<'a>),
    /// One delta instead of them ([`View::conflated`]), since the first of them is not kept any more.
    Missed,
}

/// Frames in a row up to the newest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    published: &'a Published,
    from: usize,
}

impl<'a> Run<'a> {
    /// The frames one by one.
    pub(super) fn sent(&self) -> &'a [Arc<Sent>] {
        &self.published.recent.0[self.from..]
    }

    /// The frames joined. Made once for all who have the same due.
    pub(super) fn joined(&self) -> Frames {
        if let [one] = self.sent() {
            return one.frames.clone();
        }
        let mut joined = self.published.joined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frames)) = joined.iter().find(|(from, _)| *from == self.from) {
            return frames.clone();
        }
        let all = self.sent().iter();
        let bytes = all.clone().map(|sent| &sent.frames.bytes[..]).collect::<Vec<_>>().concat();
        let frames = Frames { bytes: bytes.into(), count: all.map(|sent| sent.frames.count).sum() };
        joined.push((self.from, frames.clone()));
        frames
    }
}

impl Published {
    /// The frames from offset `prev` to that of `view`, after what was published before.
    pub(super) fn after(
        before: &Recent,
        prev: u64,
        frames: Frames,
        view: Arc<View>,
        committed: Duration,
    ) -> Self {
        let sent = Sent { prev, committed, frames, place: view.place(), texts: Texts::default() };
        Published { recent: before.keep(sent), view, joined: Mutex::default() }
    }

    /// The frames up to this one.
    pub(super) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// The newest frame.
    pub(super) fn last(&self) -> &Sent {
        self.recent.0.last().expect("something is published")
    }

    /// What takes a client from offset `from` to the newest; `None` if it has that already.
    pub(super) fn since(&self, from: u64) -> Option<Due<'_>> {
        if self.view.offset() <= from {
            return None;
        }
        Some(match self.recent.0.binary_search_by_key(&from, |sent| sent.prev) {
            Ok(from) => Due::Shared(Run { published: self, from }),
            Err(_) => Due::Missed,
        })
    }
}

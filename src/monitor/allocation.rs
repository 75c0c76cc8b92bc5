//! Allocations: how many, how fast, and what remains.
//!
//! Whoever wants them counted has a counting allocator and tells the monitor how to read it
//! ([`Monitor::watch_allocations`](super::Monitor::watch_allocations)). With the cargo feature `allocator` there is one here,
//! [`Counting`](self), the crate `stats_alloc` over the system's allocator: it costs two atomic additions an
//! allocation, and keeps this crate without `unsafe`. Any other will do that can fill [`Allocated`].

use super::snapshot::ScopeFigures;

/// The system's allocator, counted. To be declared in the program:
///
/// ```
/// use gaugecast::monitor::{Counting, Monitor, Config};
/// use gaugecast::registry::Registry;
///
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting::system();
///
/// let monitor = Monitor::new(&Registry::new(), Config::default())?;
/// monitor.watch_allocations(|| ALLOCATOR.stats().into());
///
/// let scope = monitor.leak_scope("parse");
/// drop(vec![0_u8; 1000]);
/// assert_eq!(scope.end().remaining_bytes, 0);
/// # Ok::<(), gaugecast::registry::RegisterError>(())
/// ```
#[cfg(feature = "allocator")]
pub type Counting = stats_alloc::StatsAlloc<std::alloc::System>;

/// What an allocator has counted since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Allocations and reallocations.
    pub allocations: u64,
    /// What was given back, without reallocations.
    pub deallocations: u64,
    /// Reallocations among the allocations: they leave as many blocks as there were.
    pub reallocations: u64,
    /// Bytes allocated, with what reallocations added.
    pub allocated_bytes: u64,
    /// Bytes given back, with what reallocations took away.
    pub deallocated_bytes: u64,
}

impl Allocated {
    /// Bytes in use.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.allocated_bytes.saturating_sub(self.deallocated_bytes)
    }

    /// What of `self` is still there that was not there at `begin`: blocks and bytes.
    #[must_use]
    pub fn remaining_since(&self, begin: &Allocated) -> (i64, i64) {
        let blocks =
            |of: &Allocated| of.allocations.wrapping_sub(of.reallocations).wrapping_sub(of.deallocations);
        let bytes = |of: &Allocated| of.allocated_bytes.wrapping_sub(of.deallocated_bytes);
        let difference = |now: u64, then: u64| now.wrapping_sub(then).cast_signed();
        (difference(blocks(self), blocks(begin)), difference(bytes(self), bytes(begin)))
    }
}

#[cfg(feature = "allocator")]
impl From<stats_alloc::Stats> for Allocated {
    fn from(stats: stats_alloc::Stats) -> Self {
        let count = |count: usize| count as u64;
        Allocated {
            allocations: count(stats.allocations).wrapping_add(count(stats.reallocations)),
            deallocations: count(stats.deallocations),
            reallocations: count(stats.reallocations),
            allocated_bytes: count(stats.bytes_allocated),
            deallocated_bytes: count(stats.bytes_deallocated),
        }
    }
}

/// A piece of work at whose end nothing should remain; by [`Monitor::leak_scope`](super::Monitor::leak_scope).
///
/// The counters are those of the whole process: what other threads do in the meantime is counted too, so this is for
/// tests, start-up and quiet moments.
#[derive(Debug)]
#[must_use = "what remains is told by end()"]
pub struct LeakScope {
    pub(super) monitor: super::Monitor,
    pub(super) name: String,
    pub(super) begin: Allocated,
}

impl LeakScope {
    /// What remains; it is also judged ([`Criterion::Leak`](super::Criterion::Leak)). Zeros where nothing counts.
    pub fn end(self) -> ScopeFigures {
        let remaining = self.monitor.allocated().unwrap_or(self.begin).remaining_since(&self.begin);
        let figures = ScopeFigures {
            at_ms: self.monitor.now().unix_ms,
            name: self.name,
            remaining_allocations: remaining.0,
            remaining_bytes: remaining.1,
        };
        self.monitor.ended(figures.clone());
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_what_was_not_given_back_and_a_reallocation_is_no_block_of_its_own() {
        let begin =
            Allocated { allocations: 10, deallocations: 4, allocated_bytes: 100, ..Allocated::default() };
        let now = Allocated {
            allocations: 13, // one of them a reallocation
            reallocations: 1,
            deallocations: 5,
            allocated_bytes: 170,
            deallocated_bytes: 30,
        };
        assert_eq!(now.remaining_since(&begin), (1, 40));
        assert_eq!(begin.remaining_since(&now), (-1, -40));
        assert_eq!(now.live_bytes(), 140);
    }
}

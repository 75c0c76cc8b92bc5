//! What is done when: a list of [`Phase`]s, and when each connection is meant to begin.
//!
//! Pure: the caller has the clock. A connection's intended moment follows from its number alone, so a generator
//! that falls behind shows as latency and not as a gentler test.

use std::time::Duration;

/// Most connections of one test.
pub const MOST_CONNECTIONS: usize = 100_000;

/// The longest test.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The shares of all connections, in percent, that the ladder goes through.
pub const LADDER: [u32; 5] = [10, 25, 50, 75, 100];

/// What a phase is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Connections are opened.
    RampUp,
    /// All are there; latency of each broadcast.
    Broadcast,
    /// The same going on: do connections stay?
    Stability,
    /// A share of the connections is cut, and comes back.
    Recovery,
    /// The rest of the time, under full load.
    Sustained,
}

impl Kind {
    /// All, in the order in which they run.
    pub const ALL: [Self; 5] =
        [Self::RampUp, Self::Broadcast, Self::Stability, Self::Recovery, Self::Sustained];

    /// The name as flags and reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RampUp => "ramp-up",
            Self::Broadcast => "broadcast",
            Self::Stability => "stability",
            Self::Recovery => "recovery",
            Self::Sustained => "sustained",
        }
    }

    /// Whether nothing is opened or cut in it, so that rates and connections can be judged.
    #[must_use]
    pub const fn is_steady(self) -> bool {
        matches!(self, Self::Broadcast | Self::Stability | Self::Sustained)
    }

    /// Its share of the time, in percent.
    const fn share(self) -> u32 {
        match self {
            Self::RampUp => 20,
            Self::Broadcast | Self::Sustained => 25,
            Self::Stability | Self::Recovery => 15,
        }
    }
}

/// A named load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// As on the command line.
    pub name: &'static str,
    /// Connections held.
    pub connections: usize,
    /// Broadcasts a second asked of the server.
    pub rate: f64,
    /// The whole test.
    pub duration: Duration,
}

/// `smoke` is for continuous integration, `monitor` is run over and over, the others are the steps of the mission.
pub const PRESETS: [Preset; 5] = [
    Preset { name: "smoke", connections: 20, rate: 1.0, duration: Duration::from_secs(10) },
    Preset { name: "light", connections: 100, rate: 50.0, duration: Duration::from_secs(60) },
    Preset { name: "medium", connections: 500, rate: 250.0, duration: Duration::from_secs(120) },
    Preset { name: "heavy", connections: 1000, rate: 500.0, duration: Duration::from_secs(300) },
    Preset { name: MONITOR, connections: 50, rate: 1.0, duration: Duration::from_secs(10) },
];

/// The preset that begins anew when it is over.
pub const MONITOR: &str = "monitor";

/// How the connections are opened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ramp {
    /// Evenly over the phase.
    Linear,
    /// In the steps of [`LADDER`], each a phase with a verdict of its own.
    Ladder,
    /// So many a second; the phase is as long as that takes.
    Rate(f64),
}

/// One phase of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// The kind's name, for a rung of the ladder with its share.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// How long it lasts.
    pub duration: Duration,
    /// Connections open at its end.
    pub connections: usize,
    /// Time between the beginnings of two connections, for those opened in this phase.
    pub spacing: Duration,
}

/// The phases of a test that opens `connections` and lasts `total`. Of `kinds` those wanted are given; the ramp-up
/// is always there. Their shares of the time are fixed among each other.
#[must_use]
pub fn phases(connections: usize, total: Duration, ramp: Ramp, kinds: &[Kind]) -> Vec<Phase> {
    let wanted: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| *kind == Kind::RampUp || kinds.contains(kind)).collect();
    let rated = match ramp {
        // With a fifth of it left for the last connections to become live, as below.
        Ramp::Rate(rate) => Some(Duration::from_secs_f64(connections as f64 / rate * 1.25).min(LONGEST)),
        _ => None,
    };
    let is_shared = |kind: Kind| rated.is_none() || kind != Kind::RampUp;
    let shares: u32 = wanted.iter().filter(|kind| is_shared(**kind)).map(|kind| kind.share()).sum();
    let rest = total.saturating_sub(rated.unwrap_or_default());
    let mut phases = Vec::new();
    for kind in wanted {
        let duration = match rated {
            Some(duration) if kind == Kind::RampUp => duration,
            _ => rest * kind.share() / shares,
        };
        if kind != Kind::RampUp {
            let name = kind.name().to_owned();
            phases.push(Phase { name, kind, duration, connections, spacing: Duration::ZERO });
            continue;
        }
        let rungs: &[u32] = if ramp == Ramp::Ladder { &LADDER } else { &[100] };
        let mut open = 0;
        for percent in rungs {
            let upto = (connections * *percent as usize).div_ceil(100);
            let duration = duration / rungs.len() as u32;
            let new = u32::try_from(upto - open).unwrap_or(u32::MAX).max(1);
            phases.push(Phase {
                name: if rungs.len() > 1 { format!("ramp-up {percent} %") } else { kind.name().to_owned() },
                kind,
                duration,
                connections: upto,
                // The last fifth is left for the last connections to become live.
                spacing: duration * 4 / 5 / new,
            });
            open = upto;
        }
    }
    phases
}

/// Whether connection `index` is among the `percent` that a recovery phase cuts: spread evenly over all.
#[must_use]
pub fn is_cut(index: usize, percent: usize) -> bool {
    (index + 1) * percent / 100 != index * percent / 100
}

/// The longest wait before attempt `attempt` (from 0) at connecting again: none, then 100 ms doubling to 3.2 s.
/// The wait itself is drawn evenly from zero to this, so that clients cut together do not come back together.
#[must_use]
pub fn backoff(attempt: u32) -> Duration {
    match attempt {
        0 => Duration::ZERO,
        n => Duration::from_millis(100 << (n - 1).min(5)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_fill_the_time_and_the_ladder_has_a_phase_a_rung() {
        let total = Duration::from_secs(100);
        let linear = phases(1000, total, Ramp::Linear, &Kind::ALL);
        assert_eq!(linear.iter().map(|p| p.duration).sum::<Duration>(), total);
        assert_eq!(linear.iter().map(|p| p.kind).collect::<Vec<_>>(), Kind::ALL);
        let ladder = phases(7, total, Ramp::Ladder, &[]);
        assert_eq!(ladder.iter().map(|p| p.connections).collect::<Vec<_>>(), [1, 2, 4, 6, 7]);
        assert_eq!(ladder[1].name, "ramp-up 25 %");
    }

    #[test]
    fn a_rate_makes_the_ramp_up_as_long_as_it_takes() {
        let total = Duration::from_secs(100);
        let rated = phases(1000, total, Ramp::Rate(100.0), &Kind::ALL);
        assert_eq!((rated[0].duration.as_millis(), rated[0].spacing.as_millis()), (12_500, 10));
        let seconds: f64 = rated.iter().map(|phase| phase.duration.as_secs_f64()).sum();
        assert!((seconds - 100.0).abs() < 0.001, "the other phases have the rest");
        assert_eq!(phases(10, total, Ramp::Rate(1.0), &[]).len(), 1);
    }

    #[test]
    fn connections_begin_within_their_phase() {
        for (count, ramp) in [(1, Ramp::Linear), (3, Ramp::Ladder), (10_000, Ramp::Ladder)] {
            let mut open = 0;
            for phase in phases(count, Duration::from_secs(10), ramp, &[]) {
                let new = (phase.connections - open) as u32;
                assert!(phase.spacing * new < phase.duration);
                open = phase.connections;
            }
            assert_eq!(open, count);
        }
    }

    #[test]
    fn the_cut_takes_its_share_evenly() {
        for (count, percent) in [(1000, 30), (10, 50), (7, 100), (100, 1)] {
            let cut: Vec<usize> = (0..count).filter(|i| is_cut(*i, percent)).collect();
            assert_eq!(cut.len(), count * percent / 100);
        }
        assert!((0..10).filter(|i| is_cut(*i, 50)).all(|i| i % 2 == 1));
    }

    #[test]
    fn the_wait_before_a_new_attempt_grows_to_a_ceiling() {
        let waits: Vec<Duration> = (0..100).map(backoff).collect();
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits.windows(2).all(|w| w[0] <= w[1]) && waits[99] == Duration::from_millis(3200));
    }
}

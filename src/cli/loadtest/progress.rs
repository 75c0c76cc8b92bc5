//! The display on stderr while a test runs: one line, rewritten, on a terminal; else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::tell;
use crate::loadtest::criteria::Verdict;
use crate::loadtest::report::Report;
use crate::loadtest::{Event, Look};

/// How often a line is written where it cannot be rewritten, in looks, which are a second apart.
const PLAIN_EVERY: u64 = 5;

/// Cells of the bar.
const BAR: usize = 20;

pub(super) struct Progress {
    quiet: bool,
    in_place: bool,
    /// The test is run more than once: a line each time, and none for its phases.
    in_cycles: bool,
    looks: u64,
}

impl Progress {
    pub(super) fn new(quiet: bool, in_cycles: bool) -> Self {
        Self { quiet, in_place: std::io::stderr().is_terminal(), in_cycles, looks: 0 }
    }

    /// A line that stays.
    pub(super) fn note(&mut self, text: &str) {
        if !self.quiet {
            tell(&format!("{}{text}\n", self.clear()));
        }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            _ if self.quiet => {}
            Event::Looking(look) => {
                self.looks += 1;
                if self.in_place {
                    tell(&format!("{}{}", self.clear(), line(look, width())));
                    let _ = std::io::stderr().flush();
                } else if self.looks.is_multiple_of(PLAIN_EVERY) {
                    tell(&format!("{}\n", line(look, usize::MAX)));
                }
            }
            Event::Finished(_) | Event::Cycle(_) if self.in_cycles => {
                if let Event::Cycle(report) = event {
                    self.note(&cycle(report));
                }
            }
            Event::Finished(phase) => self.note(&format!("{:13} {}", phase.verdict.name(), phase.name)),
            Event::Cycle(_) if self.in_place => tell(self.clear()),
            Event::Cycle(_) => {}
        }
    }

    fn clear(&self) -> &'static str {
        if self.in_place { "\r\x1b[K" } else { "" }
    }
}

/// Columns of the terminal, 80 where it does not say.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map_or(80, |size| usize::from(size.ws_col)).max(20)
}

/// The look in a line that leaves the last column free: a terminal that wraps could not take the line back.
fn line(look: &Look<'_>, width: usize) -> String {
    let share = look.elapsed.as_secs_f64() / look.total.as_secs_f64().max(f64::EPSILON);
    let filled = ((share * BAR as f64) as usize).min(BAR);
    let bar = "=".repeat(filled) + &" ".repeat(BAR - filled);
    let mut line = format!(
        "[{bar}] {}/{}  {}  {}/{} live  {}",
        time(look.elapsed),
        time(look.total),
        look.phase,
        look.live,
        look.planned,
        rate(look.messages as f64 / look.interval.as_secs_f64().max(0.001)),
    );
    if let Some(ms) = look.delivery_p95_ms {
        line += &format!("  p95 {ms:.1} ms");
    }
    if look.errors > 0 {
        line += &format!("  {} errors", look.errors);
    }
    line.chars().take(width.saturating_sub(1)).collect()
}

/// A whole test in a line.
fn cycle(report: &Report) -> String {
    let measure = |name: &str| report.measures.get(name).copied().flatten();
    let mut line = format!("{:13} cycle {}", report.verdict.name(), report.load.cycle);
    for (name, what) in
        [("delivery.p95", "p95"), ("broadcast.p95", "last client p95"), ("rtt.p95", "rtt p95")]
    {
        if let Some(ms) = measure(name) {
            line += &format!("  {what} {ms:.1} ms");
        }
    }
    if let Some(uptime) = measure("uptime") {
        line += &format!("  uptime {uptime:.1} %");
    }
    let failed = report.criteria.iter().filter(|judged| judged.verdict == Verdict::Fail);
    let failed: Vec<&str> = failed.map(|judged| judged.criterion.as_str()).collect();
    if !failed.is_empty() {
        line += &format!("  not met: {}", failed.join(", "));
    }
    line
}

fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

fn rate(per_second: f64) -> String {
    if per_second >= 10_000.0 {
        format!("{:.0}k msg/s", per_second / 1000.0)
    } else {
        format!("{per_second:.0} msg/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_reaches_the_last_column() {
        let look = Look {
            phase: "ramp-up 25 %",
            cycle: 1,
            elapsed: Duration::from_secs(61),
            total: Duration::from_secs(7200),
            live: 1000,
            planned: 1000,
            messages: 1_000_000,
            interval: Duration::from_secs(2),
            delivery_p95_ms: Some(1.25),
            errors: 3,
            sample: None,
        };
        let whole = line(&look, usize::MAX);
        assert_eq!(
            whole,
            "[                    ] 1m01s/2h00m  ramp-up 25 %  1000/1000 live  500k msg/s  p95 1.2 ms  3 errors"
        );
        assert!((20..200).all(|width| line(&look, width).len() < width));
    }
}

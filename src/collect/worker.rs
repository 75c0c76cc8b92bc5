//! Running the collectors so that none of them can hold up the others.
//!
//! [`Workers`] owns the collectors. In each pass all that are due run one after another on one thread, and their
//! pages lie ready in [`Workers::page`]. What goes wrong stays with the one it happened to:
//!
//! - One that outstays its **grace** is left on its thread, the rest go on with a new one (see [`super::lane`]).
//!   It is *busy*: until it returns it is not started again, so a collector never blocks more than one thread.
//!   What it brings then is used in the next pass.
//! - While it is busy its last values stand. Once it is past the **deadline** it has failed
//!   (`node_scrape_collector_success` 0); its values stand for [`KEPT_PASSES`] more passes and are then
//!   withdrawn. Grace and deadline differ because they answer different questions: grace is how long everybody
//!   waits for one, the deadline how long one's old values may pass for current.
//! - One that panics has no page in that pass and rests, a second at first, twice as long after each further
//!   panic up to a minute.
//!
//! A change of state is logged once, not in every pass.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::lane::{Done, Job, Lane};
use super::{CollectError, Collector, Failing};
use crate::clock::Moment;
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// For how many passes after its deadline the last values of a busy collector still stand.
pub const KEPT_PASSES: u32 = 2;

/// How long a collector rests after a panic at most: long enough to cost nothing, short enough that a cause
/// which passes is noticed while someone still looks.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What to do with the series of a collector after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Read [`Workers::page`]; series that are not on it are gone.
    New,
    /// Leave them as they are: the collector is still busy.
    Keep,
    /// They are gone: it has been busy for too long, or it rests after a panic.
    Withdraw,
}

/// How a collector fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has not answered yet.
    Unknown,
    /// All is well.
    Good,
    /// This host has no such thing; with the reason.
    NoData(String),
    /// It reported an error, and what it could besides; with the reason.
    Failed(String),
    /// It has been busy for longer than the deadline.
    Late,
    /// It panicked; with the message.
    Panicked(String),
}

impl Status {
    /// The word for the label `reason`; none when all is well.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Status::Unknown | Status::Good => None,
            Status::NoData(_) => Some("no_data"),
            Status::Failed(_) => Some("error"),
            Status::Late => Some("deadline"),
            Status::Panicked(_) => Some("panic"),
        }
    }
}

/// What one pass brought for one collector that was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Place of the collector in the list [`Workers::new`] was given.
    pub index: usize,
    /// Its name.
    pub name: &'static str,
    /// What becomes of its series.
    pub content: Content,
    /// How it fared. Still the status before while it is busy and within the deadline.
    pub status: Status,
    /// How long it ran when it last returned.
    pub duration: Duration,
}

/// All collectors, and the thread they run on. Dropping it ends the thread.
pub struct Workers {
    seats: Vec<Seat>,
    lane: Lane<Run>,
    home: Receiver<Done<Run>>,
    /// The last of those that were started together is home. Being woken once and not for each spares a pass
    /// a change of thread per collector.
    all_home: Arc<Notify>,
    deadline: Duration,
}

/// A collector and its page, which travel to the thread and back.
struct Run {
    collector: Box<dyn Collector>,
    page: PageWriter,
    /// The last of those that were started together?
    last: bool,
}

impl Job for Run {
    type Answer = Result<(), CollectError>;

    fn run(&mut self) -> Self::Answer {
        self.page.clear();
        self.collector.collect(&mut self.page)
    }
}

/// What is known of a collector while it runs elsewhere.
struct Seat {
    name: &'static str,
    run: Option<Run>,
    /// When it was last started.
    started: Moment,
    /// Passes in which it was busy past the deadline.
    late_passes: u32,
    status: Status,
    duration: Duration,
    panics: u64,
    /// Panics without an answer in between.
    panics_in_a_row: u32,
    /// Monotonic time until which it rests.
    rests_until: Option<Duration>,
    /// It came home and its page was not yet handed out.
    fresh: bool,
}

impl Workers {
    /// Collectors, each with `deadline` to answer.
    #[must_use]
    pub fn new(collectors: Vec<Box<dyn Collector>>, deadline: Duration) -> Self {
        let (sender, home) = channel();
        let all_home = Arc::new(Notify::new());
        let tell = Arc::clone(&all_home);
        let lane = Lane::new("collect", move |done: Done<Run>| {
            let last = done.job.last;
            // The receiver is gone only when the workers are dropped, and then nobody wants the answer.
            drop(sender.send(done));
            if last {
                tell.notify_one();
            }
        });
        let seats = collectors.into_iter().map(Seat::new).collect();
        Workers { seats, lane, home, all_home, deadline }
    }

    /// Names of the collectors, by index.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.seats.iter().map(|seat| seat.name)
    }

    /// The page that a collector wrote last; empty while it is busy.
    #[must_use]
    pub fn page(&self, index: usize) -> &[u8] {
        self.seats[index].run.as_ref().map_or(&[], |run| run.page.as_bytes())
    }

    /// Lets the collectors with these indices write their pages. One that holds up the others for as long as
    /// `grace` says of it, or at most twice as long, is left to itself. One outcome for each, in the order of
    /// `due`, which must not name one twice.
    ///
    /// Cancel safe: what was started comes back in a later pass.
    pub async fn collect(
        &mut self,
        due: &[usize],
        now: Moment,
        grace: impl Fn(usize) -> Duration,
    ) -> Vec<Outcome> {
        self.take_all_home(now);
        let mut started = Vec::with_capacity(due.len());
        for &index in due {
            let seat = &mut self.seats[index];
            // The page of one that came home late is handed out before it is started again.
            if !seat.fresh && !seat.rests(now) && seat.run.is_some() {
                seat.started = now;
                started.push(index);
            }
        }
        if let Some(&last) = started.last() {
            let seats = &mut self.seats;
            self.lane.send(started.iter().filter_map(|&index| {
                let mut run = seats[index].run.take()?;
                run.last = index == last;
                Some((index as u64, run))
            }));
        }
        for index in started {
            self.wait_for(index, now, grace(index)).await;
        }
        due.iter().map(|&index| self.seats[index].outcome(index, now, self.deadline)).collect()
    }

    /// Waits until a collector is home or its grace is over.
    async fn wait_for(&mut self, index: usize, now: Moment, grace: Duration) {
        while self.seats[index].run.is_none() {
            let woken = timeout(grace, self.all_home.notified()).await;
            self.take_all_home(now);
            if woken.is_err() && self.seats[index].run.is_none() {
                return self.lane.abandon(index as u64);
            }
        }
    }

    fn take_all_home(&mut self, now: Moment) {
        while let Ok(done) = self.home.try_recv() {
            if let Some(seat) = usize::try_from(done.ticket).ok().and_then(|index| self.seats.get_mut(index))
            {
                seat.take_home(done, now);
            }
        }
    }

    /// Those that fail, in the order of the list.
    pub fn failing(&self) -> impl Iterator<Item = Failing> + '_ {
        self.seats.iter().filter_map(|seat| {
            let message = match &seat.status {
                Status::Unknown | Status::Good | Status::NoData(_) => return None,
                Status::Failed(message) | Status::Panicked(message) => message.clone(),
                Status::Late => String::new(),
            };
            Some(Failing { labels: Failing::collector(seat.name), reason: seat.status.reason()?, message })
        })
    }

    /// Writes how the collectors fared: `node_scrape_collector_duration_seconds` and
    /// `node_scrape_collector_success` as node_exporter does (0 too where there is no data),
    /// `gaugecast_collector_failed{reason}` and `gaugecast_collector_panics_total`.
    pub fn write_scrape_page(&self, page: &mut PageWriter) {
        let known = || self.seats.iter().filter(|seat| seat.status != Status::Unknown);
        let mut family = page.family(
            "node_scrape_collector_duration_seconds",
            Kind::Gauge,
            "node_exporter: Duration of a collector scrape.",
        );
        for seat in known() {
            family.sample(&[("collector", seat.name)], seat.duration.as_secs_f64());
        }
        let mut family = page.family(
            "node_scrape_collector_success",
            Kind::Gauge,
            "node_exporter: Whether a collector succeeded.",
        );
        for seat in known() {
            let success = f64::from(u8::from(seat.status == Status::Good));
            family.sample(&[("collector", seat.name)], success);
        }
        let mut family = page.family(
            "gaugecast_collector_failed",
            Kind::Gauge,
            "Collectors that have not succeeded: no_data, error, deadline or panic. The log has the details.",
        );
        for seat in known() {
            if let Some(reason) = seat.status.reason() {
                family.sample(&[("collector", seat.name), ("reason", reason)], 1.0);
            }
        }
        let mut family =
            page.family("gaugecast_collector_panics_total", Kind::Counter, "How often a collector panicked.");
        for seat in &self.seats {
            #[allow(clippy::cast_precision_loss)]
            family.sample(&[("collector", seat.name)], seat.panics as f64);
        }
    }
}

impl Seat {
    fn new(collector: Box<dyn Collector>) -> Self {
        Seat {
            name: collector.name(),
            run: Some(Run { collector, page: PageWriter::new(), last: false }),
            started: Moment { since_start: Duration::ZERO, unix_ms: 0 },
            late_passes: 0,
            status: Status::Unknown,
            duration: Duration::ZERO,
            panics: 0,
            panics_in_a_row: 0,
            rests_until: None,
            fresh: false,
        }
    }

    fn rests(&self, now: Moment) -> bool {
        self.rests_until.is_some_and(|until| now.since_start < until)
    }

    fn take_home(&mut self, done: Done<Run>, now: Moment) {
        let mut run = done.job;
        let status = match done.answer {
            Ok(Ok(())) => Status::Good,
            Ok(Err(CollectError::NoData(reason))) => Status::NoData(reason),
            Ok(Err(error)) => Status::Failed(error.to_string()),
            Err(panic) => {
                run.page.clear();
                let rest = Duration::from_secs(1 << self.panics_in_a_row.min(6)).min(LONGEST_REST);
                self.rests_until = Some(now.since_start + rest);
                self.panics += 1;
                self.panics_in_a_row += 1;
                Status::Panicked(panic)
            }
        };
        if !matches!(status, Status::Panicked(_)) {
            self.panics_in_a_row = 0;
            self.rests_until = None;
        }
        self.run = Some(run);
        self.duration = done.took;
        self.late_passes = 0;
        self.fresh = true;
        self.become_(status);
    }

    fn outcome(&mut self, index: usize, now: Moment, deadline: Duration) -> Outcome {
        let content = if std::mem::take(&mut self.fresh) {
            Content::New
        } else if self.run.is_some() {
            Content::Withdraw // it rests
        } else if now.since(&self.started) < deadline {
            Content::Keep
        } else {
            self.become_(Status::Late);
            self.late_passes += 1;
            if self.late_passes > KEPT_PASSES { Content::Withdraw } else { Content::Keep }
        };
        Outcome { index, name: self.name, content, status: self.status.clone(), duration: self.duration }
    }

    /// Takes on a status, and logs it if it is another kind than before.
    fn become_(&mut self, status: Status) {
        if std::mem::discriminant(&self.status) != std::mem::discriminant(&status) {
            let collector = self.name;
            match &status {
                Status::Unknown => {}
                Status::Good if self.status == Status::Unknown => {
                    tracing::debug!(collector, "collector works");
                }
                Status::Good => tracing::info!(collector, "collector works again"),
                Status::NoData(reason) => tracing::debug!(collector, reason, "collector has no data"),
                Status::Failed(reason) => tracing::warn!(collector, reason, "collector failed"),
                Status::Late => tracing::warn!(collector, "collector is past its deadline"),
                Status::Panicked(message) => tracing::error!(collector, message, "collector panicked"),
            }
        }
        self.status = status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const DEADLINE: Duration = Duration::from_secs(2);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Does what it is told, one word a pass; a pass without a word waits for one.
    struct Told {
        name: &'static str,
        words: mpsc::Receiver<Result<f64, CollectError>>,
    }

    impl Collector for Told {
        fn name(&self) -> &'static str {
            self.name
        }
        fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
            let word = self.words.recv().unwrap_or(Ok(f64::NAN));
            let value = *word.as_ref().unwrap_or(&-1.0);
            assert!(value != 13.0, "unlucky");
            page.single(self.name, Kind::Gauge, "", value);
            word.map(drop)
        }
    }

    fn told(name: &'static str) -> (mpsc::Sender<Result<f64, CollectError>>, Box<dyn Collector>) {
        let (tell, words) = mpsc::channel();
        (tell, Box::new(Told { name, words }))
    }

    fn at(seconds: f64) -> Moment {
        Moment { since_start: Duration::from_secs_f64(seconds), unix_ms: 0 }
    }

    fn text(workers: &Workers, index: usize) -> String {
        let page = String::from_utf8(workers.page(index).to_vec()).unwrap();
        page.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line};")).collect()
    }

    /// Waits for nobody but those that are known to answer.
    fn patient_with(index: usize) -> impl Fn(usize) -> Duration {
        move |other| if other == index { HOUR } else { Duration::ZERO }
    }

    #[tokio::test]
    async fn a_blocked_collector_holds_up_no_other_and_its_values_stand_two_passes_past_the_deadline() {
        let (stuck_tell, stuck) = told("stuck");
        let (tell, good) = told("good");
        let mut workers = Workers::new(vec![stuck, good], DEADLINE);
        stuck_tell.send(Ok(1.0)).unwrap();
        tell.send(Ok(1.0)).unwrap();
        workers.collect(&[0, 1], at(0.0), |_| HOUR).await;
        assert_eq!((text(&workers, 0), text(&workers, 1)), ("stuck 1;".into(), "good 1;".into()));

        let mut seen = Vec::new();
        for pass in 1..=6 {
            tell.send(Ok(f64::from(pass) + 1.0)).unwrap();
            let outcomes = workers.collect(&[0, 1], at(f64::from(pass)), patient_with(1)).await;
            assert_eq!(outcomes[1].content, Content::New);
            assert_eq!(text(&workers, 1), format!("good {};", pass + 1));
            seen.push((outcomes[0].content, outcomes[0].status.clone()));
        }
        use Content::{Keep, Withdraw};
        let late = Status::Late;
        assert_eq!(
            seen,
            [
                (Keep, Status::Good),
                (Keep, Status::Good),
                (Keep, late.clone()),
                (Keep, late.clone()),
                (Withdraw, late.clone()),
                (Withdraw, late),
            ]
        );

        stuck_tell.send(Ok(7.0)).unwrap();
        while workers.seats[0].run.is_none() {
            workers.take_all_home(at(7.0));
            tokio::task::yield_now().await;
        }
        let outcomes = workers.collect(&[0], at(7.0), |_| HOUR).await;
        assert_eq!((outcomes[0].content, &outcomes[0].status), (Content::New, &Status::Good));
        assert_eq!(text(&workers, 0), "stuck 7;", "what it brought late is what the next pass shows");
    }

    #[tokio::test]
    async fn a_panic_costs_one_collector_its_page_and_a_rest_that_doubles() {
        let (tell, unlucky) = told("unlucky");
        let mut workers = Workers::new(vec![unlucky], DEADLINE);
        for value in [13.0, 13.0, 5.0] {
            tell.send(Ok(value)).unwrap();
        }
        let mut seen = Vec::new();
        for second in 0..4 {
            let outcome = workers.collect(&[0], at(f64::from(second)), |_| HOUR).await.remove(0);
            seen.push((outcome.content, outcome.status.reason(), text(&workers, 0)));
        }
        let panicked = Some("panic");
        assert_eq!(
            seen,
            [
                (Content::New, panicked, String::new()),
                (Content::New, panicked, String::new()),
                (Content::Withdraw, panicked, String::new()),
                (Content::New, None, "unlucky 5;".into()),
            ]
        );
        assert_eq!(workers.seats[0].panics, 2);
    }

    #[tokio::test]
    async fn an_error_keeps_what_was_written_and_no_data_counts_as_no_success() {
        let (tell_bad, bad) = told("bad");
        let (tell_none, none) = told("none");
        let mut workers = Workers::new(vec![bad, none], DEADLINE);
        let format = CollectError::Format { path: "/proc/x".into(), reason: "odd".into() };
        tell_bad.send(Err(format)).unwrap();
        tell_none.send(Err(CollectError::NoData("not here".into()))).unwrap();
        let outcomes = workers.collect(&[0, 1], at(0.0), |_| HOUR).await;
        assert_eq!(outcomes[0].status, Status::Failed("/proc/x: odd".into()));
        assert_eq!(text(&workers, 0), "bad -1;");
        let mut page = PageWriter::new();
        workers.write_scrape_page(&mut page);
        let page = String::from_utf8(page.into_bytes()).unwrap();
        for line in [
            "node_scrape_collector_success{collector=\"bad\"} 0",
            "node_scrape_collector_success{collector=\"none\"} 0",
            "gaugecast_collector_failed{collector=\"none\",reason=\"no_data\"} 1",
            "gaugecast_collector_panics_total{collector=\"bad\"} 0",
        ] {
            assert!(page.lines().any(|have| have == line), "{line} in\n{page}");
        }
    }
}

//! The end of a server with many clients: they are told to go one after the other, and to come back at different
//! times, so that neither the goodbyes nor the next server's handshakes come all at once.
//!
//! Each connection owns the [`Turn`] it was given when it began. When the hub stops, each waits its own time of the
//! spread, being served meanwhile, and then says goodbye. Few clients are no storm, and whoever stops a server wants it
//! to end: the spread is [`EACH`] for every client, and no more than is set.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// What each client adds to the spread: 20 goodbyes a second, until the spread is as long as is set (100 clients
/// for 5 s).
const EACH: Duration = Duration::from_millis(50);

/// Over this time clients are spread that come back.
pub(super) const COME_BACK: Duration = Duration::from_secs(10);

/// Over how long so many clients are told to go, when `longest` is set.
pub(super) fn spread(longest: Duration, clients: usize) -> Duration {
    longest.min(EACH.saturating_mul(u32::try_from(clients).unwrap_or(u32::MAX)))
}

/// Ready when this connection is to say goodbye: after the share `turn` (0 to 1) of the spread of as many clients as
/// there are when `stop` is told. Cancel safe only if the same future is polled on.
pub(super) async fn turn(
    stop: &CancellationToken,
    longest: Duration,
    turn: f64,
    clients: impl Fn() -> usize,
) {
    stop.cancelled().await;
    tokio::time::sleep(spread(longest, clients()).mul_f64(turn.clamp(0.0, 1.0))).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[test]
    fn few_clients_are_told_at_once_and_many_within_the_time_that_is_set() {
        const LONGEST: Duration = Duration::from_secs(5);
        let spread = |clients| spread(LONGEST, clients);
        assert_eq!([0, 1, 20].map(spread), [0, 50, 1000].map(Duration::from_millis));
        assert_eq!([100, 10_000, usize::MAX].map(spread), [LONGEST; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn f52_goodbyes_are_spread_over_the_time_that_is_set() {
        let (stop, begun) = (CancellationToken::new(), Instant::now());
        let turns = (0..1000_u32).map(|i| {
            let stop = &stop;
            async move {
                turn(stop, Duration::from_secs(5), f64::from(i) / 1000.0, || 1000).await;
                begun.elapsed()
            }
        });
        let turns = futures_util::future::join_all(turns);
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.cancel();
        let ended = turns.await;
        for second in 60..65 {
            let within = ended.iter().filter(|at| at.as_secs() == second).count();
            assert!((190..=210).contains(&within), "{within} in second {second}");
        }
    }
}

//! The clients. What they do is random by their number, so the same in every run as far as time allows.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::server::{INTERVAL, STALL};
use super::shared::{Goal, Selection, Shared};
use super::state::{State, Took};

/// What a client is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Steady,
    Visitor,
    Cut,
    Slow,
    Stalled,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [Kind::Steady, Kind::Visitor, Kind::Cut, Kind::Slow, Kind::Stalled];

    /// Of the client of this number.
    pub(crate) fn of(number: u64) -> Self {
        match number % 20 {
            0..12 => Kind::Steady,
            12..16 => Kind::Visitor,
            16..18 => Kind::Cut,
            18 => Kind::Slow,
            _ => Kind::Stalled,
        }
    }

    /// Those who read too slowly ask for all series, and one who does not that their states be known.
    fn selection(self, number: u64) -> Selection {
        usize::from(matches!(self, Kind::Slow | Kind::Stalled) || number == 0)
    }
}

/// Random numbers: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.roll(to - from))
    }
}

/// How a connection ended.
#[derive(Debug)]
enum Ended {
    /// As the client wished.
    Left,
    /// The goal is reached.
    Done,
    /// The server closed, with this code, or cut it (0).
    Closed(u16),
    /// It did not begin.
    Failed,
    /// Something that must not be.
    Fault(String),
}

/// A client's life, until the goal is reached.
pub(crate) async fn live(shared: Arc<Shared>, kind: Kind, number: u64) {
    let mut dice = Dice(number);
    let mut goal = shared.goal();
    sleep(dice.millis(0, 3_000)).await;
    let mut state = State::default();
    while goal.borrow().is_none() {
        let ended = visit(&shared, kind, number, &mut state, &mut dice).await;
        match ended {
            Ended::Done => break,
            Ended::Left if kind == Kind::Cut => _ = shared.cuts.fetch_add(1, Relaxed),
            Ended::Left => {
                shared.gone(&mut state);
                state = State::default();
            }
            // To be told why needs someone who reads; otherwise the connection just breaks.
            Ended::Closed(0 | 4408 | 4409) if matches!(kind, Kind::Slow | Kind::Stalled) => {
                shared.sent_away.fetch_add(1, Relaxed);
            }
            Ended::Failed => _ = shared.failed.fetch_add(1, Relaxed),
            Ended::Closed(code) => shared.fault(format!("{kind:?}: the server closed with {code}")),
            Ended::Fault(what) => {
                shared.fault(format!("{kind:?}: {what}"));
                shared.gone(&mut state);
                state = State::default();
            }
        }
        tokio::select! {
            () = sleep(dice.millis(0, 500)) => {}
            _ = goal.changed() => {}
        }
    }
    shared.gone(&mut state);
}

/// One short visit, so that the server has had one.
pub(crate) async fn visit_once(shared: Arc<Shared>, kind: Kind) {
    let (mut dice, mut state) = (Dice(0), State::default());
    let goal = Some(Goal { offset: 1, event: 0 });
    let ended = converse(&shared, kind, 0, &mut state, &mut dice, goal).await;
    assert!(matches!(ended, Ended::Done | Ended::Left), "a first visit fails: {ended:?}");
}

async fn visit(shared: &Shared, kind: Kind, number: u64, state: &mut State, dice: &mut Dice) -> Ended {
    converse(shared, kind, number, state, dice, None).await
}

async fn connect(
    shared: &Shared,
    kind: Kind,
    rate: Option<u64>,
) -> Result<WebSocketStream<Throttled>, Error> {
    let socket = TcpSocket::new_v4()?;
    if matches!(kind, Kind::Slow | Kind::Stalled) {
        socket.set_recv_buffer_size(8 << 10)?;
    }
    let socket = socket.connect(shared.address).await?;
    let config = WebSocketConfig::default().read_buffer_size(4 << 10);
    let url = format!("ws://{}/api/v1/stream/ws", shared.address);
    let (stream, _) =
        client_async_with_config(url, Throttled { socket, rate, pause: None }, Some(config)).await?;
    Ok(stream)
}

/// One connection from its begin to its end.
async fn converse(
    shared: &Shared,
    kind: Kind,
    number: u64,
    state: &mut State,
    dice: &mut Dice,
    mut until: Option<Goal>,
) -> Ended {
    let selection = kind.selection(number);
    // Of all series some 27 kB a second come.
    let rate = (kind == Kind::Slow && until.is_none()).then(|| 4_000 + dice.roll(16_000));
    let mut stream = match connect(shared, kind, rate).await {
        Ok(stream) => stream,
        // An answer is the server's own decision, however busy the machine is.
        Err(Error::Http(answer)) => return Ended::Fault(format!("refused with {}", answer.status())),
        Err(_) => return Ended::Failed,
    };
    shared.connections.fetch_add(1, Relaxed);
    let stay = match kind {
        Kind::Steady => Duration::from_hours(24),
        Kind::Visitor => dice.millis(1_000, 15_000),
        Kind::Cut => dice.millis(20, 8_000),
        Kind::Slow => dice.millis(15_000, 60_000),
        Kind::Stalled => dice.millis(500, 5_000),
    };
    let mut leave = pin!(sleep_until(Instant::now() + stay));
    let mut goals = shared.goal();
    let mut lie = false;
    loop {
        if until.is_none() && goals.borrow_and_update().is_some() {
            until = *goals.borrow();
            if matches!(kind, Kind::Slow | Kind::Stalled) {
                return Ended::Done;
            }
            leave.as_mut().reset(Instant::now() + Duration::from_hours(24));
        }
        let message = tokio::select! {
            message = stream.next() => message,
            () = &mut leave => match kind {
                Kind::Stalled => {
                    // Nothing is read; sometimes for longer than the server bears.
                    let pause = dice.millis(1_000, 3 * u64::try_from(STALL.as_millis()).unwrap());
                    leave.as_mut().reset(Instant::now() + pause + stay);
                    tokio::select! {
                        () = sleep(pause) => {}
                        _ = goals.changed() => {}
                    }
                    continue;
                }
                // One who reads slowly has no time for a goodbye.
                Kind::Cut | Kind::Slow => return Ended::Left,
                _ => {
                    let _ = stream.close(None).await;
                    while let Some(Ok(_)) = stream.next().await {}
                    return Ended::Left;
                }
            },
            _ = goals.changed() => continue,
        };
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(close))) => {
                return Ended::Closed(close.map_or(1005, |close| close.code.into()));
            }
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return Ended::Closed(0),
        };
        shared.frames.fetch_add(1, Relaxed);
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&text) else {
            return Ended::Fault(format!("not JSON: {text}"));
        };
        let (kind_of_message, had) = (message["type"].clone(), state.offset);
        if kind_of_message == "bye" {
            continue;
        }
        match state.take(message) {
            Err(what) => return Ended::Fault(what),
            Ok(Took::Nothing) => {}
            Ok(Took::Reached) => shared.reached(selection, state),
            Ok(Took::Event(event)) => shared.heard_of(event),
        }
        if kind_of_message == "welcome" {
            let resume = json!({"epoch": state.epoch, "seq": state.seq()});
            let hello = json!({"type": "hello", "client": format!("soak {kind:?}"), "resume": resume});
            let mut ask = json!({
                "type": "subscribe", "sub": "s", "interval": INTERVAL,
                "match": [if selection == 1 { ALL } else { FEW }],
            });
            lie = had.is_some() && dice.roll(10) == 0;
            if let Some(offset) = had {
                ask["resume"] = match (lie, dice.roll(2)) {
                    (false, _) => json!({"epoch": state.epoch, "offset": offset}),
                    (true, 0) => json!({"epoch": "00000000000000ff", "offset": offset}),
                    (true, _) => json!({"epoch": state.epoch, "offset": offset + 1_000_000}),
                };
            }
            for message in [hello, ask] {
                if stream.send(Message::text(message.to_string())).await.is_err() {
                    return Ended::Closed(0);
                }
            }
        }
        if kind_of_message == "subscribed" && had.is_some() {
            if lie && state.recovered {
                return Ended::Fault("went on from where nobody can have been".into());
            }
            shared.recovered.fetch_add(u64::from(state.recovered), Relaxed);
        }
        let is_there = |goal: Goal| {
            state.offset >= Some(goal.offset) && (!state.tells_events || state.seq() >= Some(goal.event))
        };
        if until.is_some_and(is_there) {
            if matches!(kind, Kind::Slow | Kind::Stalled) {
                return Ended::Done;
            }
            let _ = stream.close(None).await;
            while let Some(Ok(_)) = stream.next().await {}
            return Ended::Done;
        }
    }
}

const ALL: &str = "gaugecast_synthetic_value";
const FEW: &str = "gaugecast_synthetic_value{series=~\".*7\"}";

/// A socket from which so many bytes a second are read.
struct Throttled {
    socket: TcpStream,
    rate: Option<u64>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Throttled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(rate) = self.rate else { return Pin::new(&mut self.socket).poll_read(cx, buffer) };
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let mut few = [0; 512];
        let mut few = ReadBuf::new(&mut few[..buffer.remaining().min(512)]);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut few))?;
        buffer.put_slice(few.filled());
        let pause = Duration::from_micros(few.filled().len() as u64 * 1_000_000 / rate);
        self.pause = Some(Box::pin(sleep(pause)));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Throttled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

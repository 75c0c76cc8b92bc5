//! Two writers and one socket.

use std::future::poll_fn;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::events::Recent;
use super::super::frame::{self, Frames};
use super::super::performance::Figures;
use super::*;
use crate::registry::Registry;

fn now() -> Moment {
    Moment { since_start: Duration::from_secs(1), unix_ms: 0 }
}

/// A socket and its peer.
pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    (near, far)
}

/// A connection whose session has nothing to say by itself.
pub(crate) fn link(socket: Socket) -> Arc<Link> {
    let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
    let nobody = ([127, 0, 0, 1], 1).into();
    let figures = Arc::new(Figures::new(String::new(), nobody, "websocket", None, now()));
    let (second, none) = (Duration::from_secs(1), Round::default());
    let mut session = Session::new(&Arc::default(), second, &metrics, figures, &none, &now());
    session.receive(r#"{"type":"hello"}"#, &now(), &mut Outbox::default());
    Arc::new(Link::new(socket, session, metrics))
}

/// A round with these events, numbered from 1.
pub(crate) fn round(events: &[Frames]) -> Round {
    Round { events: Recent::of(events), ..Round::default() }
}

fn sweep(link: &Link, round: &Round) -> Swept {
    link.sweep(round, &now(), &mut Tally::default(), true)
}

/// Is the task to take its turn?
async fn called(link: &Link) -> bool {
    poll_fn(|context| Poll::Ready(link.poll_called(context).is_ready())).await
}

#[tokio::test]
async fn a_sweep_writes_at_once_and_leaves_the_rest_to_the_task_in_order() {
    let (near, mut far) = tcp().await;
    rustix::net::sockopt::set_socket_send_buffer_size(&near, 4096).unwrap();
    let link = link(Socket::Tcp(near));
    let [short, long, last] = [10, 8 << 20, 20].map(|len| frame::text("x".repeat(len).as_bytes()));
    assert_eq!(sweep(&link, &round(std::slice::from_ref(&short))), Swept::Stays);
    assert!(link.line().outbox.is_empty() && !called(&link).await, "nothing is left to do");
    assert_eq!(sweep(&link, &round(&[short.clone(), long.clone()])), Swept::Stays);
    assert!(called(&link).await);
    let waits = link.line().outbox.len();
    assert!((1..long.bytes.len()).contains(&waits), "{waits}");
    assert_eq!(link.metrics.queue_bytes.get(), whole(waits));
    let all = round(&[short.clone(), long.clone(), last.clone()]);
    assert_eq!(sweep(&link, &all), Swept::Stays);
    assert_eq!(link.line().outbox.len(), waits, "nothing is added while something waits");
    let mut conduit = Conduit::new(Arc::clone(&link), 1000);
    conduit.write_all(b"pong").await.unwrap();

    let mut got = vec![0; short.bytes.len() + long.bytes.len() + 4];
    let (drained, read) = tokio::join!(link.drained(), far.read_exact(&mut got));
    drained.unwrap();
    read.unwrap();
    assert_eq!(got, [&short.bytes[..], &long.bytes[..], b"pong"].concat());
    assert_eq!(link.metrics.queue_bytes.get(), 0);
    let turn = link.line().turn(&all, None, &now(), &link.metrics);
    assert!(matches!(turn, Turn::Wait { .. }) && !called(&link).await);
    assert_eq!(link.line().outbox.len(), last.bytes.len(), "then the client is due again");
}

#[tokio::test]
async fn what_is_no_bare_socket_is_written_by_its_task_alone() {
    let (near, mut far) = tokio::io::duplex(7);
    let link = link(Socket::other(near));
    let event = frame::text(b"a longer event than seven bytes");
    assert_eq!(sweep(&link, &round(std::slice::from_ref(&event))), Swept::Stays);
    assert!(called(&link).await);
    assert_eq!(link.line().outbox.len(), event.bytes.len());
    let mut got = vec![0; event.bytes.len()];
    let (drained, read) = tokio::join!(link.drained(), far.read_exact(&mut got));
    drained.unwrap();
    read.unwrap();
    assert_eq!(got, event.bytes);
}

#[tokio::test]
async fn nothing_follows_a_close_frame() {
    let (near, mut far) = tcp().await;
    let link = link(Socket::Tcp(near));
    let close = frame::close(1001, "bye");
    link.begin_close();
    link.line().outbox.push(close.clone());
    link.drained().await.unwrap();
    assert_eq!(sweep(&link, &round(&[frame::text(b"late")])), Swept::Leaves);
    Conduit::new(Arc::clone(&link), 1).shutdown().await.unwrap();
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, close.bytes);
}

#[tokio::test]
async fn a_client_whose_task_is_at_work_is_left_for_later() {
    let (near, _far) = tcp().await;
    let link = link(Socket::Tcp(near));
    let line = link.line();
    assert_eq!(link.sweep(&Round::default(), &now(), &mut Tally::default(), false), Swept::Taken);
    drop(line);
    assert_eq!(link.sweep(&Round::default(), &now(), &mut Tally::default(), false), Swept::Stays);
}

#[tokio::test]
async fn the_lag_is_counted_by_frame_and_client_when_the_kernel_has_it() {
    let (near, _far) = tcp().await;
    let link = link(Socket::Tcp(near));
    let mut tally = Tally::default();
    for commits in [&[1, 2][..], &[1, 2], &[3]] {
        tally.parcel = Parcel::of(commits.iter().map(|ms| Duration::from_millis(*ms)));
        tally.arrived(&link.metrics, &now());
    }
    assert_eq!(
        link.metrics.delivered_frames(),
        4,
        "clients in a row that were due the same are counted together"
    );
    tally.publish(&link.metrics, &now());
    assert_eq!(link.metrics.delivered_frames(), 5);
    tally.publish(&link.metrics, &now());
    assert_eq!(link.metrics.delivered_frames(), 5);
}

#[tokio::test]
async fn reading_without_a_message_ever_ending_is_an_error() {
    let (near, mut far) = tokio::io::duplex(100);
    let mut conduit = Conduit::new(link(Socket::other(near)), 20);
    let mut read = async |bytes: &[u8]| {
        far.write_all(bytes).await.unwrap();
        let read =
            conduit.read_exact(&mut vec![0; bytes.len()]).await.map(|_| ()).map_err(|error| error.kind());
        (read, conduit.unfinished(), conduit.begins())
    };
    // Fragments and pongs without payload, of six bytes each.
    let [first, next, last, pong] = [0x01, 0x00, 0x80, 0x8a].map(|first| [first, 0x80, 0, 0, 0, 0]);
    assert_eq!(read(&first).await, (Ok(()), Some(1), true));
    assert_eq!(read(&next).await, (Ok(()), Some(1), false), "its begin is told once");
    assert_eq!(read(&last).await, (Ok(()), None, false));
    assert_eq!(read(&first).await, (Ok(()), Some(2), true));
    assert_eq!(read(&pong).await, (Ok(()), Some(2), false));
    assert_eq!(read(&next).await, (Ok(()), Some(2), false));
    assert_eq!(read(&pong).await.0, Err(ENDLESS));
}

#[tokio::test]
async fn draining_waits_for_the_socket_and_wakes_when_it_takes_more() {
    let (near, far) = tokio::io::duplex(7);
    let link = link(Socket::other(near));
    link.line().outbox.append(Bytes::from_static(&[0; 20]));
    let first = poll_fn(|context| Poll::Ready(link.poll_drain(context))).await;
    assert!(matches!(first, Poll::Ready(Ok(7))), "{first:?}");
    assert!(link.drained().now_or_never().is_none());
    drop(far);
    assert!(link.drained().await.is_err());
}

//! The load client and the floor of `benches/stream` judge, so they are judged too.

#![allow(dead_code, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../benches/stream/client.rs"]
mod client;
#[path = "../../benches/stream/floor.rs"]
mod floor;

use std::net::Ipv4Addr;
use std::time::Duration;

use client::{Counter, Seen, TIMESTAMP, now_us, sources};
use floor::Floor;
use gaugecast::loadtest::wire::Reader;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn text(payload: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(payload.as_bytes());
    frame
}

fn delta(prev: u64, offset: u64, sent_us: u64) -> Vec<u8> {
    let seconds = sent_us as f64 / 1e6;
    text(&format!(
        r#"{{"type":"delta","channel":1,"offset":{offset},"prev":{prev},"t":1,"values":[[7,{seconds}],[1,2]]}}"#
    ))
}

fn read(frames: &[Vec<u8>], piece: usize) -> Seen {
    let mut counter = Counter::new();
    counter.seen = Seen::begin().unwrap();
    let (mut reader, mut had) = (Reader::default(), None);
    for bytes in frames.concat().chunks(piece) {
        counter.feed(&mut reader, &mut had, bytes, |_| Ok(())).unwrap();
    }
    counter.seen
}

fn schema() -> Vec<u8> {
    text(&format!(r#"{{"type":"schema","channel":1,"series":[{{"id":7,"name":"{TIMESTAMP}"}}]}}"#))
}

#[test]
fn deltas_are_counted_however_their_bytes_are_cut() {
    let frames = [schema(), delta(4, 5, 1), delta(5, 6, 1), delta(6, 7, 1)];
    for piece in 1..400 {
        let seen = read(&frames, piece);
        assert_eq!((seen.deltas, seen.gaps, seen.conflated), (3, 0, 0), "pieces of {piece}");
    }
}

#[test]
fn a_hole_is_a_gap_and_a_long_step_is_not() {
    let seen = read(&[delta(4, 5, 1), delta(5, 9, 1), delta(10, 11, 1)], 1000);
    assert_eq!((seen.gaps, seen.conflated), (1, 3));
    let snapshot = text(r#"{"type":"snapshot","channel":1,"epoch":"0","offset":20,"t":1,"values":[]}"#);
    let seen = read(&[delta(4, 5, 1), snapshot, delta(20, 21, 1)], 1000);
    assert_eq!((seen.gaps, seen.conflated), (0, 15));
}

#[test]
fn latency_is_from_the_time_stamp_to_now() {
    let seen = read(&[schema(), delta(1, 2, now_us() - 3_000_000)], 1000);
    assert!((3000.0..60_000.0).contains(&seen.quantile_ms(0.5)), "{} ms", seen.quantile_ms(0.5));
    assert_eq!(read(&[delta(1, 2, 1)], 1000).latency.unwrap().len(), 0, "without a schema there is none");
}

#[test]
fn what_is_no_frame_of_a_server_is_an_error() {
    let feed = |bytes: &[u8]| Counter::new().feed(&mut Reader::default(), &mut None, bytes, |_| Ok(()));
    for bytes in [[0x81, 0x80, 0], [0xc1, 1, 0], [0x83, 1, 0]] {
        assert!(feed(&bytes).is_err(), "{bytes:x?}");
    }
    let refusal = text(r#"{"type":"error","code":"bad_interval"}"#);
    assert!(feed(&refusal).is_err());
}

#[test]
fn pings_are_answered() {
    let mut sent = Vec::new();
    let send = |bytes: &[u8]| {
        sent = bytes.to_vec();
        Ok(())
    };
    Counter::new().feed(&mut Reader::default(), &mut None, &[0x89, 1, b'x'], send).unwrap();
    assert_eq!(sent, [0x8a, 0x81, 0, 0, 0, 0, b'x']);
}

#[test]
fn more_connections_than_half_the_ports_come_from_more_addresses() {
    assert_eq!(sources(1).unwrap(), [Ipv4Addr::LOCALHOST]);
    assert!(sources(40_000).unwrap().len() > 1);
    assert!(sources(100_000_000).is_err());
}

#[test]
fn messages_have_the_length_that_is_asked_for() {
    for bytes in [200, 201, 1026, 4112] {
        let floor = Floor { clients: 1, bytes, period: Duration::from_millis(2), sweep: None };
        let (mut first, mut later) = (Vec::new(), Vec::new());
        floor.message(&mut first, 0, 1_700_000_000_000_000);
        floor.message(&mut later, 99_999, 1_700_000_000_000_000);
        assert_eq!((first.len(), later.len()), (bytes, bytes));
        assert!(serde_json::from_slice::<serde_json::Value>(&later[4..]).is_ok());
    }
}

#[test]
fn arguments_come_back_as_they_were() {
    for sweep in [None, Some(Duration::from_millis(10))] {
        let floor = Floor { clients: 3, bytes: 200, period: Duration::from_millis(2), sweep };
        let back = Floor::from_args(&floor.to_args()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{floor:?}"));
    }
    assert!(Floor::from_args(&["1".into()]).is_err());
}

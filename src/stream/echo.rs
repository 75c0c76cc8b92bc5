//! A WebSocket that sends back what it gets, over the very code that serves the stream: the handshake, tungstenite
//! on its [`Conduit`](super::link::Conduit), the link with its outbox. It is no part of the server. Judges of WebSocket
//! endpoints ask for an echo; `tests/judges/echo.rs` is the program that gives them one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use tokio_tungstenite::tungstenite::Message;

use super::config::Config;
use super::frame::{self, Frames};
use super::handshake::Handshake;
use super::hub::Round;
use super::link::{Link, Socket};
use super::metrics::Metrics;
use super::performance::Figures;
use super::session::Session;
use super::websocket::{Happened, accept, answer_close, fault, leave, next, unwrap};
use crate::clock::Clock;
use crate::registry::Registry;

/// Answers a request like [`upgrade`](super::upgrade), with an echo in the place of the stream. Messages may have up
/// to `max_message` bytes. Must be called on the tokio runtime, which the connection does not outlive.
pub fn echo<B>(mut request: Request<B>, max_message: usize) -> Response<Full<Bytes>> {
    let handshake = match Handshake::check(&request) {
        Ok(handshake) => handshake,
        Err(refusal) => return refusal.response(),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let config = Config { max_message, ..Config::default() };
            let (socket, ahead, _held) = unwrap(upgraded, config.send_buffer);
            serve(socket, ahead, config).await;
        }
    });
    handshake.response()
}

async fn serve(socket: Socket, ahead: Bytes, config: Config) {
    let (link, config) = link(socket, config);
    let mut stream = accept(&link, ahead, &config).await;
    let say = |frames: Frames| link.line().outbox.push(frames);
    loop {
        let reads = link.line().outbox.len() <= config.max_message;
        match next(&mut stream, &link, reads).await {
            Happened::Turn => {}
            Happened::Gone => return,
            Happened::Failed(error) => {
                if let Some(close) = fault(&error) {
                    link.begin_close();
                    say(frame::close(close.code(), close.reason()));
                    leave(&mut stream, &link).await;
                }
                return;
            }
            Happened::Message(Message::Close(_)) => return answer_close(&mut stream, &link).await,
            Happened::Message(Message::Text(text)) => say(frame::text(text.as_bytes())),
            Happened::Message(Message::Binary(bytes)) => say(frame::binary(&bytes)),
            Happened::Message(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
        }
    }
}

/// A connection whose session is never asked.
fn link(socket: Socket, config: Config) -> (Arc<Link>, Arc<Config>) {
    let (config, now) = (Arc::new(config), Clock::start().now());
    let metrics = Metrics::register(&Registry::new()).expect("nothing else is in a new registry");
    let metrics = Arc::new(metrics);
    let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
    let figures = Arc::new(Figures::new(String::new(), nobody, "websocket", None, now));
    let second = Duration::from_secs(1);
    let session = Session::new(&config, second, &metrics, figures, &Round::default(), &now);
    (Arc::new(Link::new(socket, session, metrics)), config)
}

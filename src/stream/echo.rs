//! A WebSocket that sends back what it gets, over the very code that serves the stream: the handshake, tungstenite
//! on its [`Conduit`](super::outbox::Conduit), the outbox. It is no part of the server. Judges of WebSocket
//! endpoints ask for an echo; `tests/judges/echo.rs` is the program that gives them one.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;

use super::config::Config;
use super::frame;
use super::handshake::Handshake;
use super::websocket::{Happened, accept, answer_close, fault, leave, next};

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
            serve(TokioIo::new(upgraded), &Config { max_message, ..Config::default() }).await;
        }
    });
    handshake.response()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(socket: S, config: &Config) {
    let mut stream = accept(socket, config).await;
    loop {
        let reads = stream.get_ref().outbox.len() <= config.max_message;
        match next(&mut stream, reads).await {
            Happened::Written => {}
            Happened::Gone => return,
            Happened::Failed(error) => {
                if let Some(close) = fault(&error) {
                    stream.get_mut().outbox.push(frame::close(close.code(), close.reason()));
                    leave(&mut stream).await;
                }
                return;
            }
            Happened::Message(message) => {
                stream.get_mut().message_ended();
                match message {
                    Message::Text(text) => stream.get_mut().outbox.push(frame::text(text.as_bytes())),
                    Message::Binary(bytes) => stream.get_mut().outbox.push(frame::binary(&bytes)),
                    Message::Close(_) => return answer_close(&mut stream).await,
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            }
        }
    }
}

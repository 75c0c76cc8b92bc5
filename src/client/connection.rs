//! The socket: connects, drives the [`Conversation`], waits, and comes back.
//!
//! Everything happens inside [`Client::next`], in the caller's task: there is no task to end. That also means that
//! pings are answered only while someone waits for the next event. `next` is cancel safe: what it was at goes on in
//! the next call.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::conversation::{AlreadySubscribed, Conversation, Event, Lost, Subscription};
use super::model::Model;
use super::target::{BadTarget, Target};
use super::{Backoff, Options, random};
use crate::stream::protocol::SUBPROTOCOL;

/// Sleeps are cut here, so that no setting can overflow a point in time.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Read ahead: a frame of some hundred series.
const READ_BUFFER: usize = 16 << 10;

/// Why a first connection cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The text does not say where.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// It is not there, or does not let us in.
    #[error("cannot connect to {target}: {why}")]
    Failed {
        /// Where to.
        target: Target,
        /// Why not.
        why: Lost,
    },
}

/// A connection to a server, and the series it has told of. See the [module](super).
#[derive(Debug)]
pub struct Client {
    target: Target,
    options: Options,
    conversation: Conversation,
    backoff: Backoff,
    start: Instant,
    link: Link,
}

#[derive(Debug)]
enum Link {
    Up(Box<WebSocketStream<TcpStream>>),
    /// Tried again at this time.
    Down(Instant),
    /// For good.
    Over,
}

/// Connects to a server: `host:port`, `http://…` or `ws://…` (see [`Target::parse`]). From then on the client comes
/// back by itself. Must be called on a tokio runtime.
///
/// # Errors
/// [`ConnectError`] when this first connection cannot be had.
pub async fn connect(target: &str, options: Options) -> Result<Client, ConnectError> {
    let target = Target::parse(target)?;
    let conversation = Conversation::new(&options.name, options.events.as_deref(), options.max_series);
    let backoff = Backoff::new(options.shortest_wait, options.longest_wait);
    let start = Instant::now();
    let mut client = Client { target, options, conversation, backoff, start, link: Link::Over };
    match client.dial().await {
        Ok(()) => Ok(client),
        Err(why) => Err(ConnectError::Failed { target: client.target, why }),
    }
}

impl Client {
    /// Asks for series, now or when the connection stands again. What comes is told by [`Client::next`].
    ///
    /// # Errors
    /// [`AlreadySubscribed`] when the name of the subscription is in use.
    pub fn subscribe(&mut self, subscription: Subscription) -> Result<(), AlreadySubscribed> {
        self.conversation.subscribe(subscription)
    }

    /// Ends a subscription; its model is gone. False if there is none of this name.
    pub fn unsubscribe(&mut self, sub: &str) -> bool {
        self.conversation.unsubscribe(sub)
    }

    /// The series of a subscription; none if there is no such subscription.
    #[must_use]
    pub fn model(&self, sub: &str) -> Option<&Model> {
        self.conversation.model(sub)
    }

    /// Where the server is.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The next event; none after [`Event::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.conversation.next_event() {
                return Some(event);
            }
            let lost = match &mut self.link {
                Link::Over => return None,
                Link::Down(at) => {
                    sleep_until(*at).await;
                    self.dial().await
                }
                Link::Up(_) => self.talk().await,
            };
            if let Err(why) = lost {
                self.lose(why);
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The connection is gone: says so, and when to come back.
    fn lose(&mut self, why: Lost) {
        if self.conversation.works() {
            self.backoff.reset();
        }
        self.conversation.connected(self.now());
        let Some(advice) = why.retry_after() else {
            self.link = Link::Over;
            return self.conversation.tell(Event::Ended(why));
        };
        let wait = self.backoff.wait(random()).max(advice);
        self.link = Link::Down(Instant::now() + wait);
        self.conversation.tell(Event::Lost { why, wait });
    }

    /// Connects, up to the server's greeting.
    async fn dial(&mut self) -> Result<(), Lost> {
        let limit = self.options.connect_timeout;
        let greeted = timeout(limit, async {
            let socket = open(&self.target, &self.options).await?;
            self.conversation.connected(self.start.elapsed());
            self.link = Link::Up(Box::new(socket));
            while !self.conversation.is_welcomed() {
                self.talk().await?;
            }
            Ok(())
        });
        greeted.await.unwrap_or_else(|_| Err(Lost::Network(format!("no answer within {limit:?}"))))
    }

    /// Sends what is to be sent and takes what comes, until something came or time is up.
    async fn talk(&mut self) -> Result<(), Lost> {
        let wake = self.conversation.next_wake().saturating_sub(self.now()).min(LONGEST_SLEEP);
        let now = self.now();
        let Link::Up(socket) = &mut self.link else { return Ok(()) };
        let message = tokio::select! {
            message = exchange(socket, &mut self.conversation) => message,
            () = sleep_until(Instant::now() + wake) => {
                return self.conversation.wake(now.saturating_add(wake));
            }
        };
        let now = self.start.elapsed();
        match message {
            Some(Ok(Message::Text(text))) => self.conversation.receive(&text, now),
            Some(Ok(Message::Close(frame))) => Err(frame.map_or_else(
                || Lost::closed(1005, "no reason given"),
                |frame| Lost::closed(frame.code.into(), &frame.reason),
            )),
            Some(Ok(Message::Binary(_))) => Err(Lost::Protocol("a binary message".into())),
            Some(Ok(_)) => {
                self.conversation.heard(now);
                Ok(())
            }
            Some(Err(error)) => Err(lost(error)),
            None => Err(cut()),
        }
    }
}

/// Writes what waits and reads the next message.
async fn exchange(
    socket: &mut WebSocketStream<TcpStream>,
    conversation: &mut Conversation,
) -> Option<Result<Message, Error>> {
    let mut socket = std::pin::Pin::new(socket);
    poll_fn(|cx| {
        while conversation.has_message() {
            match socket.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => break,
            }
            let Some(text) = conversation.next_message() else { break };
            if let Err(error) = socket.as_mut().start_send(Message::text(text)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
        if let Poll::Ready(Err(error)) = socket.as_mut().poll_flush(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        socket.as_mut().poll_next(cx)
    })
    .await
}

/// The opening handshake.
async fn open(target: &Target, options: &Options) -> Result<WebSocketStream<TcpStream>, Lost> {
    let network = |error: std::io::Error| Lost::Network(error.to_string());
    let socket = TcpStream::connect(target.address()).await.map_err(network)?;
    socket.set_nodelay(true).map_err(network)?;
    let mut request = target.to_string().into_client_request().map_err(lost)?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let bearer = options.token.as_ref().map(|token| format!("Bearer {}", token.expose()));
    if let Some(mut bearer) = bearer.and_then(|text| HeaderValue::try_from(text).ok()) {
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let max_message = options.max_message;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    let (stream, _) =
        tokio_tungstenite::client_async_with_config(request, socket, Some(config)).await.map_err(lost)?;
    Ok(stream)
}

fn cut() -> Lost {
    Lost::Network("the connection was cut".into())
}

fn lost(error: Error) -> Lost {
    match error {
        Error::Http(response) => refused(&response),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => cut(),
        Error::Protocol(_) | Error::Utf8(_) | Error::Capacity(_) => Lost::Protocol(error.to_string()),
        Error::Io(error) => Lost::Network(error.to_string()),
        error => Lost::Network(error.to_string()),
    }
}

fn refused(response: &Response<Option<Vec<u8>>>) -> Lost {
    let seconds =
        response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let status = response.status();
    Lost::Refused {
        status: status.as_u16(),
        reason: status.canonical_reason().unwrap_or("no reason given").to_owned(),
        retry_after: Duration::from_secs(seconds.unwrap_or(0)),
    }
}

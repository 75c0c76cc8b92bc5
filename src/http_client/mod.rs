//! Requests to others, one at a time: connection, TLS, credentials, redirects, size. It knows nothing of targets,
//! receivers and time.
//!
//! A [`Fetcher`] holds what is common to the requests of a job or to one receiver: it [gets](Fetcher::get) pages and
//! [posts](Fetcher::post) messages. A [`Line`] is the connection that is kept open between two requests. Dropping the future
//! ends the request, and the connection with it.

mod config;
mod url;

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, LOCATION,
    USER_AGENT,
};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

pub use config::{Auth, Client};
pub use url::Url;
pub(crate) use url::authority_of;

use crate::build::VERSION;
use crate::config::Credential;
use crate::tls::{Connector, Stream};

/// How many redirects are followed.
const REDIRECTS: usize = 3;

/// How much is read of what a receiver says to a message. What says more loses its connection.
const WORDS: usize = 4096;

/// Why there is no answer: a word to count by, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `refused`, `dns`, `timeout`, `tls`, `io`, `status`, `redirect`, `content_type`, `encoding`, `body_size`,
    /// `syntax`, `limit`, `credentials`.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl Failure {
    /// A failure of that sort.
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Failure { reason, message: message.into() }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// Where.
    pub(crate) url: &'a Url,
    /// `Accept`.
    pub(crate) accept: &'a str,
    /// Ask for gzip.
    pub(crate) compression: bool,
    /// Most bytes of the page, decompressed; 0 is no limit.
    pub(crate) limit: usize,
    /// One more header.
    pub(crate) header: Option<(&'static str, &'a str)>,
}

/// What came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `Content-Type`, if it is text.
    pub(crate) content_type: Option<String>,
    /// The page, decompressed.
    pub(crate) body: Bytes,
}

/// A message that is posted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// Where to.
    pub(crate) url: &'a Url,
    /// Its headers, beside those that every request has.
    pub(crate) headers: &'a HeaderMap,
    /// What it says.
    pub(crate) body: &'a Bytes,
}

/// What a receiver says to a message.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The beginning of the text, at most [`WORDS`] bytes.
    pub(crate) text: String,
}

/// Asks for pages in the way of one job.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client,
    connector: OnceCell<Connector>,
}

/// A connection that is kept open.
#[derive(Debug, Default)]
pub(crate) struct Line(Option<Open>);

#[derive(Debug)]
struct Open {
    to: Url,
    send: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fetcher {
    /// One for these settings. Files of TLS are read at the first use.
    #[must_use]
    pub(crate) fn new(client: Client) -> Self {
        Fetcher { client, connector: OnceCell::new() }
    }

    /// Asks for a page, and follows redirects.
    ///
    /// # Errors
    /// [`Failure`]; the connection is closed then.
    pub(crate) async fn get(&self, line: &mut Line, ask: Ask<'_>) -> Result<Answer, Failure> {
        // Taken out, so that it is closed when this is given up in the middle.
        let mut open = line.0.take();
        let mut url = ask.url.clone();
        let mut auth = self.authorization()?;
        for _ in 0..=REDIRECTS {
            let (response, from) =
                self.send(open.take(), &url, || question(&url, ask, auth.as_ref())).await?;
            let status = response.status();
            if status.is_redirection() && self.client.follow_redirects && status != StatusCode::NOT_MODIFIED {
                let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let location =
                    location.ok_or_else(|| Failure::new("redirect", "a redirect that says not where to"))?;
                let next = url.join(location).map_err(|reason| Failure::new("redirect", reason))?;
                // What is meant for one is not told to another.
                if !ask.url.same_host(&next) {
                    auth = None;
                }
                url = next;
                continue;
            }
            if status != StatusCode::OK {
                return Err(Failure::new("status", format!("server returned HTTP status {status}")));
            }
            let content_type = response.headers().get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
            let body = body(response, ask.limit).await?;
            // A connection that a redirect has led to is not where the next request begins.
            line.0 = (url == *ask.url).then_some(from);
            return Ok(Answer { content_type, body });
        }
        Err(Failure::new("redirect", format!("more than {REDIRECTS} redirects")))
    }

    /// Posts a message. A redirect is an answer like any other.
    ///
    /// # Errors
    /// [`Failure`]; whether the receiver has the message is not known then.
    pub(crate) async fn post(&self, line: &mut Line, message: Message<'_>) -> Result<Reply, Failure> {
        let open = line.0.take();
        let auth = self.authorization()?;
        let request = || {
            let mut request = build(
                headed(Request::post(message.url.path_and_query()), message.url, auth.as_ref()),
                message.body.clone(),
            )?;
            request.headers_mut().extend(message.headers.clone());
            Ok(request)
        };
        let (response, open) = self.send(open, message.url, request).await?;
        let (head, mut incoming) = response.into_parts();
        let mut text = Vec::new();
        let mut whole = true;
        while let Some(frame) = incoming.frame().await {
            // What came is an answer, even if the connection breaks in the middle of its words.
            let Ok(frame) = frame else {
                whole = false;
                break;
            };
            let Ok(data) = frame.into_data() else { continue };
            text.extend_from_slice(&data[..data.len().min(WORDS - text.len())]);
            if text.len() == WORDS {
                whole = false;
                break;
            }
        }
        line.0 = whole.then_some(open);
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// Sends a request over the open connection if it leads there, or over a new one.
    async fn send(
        &self,
        open: Option<Open>,
        url: &Url,
        request: impl Fn() -> Result<Request<Full<Bytes>>, Failure>,
    ) -> Result<(Response<Incoming>, Open), Failure> {
        if let Some(mut open) = open.filter(|open| open.to.same_host(url)) {
            // The server may have closed it meanwhile, which shows only now: then a new one is made.
            if open.send.ready().await.is_ok()
                && let Ok(response) = open.send.send_request(request()?).await
            {
                return Ok((response, open));
            }
        }
        let mut open = self.connect(url).await?;
        let response = open.send.send_request(request()?).await.map_err(broken)?;
        Ok((response, open))
    }

    async fn connect(&self, url: &Url) -> Result<Open, Failure> {
        let host = (url.host.as_str(), url.port());
        let found = tokio::net::lookup_host(host).await;
        let found =
            found.map_err(|error| Failure::new("dns", format!("cannot look up {}: {error}", url.host)))?;
        let mut last = Failure::new("dns", format!("{} has no address", url.host));
        for address in found {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return self.shake_hands(url, stream).await;
                }
                Err(error) => {
                    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    let reason = if refused { "refused" } else { "io" };
                    last = Failure::new(reason, format!("cannot connect to {address}: {error}"));
                }
            }
        }
        Err(last)
    }

    async fn shake_hands(&self, url: &Url, stream: TcpStream) -> Result<Open, Failure> {
        let stream = if url.tls {
            let tls = |error: &dyn std::fmt::Display| Failure::new("tls", format!("TLS: {error}"));
            let name = self.client.server_name.as_deref().unwrap_or(&url.host);
            let connector = self.connector().await.map_err(|error| tls(&error))?;
            connector.connect(name, stream).await.map_err(|error| match error.kind() {
                // It speaks no TLS, or shows what cannot be believed; anything else is the connection's end.
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => tls(&error),
                _ => Failure::new("io", format!("TLS: {error}")),
            })?
        } else {
            Stream::Plain(stream)
        };
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends with the `Open` that holds its other half.
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Open { to: url.clone(), send, task })
    }

    /// Reads the files at the first use, off the threads that must not wait; again at the next if that fails.
    async fn connector(&self) -> Result<&Connector, String> {
        let trust = self.client.trust.clone();
        let read = || async {
            let made = tokio::task::spawn_blocking(move || Connector::new(&trust)).await;
            made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        };
        self.connector.get_or_try_init(read).await
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::new("credentials", error.to_string());
        let text = match &self.client.auth {
            None => return Ok(None),
            Some(Auth::Token { kind, token }) => {
                format!("{kind} {}", token.read().map_err(|error| wrong(&error))?.expose())
            }
            Some(Auth::Basic { user, password }) => {
                let read = |part: &Option<Credential>| -> Result<String, Failure> {
                    match part {
                        Some(part) => Ok(part.read().map_err(|error| wrong(&error))?.expose().to_owned()),
                        None => Ok(String::new()),
                    }
                };
                format!("Basic {}", base64(format!("{}:{}", read(user)?, read(password)?).as_bytes()))
            }
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| wrong(&"the credentials have characters that no header can have"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn broken(error: hyper::Error) -> Failure {
    // hyper's own words leave out what the socket said.
    let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
    Failure::new("io", format!("{error}{cause}"))
}

/// The request for a page.
fn question(url: &Url, ask: Ask<'_>, auth: Option<&HeaderValue>) -> Result<Request<Full<Bytes>>, Failure> {
    let mut builder = headed(Request::get(url.path_and_query()), url, auth).header(ACCEPT, ask.accept);
    if ask.compression {
        builder = builder.header(ACCEPT_ENCODING, "gzip");
    }
    if let Some((name, value)) = ask.header {
        builder = builder.header(name, value);
    }
    build(builder, Bytes::new())
}

/// The headers that every request has.
fn headed(builder: Builder, url: &Url, auth: Option<&HeaderValue>) -> Builder {
    let builder = builder.header(HOST, url.address()).header(USER_AGENT, format!("gaugecast/{VERSION}"));
    match auth {
        Some(auth) => builder.header(AUTHORIZATION, auth),
        None => builder,
    }
}

fn build(builder: Builder, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
    let built = builder.body(Full::new(body));
    built.map_err(|error| Failure::new("io", format!("no request can be made of it: {error}")))
}

/// Reads the page whole, up to the limit.
async fn body(response: Response<Incoming>, limit: usize) -> Result<Bytes, Failure> {
    let too_large =
        || Failure::new("body_size", format!("the page is larger than body_size_limit, {limit} bytes"));
    let most = if limit == 0 { usize::MAX } else { limit };
    let encoding =
        response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let mut incoming = response.into_body();
    let mut pieces = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        // What is compressed is hardly ever larger than what it stands for.
        if data.len() > most.saturating_sub(pieces.len()) {
            return Err(too_large());
        }
        pieces.extend_from_slice(&data);
    }
    match encoding.as_deref() {
        None | Some(b"" | b"identity") => Ok(pieces.freeze()),
        Some(b"gzip" | b"x-gzip") => {
            let mut plain = Vec::with_capacity(pieces.len().saturating_mul(8).min(most.min(1 << 20)));
            let wanted = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            let decoded = flate2::read::MultiGzDecoder::new(&pieces[..]).take(wanted).read_to_end(&mut plain);
            decoded.map_err(|error| Failure::new("encoding", format!("the gzip is not valid: {error}")))?;
            if plain.len() > most { Err(too_large()) } else { Ok(plain.into()) }
        }
        Some(other) => {
            let other = String::from_utf8_lossy(&other[..other.len().min(40)]).into_owned();
            Err(Failure::new("encoding", format!("unsupported Content-Encoding {other:?}")))
        }
    }
}

/// Standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = (word >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    out
}

/// A fetcher that several share.
pub(crate) type Shared = Arc<Fetcher>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), coded);
        }
    }
}

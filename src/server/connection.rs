//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::body::Body;
use super::crowd::{Phase, Seat};
use super::framing::Head;
use super::io::Io;
use super::router::{FramedTwice, Peer, Router};

/// Serves a connection that was accepted elsewhere (a Unix socket, a test, another listener) until it ends, is
/// turned out, or `stop` is cancelled and what is in flight is answered. Dropping the future drops the
/// connection. Over the limit of connections it is dropped at once.
pub async fn serve_connection<T>(io: T, peer: SocketAddr, router: Router, stop: CancellationToken)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let seat = router.app().crowd.enter();
    if let Some(seat) = seat {
        serve(io, peer, seat, router, stop).await;
    }
}

/// The socket behind an upgraded connection of type `T`, what was read from it already, and the seat to keep
/// while it is open.
///
/// # Errors
/// Gives the connection back if it is of another type, such as a TLS stream.
pub fn downcast<T>(upgraded: Upgraded) -> Result<(T, Bytes, Arc<Seat>), Upgraded>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let parts = upgraded.downcast::<TokioIo<Io<T>>>()?;
    let (io, seat) = parts.io.into_inner().into_parts();
    Ok((io, parts.read_buf, seat))
}

pub(super) async fn serve<T>(
    mut io: T,
    peer: SocketAddr,
    seat: Arc<Seat>,
    router: Router,
    stop: CancellationToken,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let app = router.app();
    let deadline = Instant::now() + app.config.limits.header_deadline;
    // hyper takes 8 KiB for every connection it reads from, so it gets only those that say something.
    let first = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        () = seat.turned_out() => return,
        read = timeout_at(deadline, io.read_u8()) => match read {
            Ok(Ok(first)) => first,
            // Gone without a word, as port scans and browsers do. A 408 to those who asked nothing would only
            // be taken for the answer to what they ask in that moment.
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let io = Io::new(io, first, Arc::clone(&seat), app.clone(), deadline);
    Box::pin(converse(io, peer, seat, router, stop)).await;
}

/// Hands the connection to hyper.
async fn converse<T>(io: Io<T>, peer: SocketAddr, seat: Arc<Seat>, router: Router, stop: CancellationToken)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let app = router.app().clone();
    let limits = &app.config.limits;
    let service = Requests { seat: Arc::clone(&seat), peer, router };
    let mut http = http1::Builder::new();
    http.auto_date_header(false)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(8 << 10));
    let mut connection = pin!(http.serve_connection(TokioIo::new(io), service).with_upgrades());
    let mut stopping = false;
    let end = loop {
        tokio::select! {
            end = connection.as_mut() => break end,
            () = seat.turned_out() => return,
            () = stop.cancelled(), if !stopping => {
                if seat.phase() == Phase::HalfOpen {
                    return;
                }
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    let Err(error) = end else { return };
    if error.is_parse_too_large() {
        app.metrics.reject("header_size");
    } else if error.is_parse() {
        app.metrics.reject("malformed");
    }
    // Peers that break off are no fault of ours.
    tracing::debug!(%peer, %error, "connection ended");
}

/// An extension of an answer that goes on for long: the bytes that the kernel may hold of it (`SO_SNDBUF`). Without
/// it the kernel grows its buffer to megabytes, all of it old news once the reader is slow.
#[derive(Clone, Copy, Debug)]
pub struct SendBuffer(pub usize);

/// The requests of one connection on their way to the router.
struct Requests {
    seat: Arc<Seat>,
    peer: SocketAddr,
    router: Router,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Sent>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Sent>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let head = self.seat.begin();
        let served = Served(Arc::clone(&self.seat));
        let router = self.router.clone();
        request.extensions_mut().insert(Peer(self.peer));
        // A head that was not seen whole may hide a Content-Length; then a client that pipelines loses a
        // request it would not have lost without chunks, which no known client does.
        if head != Head::Plain && request.headers().contains_key(TRANSFER_ENCODING) {
            request.extensions_mut().insert(FramedTwice);
        }
        Box::pin(async move {
            let mut response = router.handle(request).await;
            if served.0.requests() >= router.app().config.limits.requests_per_connection {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if response.headers().get(CONNECTION).is_some_and(|value| value == "close") {
                served.0.close();
            }
            if let Some(SendBuffer(bytes)) = response.extensions().get() {
                served.0.bound(*bytes);
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                served.0.upgrade();
            }
            Ok(response.map(|body| Sent { body, _served: served }))
        })
    }
}

/// Says that a request is answered, to whichever end it came.
struct Served(Arc<Seat>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// A body that knows when it is sent.
struct Sent {
    body: Body,
    _served: Served,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::listener::tests::app;
    use super::*;

    #[tokio::test]
    async fn a_half_open_connection_costs_less_than_2_kib() {
        let app = app();
        let seat = app.crowd.enter().expect("a seat");
        let (_client, io) = tokio::io::duplex(64);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let task = serve(io, peer, seat, Router::new(app), CancellationToken::new());
        // The rest is the seat: two allocations and a place in a map.
        assert!(size_of_val(&task) < 1536, "{}", size_of_val(&task));
    }
}

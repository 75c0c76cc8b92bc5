//! A tower layer: requests of a service as runs of operations: rate, errors, duration, in flight.
//!
//! ```
//! use gaugecast::monitor::tower::MonitorLayer;
//! use gaugecast::monitor::{Config, Monitor};
//! use gaugecast::registry::Registry;
//! use tower_layer::Layer;
//! use tower_service::Service;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[derive(Clone)]
//! # struct Shop;
//! # impl Service<&'static str> for Shop {
//! #     type Response = u16;
//! #     type Error = std::io::Error;
//! #     type Future = std::future::Ready<Result<u16, std::io::Error>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
//! #         std::task::Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, request: &'static str) -> Self::Future {
//! #         std::future::ready(Ok(if request == "order" { 200 } else { 503 }))
//! #     }
//! # }
//! let monitor = Monitor::new(&Registry::new(), Config::default())?;
//! let layer = MonitorLayer::new(&monitor, "shop")
//!     .by(|request: &&'static str| format!("shop_{request}").into()) // a route of the table, never a path from outside
//!     .failed(|status: &u16| (*status >= 500).then_some("unavailable"));
//! let mut shop = layer.layer(Shop);
//! shop.call("order").await?;
//! shop.call("refund").await?;
//! assert_eq!(monitor.operation("shop_order").errors(), 0);
//! assert_eq!(monitor.operation("shop_refund").errors(), 1);
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower_layer::Layer;
use tower_service::Service;

use super::operation::OwnedGuard;
use super::{Monitor, Operation, Outcome};

type Name<Request> = Arc<dyn Fn(&Request) -> Cow<'static, str> + Send + Sync>;
type Failed<Response> = Arc<dyn Fn(&Response) -> Option<&'static str> + Send + Sync>;

/// Counts and times the requests of the services that it is laid around. An error of the service has the kind `error`; a
/// response that is dropped before it is there is a run that went well.
pub struct MonitorLayer<Request, Response> {
    monitor: Monitor,
    whole: Operation,
    name: Option<Name<Request>>,
    failed: Option<Failed<Response>>,
}

impl<Request, Response> MonitorLayer<Request, Response> {
    /// All requests are runs of the operation `service`, and go well unless the service has an error.
    #[must_use]
    pub fn new(monitor: &Monitor, service: &str) -> Self {
        MonitorLayer { monitor: monitor.clone(), whole: monitor.operation(service), name: None, failed: None }
    }

    /// Names the operation of a request. The names must be few, such as the routes of a table: what is beyond the monitor's
    /// bound is counted as `other`.
    #[must_use]
    pub fn by(self, name: impl Fn(&Request) -> Cow<'static, str> + Send + Sync + 'static) -> Self {
        MonitorLayer { name: Some(Arc::new(name)), ..self }
    }

    /// Tells the kind of error that a response means, such as a status of 500.
    #[must_use]
    pub fn failed(self, failed: impl Fn(&Response) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        MonitorLayer { failed: Some(Arc::new(failed)), ..self }
    }
}

impl<Request, Response> Clone for MonitorLayer<Request, Response> {
    fn clone(&self) -> Self {
        MonitorLayer {
            monitor: self.monitor.clone(),
            whole: self.whole.clone(),
            name: self.name.clone(),
            failed: self.failed.clone(),
        }
    }
}

impl<Request, Response> fmt::Debug for MonitorLayer<Request, Response> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorLayer").field("service", &self.whole.name()).finish_non_exhaustive()
    }
}

impl<Inner, Request, Response> Layer<Inner> for MonitorLayer<Request, Response> {
    type Service = Monitored<Inner, Request, Response>;

    fn layer(&self, inner: Inner) -> Self::Service {
        Monitored { inner, layer: self.clone() }
    }
}

/// A service whose requests are counted.
pub struct Monitored<Inner, Request, Response> {
    inner: Inner,
    layer: MonitorLayer<Request, Response>,
}

impl<Inner: Clone, Request, Response> Clone for Monitored<Inner, Request, Response> {
    fn clone(&self) -> Self {
        Monitored { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<Inner: fmt::Debug, Request, Response> fmt::Debug for Monitored<Inner, Request, Response> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitored").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

impl<Inner, Request> Service<Request> for Monitored<Inner, Request, Inner::Response>
where
    Inner: Service<Request>,
{
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = ResponseFuture<Inner::Future, Inner::Response, Inner::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let guard = match &self.layer.name {
            Some(name) => self.layer.monitor.operation(&name(&request)).start_owned(),
            None => self.layer.whole.clone().start_owned(),
        };
        let failed = self.layer.failed.clone();
        ResponseFuture { inner: self.inner.call(request), run: Some(guard), failed, error: PhantomData }
    }
}

pin_project_lite::pin_project! {
    /// A response to come; the run ends with it.
    pub struct ResponseFuture<F, Response, Error> {
        #[pin]
        inner: F,
        run: Option<OwnedGuard>,
        failed: Option<Failed<Response>>,
        error: PhantomData<fn() -> Error>,
    }
}

impl<F, Response, Error> fmt::Debug for ResponseFuture<F, Response, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("run", &self.run).finish_non_exhaustive()
    }
}

impl<F, Response, Error> Future for ResponseFuture<F, Response, Error>
where
    F: Future<Output = Result<Response, Error>>,
{
    type Output = Result<Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(run) = this.run.take() {
            run.finish(match &result {
                Ok(response) => this
                    .failed
                    .as_ref()
                    .and_then(|failed| failed(response))
                    .map_or(Outcome::Ok, Outcome::Error),
                Err(_) => Outcome::Error("error"),
            });
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use super::*;
    use crate::monitor::Config;
    use crate::registry::Registry;

    /// Answers with what it is asked for, or fails.
    #[derive(Clone)]
    struct Echo;

    impl Service<Result<u16, ()>> for Echo {
        type Response = u16;
        type Error = ();
        type Future = Ready<Result<u16, ()>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Result<u16, ()>) -> Self::Future {
            ready(request)
        }
    }

    #[tokio::test]
    async fn requests_are_in_flight_until_they_are_answered_dropped_or_failed() {
        let monitor = Monitor::new(&Registry::new(), Config::default()).unwrap();
        let mut echo = MonitorLayer::new(&monitor, "echo")
            .failed(|status: &u16| (*status >= 500).then_some("status"))
            .layer(Echo);
        let operation = monitor.operation("echo");
        let waiting = echo.call(Ok(200));
        assert_eq!((operation.in_flight(), operation.count()), (1, 0));
        assert_eq!(waiting.await, Ok(200));
        drop(echo.call(Ok(500)));
        assert_eq!(
            (operation.count(), operation.errors()),
            (2, 0),
            "nobody has seen how it would have ended"
        );
        assert_eq!((echo.call(Ok(500)).await, echo.call(Err(())).await), (Ok(500), Err(())));
        let figures = &monitor.snapshot(monitor.now()).operations[0];
        let kinds: Vec<_> = figures.errors_by_kind.iter().map(|kind| (&*kind.kind, kind.count)).collect();
        assert_eq!(kinds, [("error", 1), ("status", 1)]);
        assert_eq!(figures.in_flight, 0);
    }
}

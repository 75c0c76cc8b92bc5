//! A layer for `tracing-subscriber`: spans as runs of operations, named as the spans are.
//!
//! A run begins with the span and ends with it, also where the span is entered again and again. An event at the level of an error
//! within the span makes the run fail, with the kind `error`.
//!
//! ```
//! use gaugecast::monitor::spans::SpanLayer;
//! use gaugecast::monitor::{Config, Monitor};
//! use gaugecast::registry::Registry;
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! let monitor = Monitor::new(&Registry::new(), Config::default())?;
//! // Filter it as any other layer, so that not each span of each library is an operation.
//! let subscriber = tracing_subscriber::registry().with(SpanLayer::new(&monitor));
//! tracing::subscriber::with_default(subscriber, || {
//!     tracing::info_span!("send_message").in_scope(|| tracing::error!("no such room"));
//! });
//! let send = monitor.operation("send_message");
//! assert_eq!((send.count(), send.errors()), (1, 1));
//! # Ok::<(), gaugecast::registry::RegisterError>(())
//! ```

use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::operation::OwnedGuard;
use super::{Monitor, Outcome};

/// Makes spans runs of operations.
#[derive(Clone, Debug)]
pub struct SpanLayer {
    monitor: Monitor,
}

impl SpanLayer {
    /// A layer for all spans that it gets to see.
    #[must_use]
    pub fn new(monitor: &Monitor) -> Self {
        SpanLayer { monitor: monitor.clone() }
    }
}

/// What a span carries.
struct Running(OwnedGuard);

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let run = self.monitor.operation(attributes.metadata().name()).start_owned();
            span.extensions_mut().replace(Running(run));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        if let Some(span) = context.event_span(event)
            && let Some(Running(run)) = span.extensions_mut().get_mut()
        {
            run.mark(Outcome::Error("error"));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        // The registry clears what a span carries only when its place is used again: the run ends now.
        if let Some(span) = context.span(&id) {
            drop(span.extensions_mut().remove::<Running>());
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::monitor::Config;
    use crate::registry::Registry;

    #[test]
    fn a_span_is_one_run_however_often_it_is_entered_and_fails_by_its_own_errors() {
        let monitor = Monitor::new(&Registry::new(), Config::default()).unwrap();
        let subscriber = tracing_subscriber::registry().with(SpanLayer::new(&monitor));
        let (outer, inner) = (monitor.operation("outer"), monitor.operation("inner"));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("outer");
            for _ in 0..3 {
                span.in_scope(|| {
                    assert_eq!((outer.in_flight(), outer.count()), (1, 0));
                    tracing::info_span!("inner").in_scope(|| tracing::error!("bad"));
                    tracing::warn!("no error");
                });
            }
        });
        assert_eq!((outer.count(), outer.errors(), outer.in_flight()), (1, 0, 0));
        assert_eq!((inner.count(), inner.errors()), (3, 3));
    }
}

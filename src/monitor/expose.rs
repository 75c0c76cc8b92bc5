//! The monitor's figures as metrics. They are written from what the monitor counts anyway: no run is counted twice. A server
//! without an application has a monitor too, which nobody uses; then nothing is written.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::durations::{Durations, EXPOSED, milliseconds};
use super::operation::labels;
use super::snapshot::{Criterion, SecurityKind};
use crate::registry::{Desc, Instrument, Lines, Refused, RegisterError, Registry, Unit};
use crate::series::Kind;

/// A metric that is written from the monitor.
trait Written: fmt::Debug + Send + Sync + 'static {
    const KIND: Kind;

    fn write(shared: &Shared, lines: &mut Lines<'_>);
}

/// The handle that the registry keeps; equal to those of the same monitor.
struct View<W> {
    shared: Arc<Shared>,
    what: std::marker::PhantomData<fn() -> W>,
}

impl<W> Clone for View<W> {
    fn clone(&self) -> Self {
        View { shared: Arc::clone(&self.shared), what: self.what }
    }
}

impl<W> fmt::Debug for View<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

/// A monitor is equal to itself only.
#[derive(Clone)]
struct Same(Arc<Shared>);

impl PartialEq for Same {
    fn eq(&self, other: &Same) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Same {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Same")
    }
}

impl<W: Written> Instrument for View<W> {
    const KIND: Kind = W::KIND;
    type Config = Same;

    fn create(config: &Same, _refused: &Refused) -> Self {
        View { shared: Arc::clone(&config.0), what: std::marker::PhantomData }
    }

    fn write(&self, lines: &mut Lines<'_>) {
        W::write(&self.shared, lines);
    }

    fn activity(&self) -> u64 {
        0
    }
}

/// The first metric, by which the monitor of a registry is found again: whoever registers it gets the same.
#[derive(Clone, Debug)]
pub(super) struct Root(pub(super) Arc<Shared>);

impl Instrument for Root {
    const KIND: Kind = Kind::Counter;
    type Config = ();

    fn create(_config: &(), _refused: &Refused) -> Self {
        Root(Arc::new(Shared::new()))
    }

    fn write(&self, lines: &mut Lines<'_>) {
        for operation in &*self.0.operations() {
            lines.with(operation.labels()).whole("_total", operation.count());
        }
    }

    fn activity(&self) -> u64 {
        0
    }
}

/// The monitor of this registry: the one that is there, or a new one.
pub(super) fn root(registry: &Registry) -> Result<Arc<Shared>, RegisterError> {
    let root: Root = registry
        .metric(("gaugecast_operations", "Runs of operations that have ended, failed ones included."), ())?;
    Ok(root.0)
}

/// `written!(Name, Kind, |shared, lines| …)` is a metric that is written so.
macro_rules! written {
    ($($name:ident, $kind:ident, |$shared:ident, $lines:ident| $write:expr;)*) => {$(
        #[derive(Debug)]
        struct $name;

        impl Written for $name {
            const KIND: Kind = Kind::$kind;

            fn write($shared: &Shared, $lines: &mut Lines<'_>) {
                $write
            }
        }
    )*};
}

written! {
    ErrorsTotal, Counter, |shared, lines| for operation in &*shared.operations() {
        for (kind, count) in operation.kinds() {
            let labels = labels(&[("kind", kind), ("operation", operation.name())]);
            lines.with(&labels).whole("_total", count);
        }
    };
    OperationDuration, Histogram, |shared, lines| for operation in &*shared.operations() {
        histogram(&operation.durations(), &mut lines.with(operation.labels()));
    };
    InFlight, Gauge, |shared, lines| for operation in &*shared.operations() {
        lines.with(operation.labels()).whole("", operation.in_flight());
    };
    OtherOperations, Counter, |shared, lines| if shared.is_used() {
        lines.whole("_total", shared.beyond.load(Ordering::Relaxed));
    };
    SecurityEvents, Counter, |shared, lines| if shared.is_used() {
        for kind in SecurityKind::ALL {
            let labels = labels(&[("kind", kind.as_str())]);
            lines.with(&labels).whole("_total", shared.security.count(kind));
        }
    };
    SecurityResponse, Histogram, |shared, lines| histogram(&shared.security.responses.read(), lines);
    Active, Gauge, |shared, lines| if shared.is_used() {
        lines.whole("", shared.connections.active.load(Ordering::Relaxed));
    };
    Peak, Gauge, |shared, lines| if shared.is_used() {
        lines.whole("", shared.connections.peak.load(Ordering::Relaxed));
    };
    Opened, Counter, |shared, lines| if shared.is_used() {
        lines.whole("_total", shared.connections.total.load(Ordering::Relaxed));
    };
    Failed, Counter, |shared, lines| if shared.is_used() {
        lines.whole("_total", shared.connections.errors.load(Ordering::Relaxed));
    };
    ConnectionDuration, Histogram, |shared, lines| histogram(&shared.connections.durations.read(), lines);
    Messages, Counter, |shared, lines| {
        let all = &shared.connections;
        directions(shared, lines, all.messages_in.load(Ordering::Relaxed), all.messages_out.load(Ordering::Relaxed));
    };
    Bytes, Counter, |shared, lines| {
        let all = &shared.connections;
        directions(shared, lines, all.bytes_in.load(Ordering::Relaxed), all.bytes_out.load(Ordering::Relaxed));
    };
    Allocations, Counter, |shared, lines| if let Some(allocated) = shared.allocated() {
        lines.whole("_total", allocated.allocations);
    };
    AllocatedBytes, Counter, |shared, lines| if let Some(allocated) = shared.allocated() {
        lines.whole("_total", allocated.allocated_bytes);
    };
    LiveBytes, Gauge, |shared, lines| if let Some(allocated) = shared.allocated() {
        lines.whole("", allocated.live_bytes());
    };
    Validation, Gauge, |shared, lines| for (criterion, ok) in Criterion::ALL.into_iter().zip(shared.judged()) {
        if let Some(ok) = ok {
            let labels = labels(&[("criterion", criterion.as_str())]);
            lines.with(&labels).whole("", u8::from(ok));
        }
    };
}

fn directions(shared: &Shared, lines: &mut Lines<'_>, received: u64, sent: u64) {
    if !shared.is_used() {
        return;
    }
    lines.with("{direction=\"in\"}").whole("_total", received);
    lines.with("{direction=\"out\"}").whole("_total", sent);
}

#[allow(clippy::cast_precision_loss)]
fn histogram(durations: &Durations, lines: &mut Lines<'_>) {
    if durations.count == 0 {
        return;
    }
    let (mut total, mut from) = (0, 0);
    for (le, to) in EXPOSED {
        total += durations.counts[from..to].iter().sum::<u64>();
        from = to;
        lines.labelled("_bucket", "le", le, total as f64);
    }
    lines.labelled("_bucket", "le", "+Inf", durations.count as f64);
    lines.float("_sum", milliseconds(durations.sum_ns) / 1e3);
    lines.whole("_count", durations.count);
}

/// Registers all but the root.
pub(super) fn register(shared: &Arc<Shared>, registry: &Registry) -> Result<(), RegisterError> {
    fn add<W: Written>(
        shared: &Arc<Shared>,
        registry: &Registry,
        desc: Desc<'_>,
    ) -> Result<(), RegisterError> {
        registry.metric::<View<W>>(desc, Same(Arc::clone(shared))).map(drop)
    }
    let one = |name, help| Desc::new(name, help);
    add::<ErrorsTotal>(
        shared,
        registry,
        one("gaugecast_operation_errors", "Runs of operations that failed, by kind of error."),
    )?;
    add::<OperationDuration>(
        shared,
        registry,
        one("gaugecast_operation_duration", "How long runs of operations took.").unit(Unit::Seconds),
    )?;
    add::<InFlight>(
        shared,
        registry,
        one("gaugecast_operations_in_flight", "Runs of operations that go on now."),
    )?;
    add::<OtherOperations>(
        shared,
        registry,
        one(
            "gaugecast_operations_overflow",
            "Lookups of operations that the cap of their number sent to the operation other.",
        ),
    )?;
    add::<SecurityEvents>(
        shared,
        registry,
        one("gaugecast_security_events", "Events of security, by kind."),
    )?;
    add::<SecurityResponse>(
        shared,
        registry,
        one("gaugecast_security_response", "How long the response to an event of security took.")
            .unit(Unit::Seconds),
    )?;
    add::<Active>(
        shared,
        registry,
        one("gaugecast_app_connections", "Connections of the application, open now."),
    )?;
    add::<Peak>(
        shared,
        registry,
        one("gaugecast_app_connections_peak", "Most connections of the application at once."),
    )?;
    add::<Opened>(
        shared,
        registry,
        one("gaugecast_app_connections_opened", "Connections of the application since its start."),
    )?;
    add::<Failed>(
        shared,
        registry,
        one("gaugecast_app_connection_errors", "Errors on connections of the application."),
    )?;
    add::<ConnectionDuration>(
        shared,
        registry,
        one("gaugecast_app_connection_duration", "How long connections of the application were open.")
            .unit(Unit::Seconds),
    )?;
    add::<Messages>(
        shared,
        registry,
        one(
            "gaugecast_app_messages",
            "Messages over connections of the application, by direction: in or out.",
        ),
    )?;
    add::<Bytes>(
        shared,
        registry,
        one("gaugecast_app", "Bytes over connections of the application, by direction: in or out.")
            .unit(Unit::Bytes),
    )?;
    add::<Allocations>(
        shared,
        registry,
        one("gaugecast_alloc_allocations", "Allocations, where they are counted; a reallocation is one."),
    )?;
    add::<AllocatedBytes>(
        shared,
        registry,
        one("gaugecast_alloc_allocated", "Bytes allocated, where they are counted.").unit(Unit::Bytes),
    )?;
    add::<LiveBytes>(
        shared,
        registry,
        one("gaugecast_alloc_live", "Bytes in use, where allocations are counted.").unit(Unit::Bytes),
    )?;
    add::<Validation>(
        shared,
        registry,
        one(
            "gaugecast_validation_ok",
            "Whether a criterion of the monitor holds: 1 or 0; missing with nothing to judge.",
        ),
    )
}

//! The API by which an application tells how it does: operations, security events, connections, allocations.
mod config;
mod snapshot;

pub use config::{Config, Thresholds};
pub use snapshot::{
    AllocationFigures, ConnectionFigures, Criterion, Errors, Failure, KindCount, OperationFigures, Overview,
    Recent, Run, ScopeFigures, SecurityEvent, SecurityFigures, SecurityKind, SecurityKindFigures, Snapshot,
    SystemFigures, Verdict, WindowFigures,
};

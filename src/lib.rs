//! gaugecast: the live edge of Prometheus.
//!
//! Data goes one way: sources write pages of text ([`collect`], [`registry`]), a tick reads them into the series
//! table ([`series`]), and from the committed tick go `/metrics` ([`exposition`], [`server`]) and the live stream
//! ([`stream`]).

pub mod clock;
pub mod collect;
pub mod exposition;
pub mod registry;
pub mod series;
pub mod server;
pub mod stream;

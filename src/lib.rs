//! gaugecast: the live edge of Prometheus.
//!
//! Data goes one way: sources write pages of text ([`collect`], [`registry`]), a tick reads them into the series
//! table ([`series`]), and from the committed tick go `/metrics` ([`exposition`], [`server`]), the [`history`] and the
//! live stream ([`stream`]), which [`client`] follows from anywhere. [`cli`] reads the command line, [`config`] the
//! settings, [`serve`] puts it all together. [`loadtest`] stands beside: it measures a server from outside. [`provision`] writes the files of the programs around. [`alert`] judges the
//! history by rules, [`detect`] by what a series has done before; [`monitor`] is what an application tells of itself.

#![forbid(unsafe_code)]

pub mod alert;
pub mod build;
pub mod cli;
pub mod client;
pub mod clock;
pub mod collect;
pub mod config;
pub mod detect;
pub mod exposition;
pub mod history;
pub mod http_client;
pub mod loadtest;
pub mod log;
pub mod monitor;
pub mod provision;
pub mod query;
pub mod registry;
pub mod remote;
pub mod series;
pub mod serve;
pub mod server;
mod spelling;
pub mod state;
pub mod stream;
pub mod tls;

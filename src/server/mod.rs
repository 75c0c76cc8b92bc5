//! HTTP: listener, limits, routes.
//!
//! [`App`] is what all requests share, [`Router`] answers one request, [`Server`] listens and runs connections:
//! `Server::bind(App::new(parts)?)?.run(stop)`. A program that has a hyper server of its own takes the
//! [`Router`] as a service, or hands sockets to [`serve_connection`]. What can be asked is listed in [`table`].
//!
//! A connection passes, in this order: [`listener`] (accept, pause when it fails), [`crowd`] (who has to go when
//! there are too many), [`io`] (deadlines), hyper, [`connection`] (framing, requests per connection),
//! [`router`] (`Host`, rate, method, `Origin`, body), [`handlers`]. Each refusal is counted in
//! `gaugecast_http_rejected_total{reason}`. Bounds are in [`Limits`].
//!
//! It ends by the [`CancellationToken`](tokio_util::sync::CancellationToken) given to [`Server::run`].

mod admin;
mod alertmanager;
mod anomalies;
mod app;
mod assets;
mod audit;
pub mod auth;
mod baselines;
mod body;
mod config;
mod connection;
mod crowd;
mod exports;
mod federate;
mod framing;
mod guard;
mod handlers;
mod headers;
mod io;
mod listener;
mod metrics;
mod openapi;
mod problem;
mod pushes;
mod queries;
mod rate;
mod request;
mod router;
mod routes;
mod rules;
mod table;
mod targets;
mod writes;

pub use admin::{Admin, DeadLetters};
pub use app::{App, Parts, Readiness, Reload, Reloaded, Stream};
pub use body::Body;
pub use config::{Config, Limits, external_url};
pub use connection::{SendBuffer, downcast, serve_connection};
pub use crowd::Seat;
pub use io::Io;
pub(crate) use io::set_send_buffer;
pub use listener::{BindError, Drained, Server};
pub use problem::Problem;
pub use router::{Peer, Router};

//! What is looked at before anything is sent: may this target be loaded, are there descriptors and ports enough, and
//! how do the clocks compare.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::connect::{Protocol, Target, clock_offset};
use super::report::Clock;
use super::url::{Transport, with_parameter};
use super::{Error, Options};
use crate::tls::Connector;

/// Descriptors beyond those of the connections.
const SPARE_DESCRIPTORS: u64 = 64;

/// Finds the target, and out whether it may be loaded.
///
/// # Errors
///
/// [`Error`], when it has no address or is not the caller's, there are too few ports, or nobody to believe.
pub(super) async fn target(options: &Options) -> Result<Target, Error> {
    let url = &options.url;
    let resolve = |source| Error::Resolve { host: url.host.clone(), source };
    let mut found = tokio::net::lookup_host((url.host.as_str(), url.port)).await.map_err(resolve)?;
    let address = found.next().ok_or_else(|| resolve(io::ErrorKind::NotFound.into()))?;
    if !address.ip().is_loopback() && options.own_target.as_deref() != Some(url.host.as_str()) {
        return Err(Error::NotOwned { host: url.host.clone() });
    }
    if !address.ip().is_loopback() && options.cycles == 0 {
        return Err(Error::Endless { host: url.host.clone() });
    }
    let ports = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok().and_then(|text| {
        let mut ends = text.split_whitespace().map(|end| end.parse::<usize>().ok());
        Some(ends.next()??..=ends.next()??)
    });
    let sources = match ports.map(|ports| ports.count()) {
        Some(ports) => sources(address, options.connections, ports)
            .ok_or(Error::Ports { connections: options.connections, ports })?,
        None => Vec::new(),
    };
    Ok(Target {
        address,
        name: url.host.clone(),
        host: url.authority(),
        path: path(options),
        transport: url.transport,
        tls: if url.tls { Some(Connector::new(&options.trust)?) } else { None },
        protocol: options.protocol.clone(),
        token: options.token.clone(),
        sources,
        connect_timeout: options.connect_timeout,
        ping_interval: options.ping_interval,
    })
}

/// The path to ask for. Server-sent events are subscribed to by it.
fn path(options: &Options) -> String {
    let url = &options.url;
    match (&options.protocol, url.transport) {
        (Protocol::Any { .. }, _) => url.path.clone(),
        (Protocol::Gaugecast { .. }, Transport::WebSocket) => url.stream_path().to_owned(),
        (Protocol::Gaugecast { selectors, interval_ms }, Transport::Sse) => {
            let begun = url.stream_path().to_owned();
            let path = selectors.iter().fold(begun, |path, one| with_parameter(&path, "match[]", one));
            with_parameter(&with_parameter(&path, "interval", &interval_ms.to_string()), "clamp", "1")
        }
    }
}

/// Addresses to connect from, so that half of `ports` is enough for each: the other half may still wait for the
/// end of TIME_WAIT. None where one address will do; `None` where it does not and there are no others.
fn sources(to: SocketAddr, connections: usize, ports: usize) -> Option<Vec<IpAddr>> {
    let each = (ports / 2).max(1);
    match to.ip() {
        _ if connections <= each => Some(Vec::new()),
        // All of 127.0.0.0/8 is this machine.
        IpAddr::V4(ip) if ip.is_loopback() => {
            let count = u32::try_from(connections.div_ceil(each)).ok()?;
            Some((1..=count).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0001 + n))).collect())
        }
        _ => (connections <= ports).then(Vec::new),
    }
}

/// Raises the limit of descriptors as far as needed.
///
/// # Errors
///
/// When the hard limit is lower.
pub(super) fn allow_descriptors(connections: usize) -> Result<(), Error> {
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(limit) = maximum.filter(|maximum| *maximum < needed) {
        return Err(Error::Descriptors { connections, needed, limit });
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(io::Error::from)?;
    Ok(())
}

/// How the server's clock compares with ours.
pub(super) async fn clock(options: &Options, target: &Target) -> Clock {
    let unknown = |reason: &str| Clock {
        method: "unknown",
        offset_ms: None,
        error_ms: None,
        reason: Some(reason.to_owned()),
    };
    if target.address.ip().is_loopback() {
        return Clock { method: "same_host", offset_ms: Some(0.0), error_ms: Some(0.0), reason: None };
    }
    match options.protocol {
        Protocol::Any { .. } => unknown("the server is elsewhere and does not tell its time"),
        Protocol::Gaugecast { .. } => match clock_offset(target).await {
            Ok((offset, error)) => Clock {
                method: "round_trip",
                offset_ms: Some(offset as f64 / 1000.0),
                error_ms: Some(error as f64 / 1000.0),
                reason: None,
            },
            Err(reason) => unknown(&format!("the server's time could not be asked for: {reason}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_beyond_half_the_ports_come_from_more_loopback_addresses() {
        let loopback = "127.0.0.1:1".parse().unwrap();
        assert_eq!(sources(loopback, 100, 200), Some(vec![]));
        let two: Vec<IpAddr> = vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        assert_eq!(sources(loopback, 101, 200), Some(two));
        let elsewhere = "192.0.2.1:1".parse().unwrap();
        assert_eq!((sources(elsewhere, 200, 200), sources(elsewhere, 201, 200)), (Some(vec![]), None));
    }

    #[test]
    fn more_descriptors_than_the_hard_limit_are_refused_with_the_number_needed() {
        let error = allow_descriptors(usize::MAX / 2).unwrap_err().to_string();
        let limit = getrlimit(Resource::Nofile).maximum.unwrap();
        assert!(error.contains(&format!("{limit} are allowed; raise the hard limit (ulimit -Hn")), "{error}");
    }
}

//! The table of settings, the one place that says what can be set.
//!
//! A row gives a setting its flag, its key in the file, its type with the bounds, its place in [`Config`] and
//! one line of help. The environment name follows from the flag, the default from `Config::default()`. Flags,
//! environment, file, `--help`, `config show`, `config default`, docs/configuration.md and the JSON Schema are
//! all made from these rows.

use std::sync::LazyLock;
use std::time::Duration;

use super::Config;
use super::check;
use super::field::{Field, duration, size};
use crate::alert::receivers;
use crate::collect::catalog;
use crate::collect::filter::FILTERS;
use crate::collect::scrape;
use crate::log;

/// One setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Flag without dashes: `web.listen-address`.
    pub flag: String,
    /// Path in the file: `web.listen_address`. None for what only flag and environment can say.
    pub key: Option<String>,
    /// Type, bounds and place.
    pub field: Field,
    /// One line, no full stop.
    pub help: String,
    /// The heading it stands under.
    pub group: Group,
    /// Few ever need it, so it is left to `--help-all`.
    pub rare: bool,
    /// Its value is shown to nobody.
    pub secret: bool,
    /// It is read at the start only; the others follow a reload.
    pub at_start: bool,
}

/// A heading in help and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The file itself.
    Config,
    /// HTTP.
    Web,
    /// Collection.
    Collect,
    /// Scraping other targets.
    Scrape,
    /// Limits of the stream.
    Stream,
    /// History.
    History,
    /// Queries.
    Query,
    /// Rules, manager, receivers.
    Alert,
    /// Detectors.
    Detect,
    /// Logging.
    Log,
    /// Collectors: switches and filters.
    Collectors,
}

impl Group {
    /// All, in the order they are shown.
    pub const ALL: [Group; 11] = [
        Group::Config,
        Group::Web,
        Group::Collect,
        Group::Scrape,
        Group::Stream,
        Group::History,
        Group::Query,
        Group::Alert,
        Group::Detect,
        Group::Log,
        Group::Collectors,
    ];

    /// The heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Group::Config => "Configuration file",
            Group::Web => "Web",
            Group::Collect => "Collection",
            Group::Scrape => "Scraping other targets",
            Group::Stream => "Stream",
            Group::History => "History",
            Group::Query => "Queries",
            Group::Alert => "Rules and alerts",
            Group::Detect => "Detection of anomalies",
            Group::Log => "Log",
            Group::Collectors => "Collectors",
        }
    }
}

impl Setting {
    /// What stands for a value in help: `ADDR`.
    #[must_use]
    pub fn placeholder(&self) -> &'static str {
        let last = self.flag.rsplit(['.', '-']).next().unwrap_or_default();
        match &self.field {
            Field::Bool(_) | Field::Switch(..) => "true|false",
            Field::Count(..) => "N",
            Field::Size(..) => "SIZE",
            Field::Duration(..) => "DURATION",
            Field::Path(_) | Field::OptionalPath(_) | Field::Paths(_) => "PATH",
            Field::Addresses(_) => "ADDR",
            Field::Filter(..) => "REGEX",
            Field::Intervals(..) => "NAME=DURATION",
            Field::Text(..) | Field::OptionalText(..) | Field::Texts(..) | Field::Choice { .. } => match last
            {
                "host" => "HOST",
                "origin" => "ORIGIN",
                "url" | "scrape" => "URL",
                "path" | "prefix" => "PATH",
                "level" => "LEVEL",
                "format" => "FORMAT",
                _ => "TEXT",
            },
        }
    }

    /// Name of the environment variable: `GAUGECAST_WEB_LISTEN_ADDRESS`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("GAUGECAST_{}", self.flag.replace(['.', '-'], "_").to_uppercase())
    }
}

/// All settings, in the order they are shown.
#[must_use]
pub fn settings() -> &'static [Setting] {
    static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(table);
    &SETTINGS
}

/// The setting of a flag.
#[must_use]
pub fn by_flag(flag: &str) -> Option<&'static Setting> {
    settings().iter().find(|setting| setting.flag == flag)
}

/// Keys of Prometheus' configuration file that this version has no use for, and that change what is collected or sent.
/// They are refused by name, since a block that is copied from Prometheus and does nothing would be worse than an error.
pub(crate) const UNSUPPORTED: &[&str] =
    &["global.scrape_protocols", "otlp", "remote_read", "scrape_config_files"];

/// Keys of Prometheus' configuration file that are none of scraping: they are let be with a warning, so that the file
/// of a Prometheus can be used as it is.
pub(crate) const INEFFECTIVE: &[&str] = &[
    "global.query_log_file",
    "global.rule_query_offset",
    "runtime",
    "storage.exemplars",
    "storage.tsdb",
    "tracing",
    "tsdb",
];

fn row(group: Group, flag: &str, key: &str, field: Field, help: &str) -> Setting {
    let live = matches!(group, Group::Collectors | Group::Scrape)
        || flag.starts_with("alert.")
        || flag.starts_with("path.")
        || flag.starts_with("rules.")
        || flag == "log.level";
    Setting {
        at_start: !live,
        flag: flag.into(),
        key: (!key.is_empty()).then(|| key.into()),
        field,
        help: help.into(),
        group,
        rare: false,
        secret: false,
    }
}

fn rare(row: Setting) -> Setting {
    Setting { rare: true, ..row }
}

fn secret(row: Setting) -> Setting {
    Setting { rare: true, secret: true, ..row }
}

fn table() -> Vec<Setting> {
    use Field::{Addresses, Bool, Choice, Count, OptionalPath, OptionalText, Path, Paths, Text, Texts};
    let mut rows = vec![
        row(
            Group::Config,
            "config.file",
            "",
            OptionalPath(|c| &mut c.file.path),
            "File to read, by default gaugecast.yml if there is one",
        ),
        row(
            Group::Config,
            "config.strict",
            "",
            Bool(|c| &mut c.file.strict),
            "Take warnings about the configuration as errors",
        ),
        row(
            Group::Web,
            "web.listen-address",
            "web.listen_address",
            Addresses(|c| &mut c.server.listen),
            "IP:PORT to listen on, :PORT is all; repeatable",
        ),
        rare(row(
            Group::Web,
            "web.systemd-socket",
            "web.systemd_socket",
            Bool(|c| &mut c.server.systemd_socket),
            "Take the sockets that systemd hands over, instead of web.listen-address",
        )),
        row(
            Group::Web,
            "web.insecure-no-auth",
            "web.insecure_no_auth",
            Bool(|c| &mut c.server.insecure_no_auth),
            "Allow listening beyond this machine without authentication",
        ),
        row(
            Group::Web,
            "web.telemetry-path",
            "web.telemetry_path",
            Text(|c| &mut c.server.telemetry_path, check::telemetry_path),
            "Path of the metrics",
        ),
        rare(row(
            Group::Web,
            "web.max-requests",
            "web.max_requests",
            Count(|c| (&mut c.server.max_requests).into(), 0, 1_000_000),
            "Parallel scrapes before 503; 0 is no limit",
        )),
        row(
            Group::Web,
            "web.allowed-host",
            "web.allowed_host",
            Texts(|c| &mut c.server.allowed_hosts, check::allowed_host),
            "Host name to answer to, besides ours; repeatable",
        ),
        row(
            Group::Web,
            "web.allowed-origin",
            "web.allowed_origin",
            Texts(|c| &mut c.server.allowed_origins, check::origin),
            "Origin that may read the stream, besides ours; repeatable",
        ),
        row(
            Group::Web,
            "web.external-url",
            "web.external_url",
            OptionalText(|c| &mut c.server.external_url, check::external_url),
            "URL under which browsers reach this server, behind a proxy",
        ),
        rare(row(
            Group::Web,
            "web.route-prefix",
            "web.route_prefix",
            Text(|c| &mut c.server.route_prefix, check::route_prefix),
            "Prefix of all paths; without it the path of the external URL",
        )),
        rare(row(
            Group::Web,
            "web.token-file",
            "web.token_file",
            OptionalPath(|c| &mut c.server.token_file),
            "Tokens that requests need, as `gaugecast token` writes them",
        )),
        rare(row(
            Group::Web,
            "web.public-metrics",
            "web.public_metrics",
            Bool(|c| &mut c.server.public_metrics),
            "Let /metrics and /federate be read without a token",
        )),
        rare(row(
            Group::Web,
            "web.audit-file",
            "web.audit_file",
            OptionalPath(|c| &mut c.server.audit_file),
            "File that tells who changed what, a line of JSON each",
        )),
        rare(row(
            Group::Web,
            "web.enable-lifecycle",
            "web.enable_lifecycle",
            Bool(|c| &mut c.server.enable_lifecycle),
            "Let POST /-/reload read the configuration again",
        )),
        rare(row(
            Group::Web,
            "web.limit.header-size",
            "web.limit.header_size",
            size(|c| &mut c.server.limits.header_bytes, 8 << 10, 1 << 20),
            "Size of request line and headers; over it 431",
        )),
        rare(row(
            Group::Web,
            "web.limit.headers",
            "web.limit.headers",
            Count(|c| (&mut c.server.limits.headers).into(), 10, 1_000),
            "Number of headers; over it 431",
        )),
        rare(row(
            Group::Web,
            "web.limit.header-deadline",
            "web.limit.header_deadline",
            duration(|c| &mut c.server.limits.header_deadline, 100, 600_000),
            "From the first byte of a request to the end of its headers; then 408",
        )),
        rare(row(
            Group::Web,
            "web.limit.idle",
            "web.limit.idle",
            duration(|c| &mut c.server.limits.idle, 1_000, 86_400_000),
            "How long a connection may wait between requests",
        )),
        rare(row(
            Group::Web,
            "web.limit.body-size",
            "web.limit.body_size",
            size(|c| &mut c.server.limits.body_bytes, 1 << 10, 1 << 30),
            "Size of a request body; over it 413",
        )),
        rare(row(
            Group::Web,
            "web.limit.push-size",
            "web.limit.push_size",
            size(|c| &mut c.server.limits.push_bytes, 1 << 10, 1 << 30),
            "Size of the body of a push (remote write); over it 413",
        )),
        rare(row(
            Group::Web,
            "web.limit.requests-per-connection",
            "web.limit.requests_per_connection",
            Count(|c| (&mut c.server.limits.requests_per_connection).into(), 1, 4_000_000_000),
            "Requests of one connection; then it is closed",
        )),
        rare(row(
            Group::Web,
            "web.limit.connections",
            "web.limit.connections",
            Count(|c| (&mut c.server.limits.connections).into(), 16, 10_000_000),
            "Connections in all, streams included",
        )),
        rare(row(
            Group::Web,
            "web.limit.half-open",
            "web.limit.half_open",
            Count(|c| (&mut c.server.limits.half_open).into(), 16, 10_000_000),
            "Connections that have not sent a whole request; the oldest makes room",
        )),
        rare(row(
            Group::Web,
            "web.limit.rate",
            "web.limit.rate",
            Count(|c| (&mut c.server.limits.rate).into(), 1, 1_000_000),
            "Requests per second of one address, loopback exempt; over it 429",
        )),
        rare(row(
            Group::Web,
            "web.limit.rate-burst",
            "web.limit.rate_burst",
            Count(|c| (&mut c.server.limits.rate_burst).into(), 1, 10_000_000),
            "How many requests may come at once before the rate counts",
        )),
        rare(row(
            Group::Web,
            "web.limit.drain",
            "web.limit.drain",
            duration(|c| &mut c.server.limits.drain, 0, 600_000),
            "How long answers in flight may take once the server stops",
        )),
        row(
            Group::Collect,
            "collect.tick",
            "global.tick",
            duration(|c| &mut c.collect.tick, 1, 60_000),
            "Time between collections",
        ),
        rare(row(
            Group::Collect,
            "collect.series-limit",
            "collect.series_limit",
            Count(|c| (&mut c.collect.series_limit).into(), 1_000, 100_000_000),
            "Most series; what is beyond is refused and counted",
        )),
        rare(row(
            Group::Collect,
            "push.ttl",
            "push.ttl",
            duration(|c| &mut c.collect.push_ttl, 1_000, 3_155_760_000_000),
            "How long a group of pushed metrics stays without being pushed again",
        )),
        rare(row(
            Group::Collect,
            "path.procfs",
            "path.procfs",
            Path(|c| &mut c.collect.paths.procfs),
            "Where procfs is mounted",
        )),
        rare(row(
            Group::Collect,
            "path.sysfs",
            "path.sysfs",
            Path(|c| &mut c.collect.paths.sysfs),
            "Where sysfs is mounted",
        )),
        row(
            Group::Collect,
            "path.rootfs",
            "path.rootfs",
            Path(|c| &mut c.collect.paths.rootfs),
            "Where the host's root is mounted, inside a container",
        ),
        row(
            Group::Scrape,
            "scrape",
            "",
            Texts(|c| &mut c.scrape.urls, scrape::check_url),
            "URL or HOST:PORT to scrape, under the job `scrape`; repeatable",
        ),
        rare(row(
            Group::Scrape,
            "scrape.interval",
            "global.scrape_interval",
            duration(|c| &mut c.scrape.interval, 1, 86_400_000),
            "Time between scrapes of a target",
        )),
        rare(row(
            Group::Scrape,
            "scrape.timeout",
            "global.scrape_timeout",
            duration(|c| &mut c.scrape.timeout, 0, 86_400_000),
            "How long a scrape may take; 0 is the interval, at most 10s",
        )),
        rare(row(
            Group::Scrape,
            "scrape.body-size-limit",
            "global.body_size_limit",
            size(|c| &mut c.scrape.limits.body_size, 0, 4 << 30),
            "Size of a page, decompressed; 0 is no limit",
        )),
        rare(row(
            Group::Scrape,
            "scrape.sample-limit",
            "global.sample_limit",
            Count(|c| (&mut c.scrape.limits.samples).into(), 0, 100_000_000),
            "Samples of a scrape after relabelling; 0 is no limit",
        )),
        rare(row(
            Group::Scrape,
            "scrape.label-limit",
            "global.label_limit",
            Count(|c| (&mut c.scrape.limits.labels).into(), 0, 1_000_000),
            "Labels of a sample; 0 is no limit",
        )),
        rare(row(
            Group::Scrape,
            "scrape.label-name-length-limit",
            "global.label_name_length_limit",
            Count(|c| (&mut c.scrape.limits.label_name).into(), 0, 1_000_000),
            "Bytes of a label name; 0 is no limit",
        )),
        rare(row(
            Group::Scrape,
            "scrape.label-value-length-limit",
            "global.label_value_length_limit",
            Count(|c| (&mut c.scrape.limits.label_value).into(), 0, 1_000_000),
            "Bytes of a label value; 0 is no limit",
        )),
        rare(row(
            Group::Scrape,
            "scrape.target-limit",
            "global.target_limit",
            Count(|c| (&mut c.scrape.limits.targets).into(), 0, 1_000_000),
            "Targets of a job; with more all of them fail; 0 is no limit",
        )),
        row(
            Group::Stream,
            "stream.max-clients",
            "stream.max_clients",
            Count(|c| (&mut c.stream.max_clients).into(), 0, 10_000_000),
            "Most connections",
        ),
        rare(row(
            Group::Stream,
            "stream.max-subscriptions",
            "stream.max_subscriptions",
            Count(|c| (&mut c.stream.max_subscriptions).into(), 1, 100_000),
            "Subscriptions of one connection",
        )),
        rare(row(
            Group::Stream,
            "stream.max-series",
            "stream.max_series",
            Count(|c| (&mut c.stream.max_series).into(), 1, 100_000_000),
            "Series of one subscription",
        )),
        rare(row(
            Group::Stream,
            "stream.max-message",
            "stream.max_message",
            size(|c| &mut c.stream.max_message, 1 << 10, 16 << 20),
            "Size of one message from a client",
        )),
        rare(row(
            Group::Stream,
            "stream.ping",
            "stream.ping",
            duration(|c| &mut c.stream.ping, 1_000, 3_600_000),
            "Silence after which the server pings",
        )),
        rare(row(
            Group::Stream,
            "stream.pong-timeout",
            "stream.pong_timeout",
            duration(|c| &mut c.stream.pong_timeout, 100, 3_600_000),
            "How long it waits for the pong",
        )),
        rare(row(
            Group::Stream,
            "stream.hello-timeout",
            "stream.hello_timeout",
            duration(|c| &mut c.stream.hello_timeout, 100, 3_600_000),
            "How long a new connection may say nothing",
        )),
        rare(row(
            Group::Stream,
            "stream.max-clients-per-ip",
            "stream.max_clients_per_ip",
            Count(|c| (&mut c.stream.max_clients_per_ip).into(), 0, 10_000_000),
            "Connections of one address, loopback exempt; 0 is no limit",
        )),
        rare(row(
            Group::Stream,
            "stream.max-new-per-second",
            "stream.max_new_per_second",
            Count(|c| (&mut c.stream.max_new_per_second).into(), 0, 1_000_000),
            "New connections a second in the long run; 0 is no limit",
        )),
        rare(row(
            Group::Stream,
            "stream.max-new-burst",
            "stream.max_new_burst",
            Count(|c| (&mut c.stream.max_new_burst).into(), 1, 10_000_000),
            "New connections that may come at once before their rate counts",
        )),
        rare(row(
            Group::Stream,
            "stream.max-channels",
            "stream.max_channels",
            Count(|c| (&mut c.stream.max_channels).into(), 1, 1_000_000),
            "Distinct selections of all connections",
        )),
        rare(row(
            Group::Stream,
            "stream.max-queries",
            "stream.max_queries",
            Count(|c| (&mut c.stream.max_queries).into(), 1, 1_000_000),
            "Distinct PromQL queries of all subscriptions",
        )),
        rare(row(
            Group::Stream,
            "stream.commands-per-second",
            "stream.commands_per_second",
            Count(|c| (&mut c.stream.commands_per_second).into(), 1, 100_000),
            "Commands of one connection, and as many at once",
        )),
        rare(row(
            Group::Stream,
            "stream.stall-timeout",
            "stream.stall_timeout",
            duration(|c| &mut c.stream.stall_timeout, 100, 3_600_000),
            "How long a client may read nothing while something waits for it",
        )),
        rare(row(
            Group::Stream,
            "stream.drain",
            "stream.drain",
            duration(|c| &mut c.stream.drain, 0, 600_000),
            "Over how long goodbyes are spread when the server stops",
        )),
        rare(row(
            Group::Stream,
            "stream.performance",
            "stream.performance",
            duration(|c| &mut c.stream.performance, 100, 3_600_000),
            "How often clients that ask are told how server and connection fare",
        )),
        rare(row(
            Group::Stream,
            "stream.flush-interval",
            "stream.flush_interval",
            duration(|c| &mut c.stream.flush_interval, 0, 1_000),
            "Least time between two rounds of writes; 0 writes at every tick",
        )),
        rare(row(
            Group::Stream,
            "stream.send-buffer",
            "stream.send_buffer",
            size(|c| &mut c.stream.send_buffer, 4 << 10, 16 << 20),
            "What the kernel may hold for a client (SO_SNDBUF)",
        )),
        row(
            Group::History,
            "history.retention",
            "history.retention",
            duration(|c| &mut c.history.retention, 1_000, 1000 * 365 * 86_400_000),
            "How long samples are kept",
        ),
        row(
            Group::History,
            "history.max-size",
            "history.max_size",
            size(|c| &mut c.history.max_size, 1 << 20, 1 << 40),
            "Memory; over it the oldest samples go first",
        ),
        row(
            Group::History,
            "storage.path",
            "storage.path",
            OptionalPath(|c| &mut c.history.storage),
            "Folder in which the history survives a restart",
        ),
        rare(row(
            Group::Query,
            "query.max-concurrency",
            "query.max_concurrency",
            Count(|c| (&mut c.query.max_concurrency).into(), 1, 400),
            "Queries evaluated at once; ten times as many may wait, then 503",
        )),
        rare(row(
            Group::Query,
            "query.timeout",
            "query.timeout",
            duration(|c| &mut c.query.timeout, 1, 86_400_000),
            "How long a query may wait and take",
        )),
        rare(row(
            Group::Query,
            "query.max-samples",
            "query.max_samples",
            Count(|c| (&mut c.query.max_samples).into(), 1, 10_000_000_000),
            "Most samples a query may hold, 16 bytes each",
        )),
        rare(row(
            Group::Query,
            "query.lookback-delta",
            "query.lookback_delta",
            duration(|c| &mut c.query.lookback_delta, 1, 86_400_000),
            "How old the last sample of a series may be",
        )),
        rare(row(
            Group::Alert,
            "rules.evaluation-interval",
            "global.evaluation_interval",
            duration(|c| &mut c.alert.rules.interval, 1, 86_400_000),
            "How often rules are evaluated whose group says nothing else",
        )),
        rare(row(
            Group::Alert,
            "rules.built-in",
            "rules.built_in",
            Bool(|c| &mut c.alert.rules.built_in),
            "Evaluate the rules for the host and the monitor that gaugecast brings along",
        )),
        rare(row(
            Group::Alert,
            "monitor.max-operations",
            "monitor.max_operations",
            Count(|c| (&mut c.monitor.max_operations).into(), 1, 10_000),
            "Operations of an application counted apart; what is beyond is one",
        )),
        rare(row(
            Group::Alert,
            "monitor.interval",
            "monitor.interval",
            duration(|c| &mut c.monitor.interval, 100, 3_600_000),
            "How often the figures of an application are judged",
        )),
        rare(row(
            Group::Alert,
            "monitor.window",
            "monitor.window",
            duration(|c| &mut c.monitor.window, 5_000, 3_600_000),
            "Over how long they are judged",
        )),
        rare(row(
            Group::Alert,
            "monitor.mean-response",
            "monitor.mean_response",
            duration(|c| &mut c.monitor.thresholds.mean_response, 1, 3_600_000),
            "Mean duration of operations that is still good",
        )),
        rare(row(
            Group::Alert,
            "monitor.errors-per-thousand",
            "monitor.errors_per_thousand",
            Count(|c| (&mut c.monitor.thresholds.errors_per_thousand).into(), 0, 1_000),
            "Failed operations in a thousand that are still good",
        )),
        rare(row(
            Group::Alert,
            "monitor.leaked-size",
            "monitor.leaked_size",
            size(|c| &mut c.monitor.thresholds.leaked_bytes, 0, 1 << 40),
            "Memory that may remain after a scope checked for leaks",
        )),
        rare(row(
            Group::Alert,
            "monitor.allocations-per-second",
            "monitor.allocations_per_second",
            Count(|c| (&mut c.monitor.thresholds.allocations_per_second).into(), 0, 1_000_000_000_000),
            "Allocations that are still good, where they are counted",
        )),
        rare(row(
            Group::Alert,
            "alert.smtp-smarthost",
            "global.smtp_smarthost",
            OptionalText(|c| &mut c.alert.receivers.global.smtp_smarthost, receivers::check_smarthost),
            "HOST:PORT of the server that takes mail, for receivers that name none",
        )),
        rare(row(
            Group::Alert,
            "alert.smtp-from",
            "global.smtp_from",
            OptionalText(|c| &mut c.alert.receivers.global.smtp_from, receivers::check_mailbox),
            "Sender of mail, for receivers that name none",
        )),
        rare(row(
            Group::Alert,
            "alert.smtp-hello",
            "global.smtp_hello",
            OptionalText(|c| &mut c.alert.receivers.global.smtp_hello, receivers::check_nothing),
            "Name that we give the mail server, localhost by default",
        )),
        rare(row(
            Group::Alert,
            "alert.smtp-auth-username",
            "global.smtp_auth_username",
            OptionalText(|c| &mut c.alert.receivers.global.smtp_auth_username, receivers::check_nothing),
            "User at the mail server, for receivers that name none",
        )),
        secret(row(
            Group::Alert,
            "alert.smtp-auth-password",
            "global.smtp_auth_password",
            OptionalText(|c| &mut c.alert.receivers.global.smtp_auth_password, receivers::check_nothing),
            "Password of that user",
        )),
        rare(row(
            Group::Alert,
            "alert.smtp-auth-password-file",
            "global.smtp_auth_password_file",
            OptionalPath(|c| &mut c.alert.receivers.global.smtp_auth_password_file),
            "File with the password of that user",
        )),
        rare(row(
            Group::Alert,
            "alert.smtp-require-tls",
            "global.smtp_require_tls",
            Bool(|c| &mut c.alert.receivers.global.smtp_require_tls),
            "Send mail over encrypted connections only",
        )),
        secret(row(
            Group::Alert,
            "alert.slack-api-url",
            "global.slack_api_url",
            OptionalText(|c| &mut c.alert.receivers.global.slack_api_url, receivers::check_nothing),
            "Incoming webhook of Slack, for receivers that name none",
        )),
        rare(row(
            Group::Alert,
            "alert.slack-api-url-file",
            "global.slack_api_url_file",
            OptionalPath(|c| &mut c.alert.receivers.global.slack_api_url_file),
            "File with the incoming webhook of Slack",
        )),
        rare(row(
            Group::Alert,
            "alert.pagerduty-url",
            "global.pagerduty_url",
            Text(|c| &mut c.alert.receivers.global.pagerduty_url, receivers::check_url),
            "Where PagerDuty takes events",
        )),
        rare(row(
            Group::Detect,
            "detect.enabled",
            "detect.enabled",
            Bool(|c| &mut c.detect.enabled),
            "Watch series for anomalies",
        )),
        rare(row(
            Group::Detect,
            "detect.max-series",
            "detect.max_series",
            Count(|c| (&mut c.detect.max_series).into(), 0, 100_000),
            "Series watched at most; a detector takes up to 60 KB",
        )),
        rare(row(
            Group::Detect,
            "detect.bounds",
            "detect.bounds",
            Bool(|c| &mut c.detect.bounds),
            "Also expose what is expected of each watched series, with its bounds",
        )),
        row(
            Group::Log,
            "log.level",
            "log.level",
            Choice {
                words: log::Level::WORDS,
                get: |c| c.log.level.word(),
                set: |c, i| c.log.level = log::Level::ALL[i],
            },
            "Least severe messages to show",
        ),
        row(
            Group::Log,
            "log.format",
            "log.format",
            Choice {
                words: log::Format::WORDS,
                get: |c| c.log.format.word(),
                set: |c, i| c.log.format = log::Format::ALL[i],
            },
            "Form of the messages, on stderr",
        ),
        rare(row(
            Group::Alert,
            "alert.cooldown",
            "alert.cooldown",
            duration(|c| &mut c.alert.manager.limits.cooldown, 0, 86_400_000),
            "An alert that fires again so soon after its end is the same one",
        )),
        rare(row(
            Group::Alert,
            "alert.rate",
            "alert.rate",
            Count(|c| (&mut c.alert.manager.limits.per_receiver).into(), 1, 10_000),
            "Most notifications a minute to one receiver; the rest follow in a digest",
        )),
        rare(row(
            Group::Alert,
            "alert.total-rate",
            "alert.total_rate",
            Count(|c| (&mut c.alert.manager.limits.total).into(), 1, 100_000),
            "Most notifications a minute to all receivers",
        )),
        rare(row(
            Group::Alert,
            "alert.flap-changes",
            "alert.flap_changes",
            Count(|c| (&mut c.alert.manager.limits.flap_changes).into(), 1, 1000),
            "More changes than this within the window are flapping",
        )),
        rare(row(
            Group::Alert,
            "alert.flap-window",
            "alert.flap_window",
            duration(|c| &mut c.alert.manager.limits.flap_window, 1_000, 86_400_000),
            "The window of flapping, and how long it has to be quiet afterwards",
        )),
        row(
            Group::Collectors,
            "collector.deadline",
            "collectors.deadline",
            duration(|c| &mut c.collect.deadline, 10, 60_000),
            "How long a collector may take before it counts as failed",
        ),
        rare(row(
            Group::Collectors,
            "collector.interval",
            "collectors.interval",
            Field::Intervals(
                |c| &mut c.collect.intervals,
                Duration::from_millis(1),
                Duration::from_secs(3600),
            ),
            "How often a collector runs if not at every tick, rounded up to ticks; repeatable",
        )),
        row(
            Group::Collectors,
            "collector.disable-defaults",
            "collectors.disable_defaults",
            Bool(|c| &mut c.collect.disable_defaults),
            "Run only the collectors that are switched on by name",
        ),
    ];
    for collector in catalog::all() {
        let name = collector.name;
        rows.push(row(
            Group::Collectors,
            &format!("collector.{name}"),
            &format!("collectors.{name}.enabled"),
            Field::Switch(name, collector.default),
            collector.about,
        ));
        if name == "textfile" {
            rows.push(row(
                Group::Collectors,
                "collector.textfile.directory",
                "collectors.textfile.directory",
                Paths(|c| &mut c.collect.textfile_directories),
                "Folder of *.prom files; repeatable",
            ));
        }
        if name == "synthetic" {
            rows.push(row(
                Group::Collectors,
                "collector.synthetic.series",
                "collectors.synthetic.series",
                Count(|c| (&mut c.collect.synthetic.series).into(), 1, 1_000_000),
                "How many there are",
            ));
            rows.push(row(
                Group::Collectors,
                "collector.synthetic.changing",
                "collectors.synthetic.changing",
                Count(|c| (&mut c.collect.synthetic.changing).into(), 0, 1_000_000),
                "How many of them change in a tick",
            ));
        }
        let prefix = format!("collector.{name}.");
        for filter in FILTERS.iter().filter(|filter| filter.flag.starts_with(&prefix)) {
            rows.push(row(
                Group::Collectors,
                filter.flag,
                &filter.flag.replacen("collector.", "collectors.", 1).replace('-', "_"),
                Field::Filter(filter.flag, filter.default),
                filter.about,
            ));
        }
    }
    rows
}

/// Value of a setting in a configuration without any source: its default.
#[must_use]
pub fn default_of(setting: &Setting) -> super::field::Shown {
    setting.field.get(&mut Config::default())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_settings_share_a_flag_a_key_or_a_variable() {
        let all = settings();
        let flags: HashSet<_> = all.iter().map(|s| &s.flag).collect();
        let keys: HashSet<_> = all.iter().filter_map(|s| s.key.as_ref()).collect();
        let envs: HashSet<_> = all.iter().map(Setting::env).collect();
        assert_eq!(flags.len(), all.len());
        assert_eq!(keys.len(), all.iter().filter(|s| s.key.is_some()).count());
        assert_eq!(envs.len(), all.len());
    }

    #[test]
    fn no_key_is_also_a_section_and_none_is_listed_as_unsupported() {
        for setting in settings() {
            let Some(key) = &setting.key else { continue };
            assert!(!UNSUPPORTED.contains(&key.as_str()) && !INEFFECTIVE.contains(&key.as_str()), "{key}");
            let section = format!("{key}.");
            assert!(
                settings().iter().all(|s| s.key.as_ref().is_none_or(|k| !k.starts_with(&section))),
                "{key}"
            );
        }
    }

    #[test]
    fn every_default_reads_back_as_itself() {
        for setting in settings() {
            let default = default_of(setting);
            let mut config = Config::default();
            let set = setting.field.set(&mut config, &default.words());
            assert!(set.is_ok(), "{}: {set:?}", setting.flag);
            assert_eq!(setting.field.get(&mut config), default, "{}", setting.flag);
        }
    }

    #[test]
    fn help_is_one_line_without_a_full_stop() {
        for setting in settings() {
            assert!(!setting.help.ends_with('.') && !setting.help.contains('\n'), "{}", setting.flag);
            assert!(setting.help.len() <= 80, "{}", setting.flag);
        }
    }
}

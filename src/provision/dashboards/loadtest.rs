//! Load test: the figures that `gaugecast loadtest --web.listen-address` publishes, above all of a monitor that runs over and over.

use super::model::{
    BYTES, COUNT, Dashboard, Panel, RATE, RATIO, REQUESTS, Row, SECONDS, lines, stat, states,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "loadtest",
        title: "gaugecast: load test",
        description: "A load test while it runs, and the verdicts of whole tests: gaugecast loadtest --web.listen-address.",
        family: "gaugecast_loadtest_connections_planned",
        labels: &[],
        rows: vec![
            glance(),
            Row::new("While it runs", running()),
            Row::new("Whole tests", tests()),
            Row::new("Times of the last whole test", times()),
        ],
    }
}

fn glance() -> Row {
    Row::by_instance(vec![
        stat("Connections", COUNT, "Connections that are live.")
            .query("gaugecast_loadtest_connections{@}", "live"),
        stat("Messages", REQUESTS, "Messages received.")
            .query("rate(gaugecast_loadtest_messages_total{@}[@])", "received"),
        stat("Errors", COUNT, "Errors of connections in the last five minutes.")
            .query("increase(gaugecast_loadtest_errors_total{@}[5m])", "errors")
            .above(1.0, 10.0),
        stat(
            "Delivery p95",
            SECONDS,
            "From the moment a broadcast was due to its arrival, in the last whole test.",
        )
        .query("gaugecast_loadtest_latency_seconds{@,of=\"delivery\",stat=\"p95\"}", "p95")
        .above(0.05, 0.1),
        stat("Uptime", RATIO, "Share of the connections that stayed, in the last whole test.")
            .query("gaugecast_loadtest_ratio{@,of=\"uptime\"}", "uptime")
            .below(0.999, 0.99),
        stat(
            "Criteria failed",
            COUNT,
            "Criteria that did not hold in the last whole test, or were not judged.",
        )
        .query(
            "count by (instance) (gaugecast_loadtest_criterion_met{@} == 0) \
                 or 0 * sum by (instance) (gaugecast_loadtest_connections{@})",
            "failed",
        )
        .above(1.0, 1.0),
        stat(
            "Generator",
            COUNT,
            "Whether the generator itself was at its limit: then the figures say nothing of the server.",
        )
        .query("gaugecast_loadtest_generator_saturated{@}", "")
        .above(1.0, 1.0)
        .words(&[(0.0, "at ease", "green"), (1.0, "saturated", "red")]),
        stat("Last test", SECONDS, "How long ago the last whole test ended.")
            .query("time() - gaugecast_loadtest_last_cycle_timestamp_seconds{@}", "ago"),
    ])
}

fn running() -> Vec<Panel> {
    vec![
        lines("Connections", COUNT, "Live now, and how many should be.")
            .query("gaugecast_loadtest_connections{@}", "live · {{instance}}")
            .query("gaugecast_loadtest_connections_planned{@}", "planned · {{instance}}"),
        lines("Messages", REQUESTS, "Messages received by all connections.")
            .query("rate(gaugecast_loadtest_messages_total{@}[@])", "{{instance}}"),
        lines("Errors", RATE, "Errors of connections.")
            .query("rate(gaugecast_loadtest_errors_total{@}[@])", "{{instance}}"),
        lines("CPU of the generator", COUNT, "Cores that the load tester uses.")
            .query("rate(process_cpu_seconds_total{@}[@])", "{{instance}}")
            .wide(12),
        lines("Memory of the generator", BYTES, "Resident memory of the load tester.")
            .query("process_resident_memory_bytes{@}", "{{instance}}")
            .wide(12),
    ]
}

fn tests() -> Vec<Panel> {
    vec![
        lines("Verdicts", COUNT, "Whole tests of the last hour, by verdict.")
            .query("increase(gaugecast_loadtest_cycles_total{@}[1h])", "{{verdict}} · {{instance}}"),
        lines("Shares", RATIO, "Uptime, connections made, clients reached and the like, by whole test.")
            .query("gaugecast_loadtest_ratio{@}", "{{of}} · {{instance}}")
            .to(1.0),
        lines("Broadcasts", RATE, "Broadcasts a second that arrived, by whole test.")
            .query("gaugecast_loadtest_broadcasts_per_second{@}", "{{instance}}"),
        states("Criteria", "Which criteria held, by whole test.")
            .query("gaugecast_loadtest_criterion_met{@}", "{{criterion}} · {{instance}}")
            .words(&[(0.0, "fails", "red"), (1.0, "holds", "green")]),
    ]
}

fn times() -> Vec<Panel> {
    let of = |title, of: &str, description| {
        lines(title, SECONDS, description)
            .query(&format!("gaugecast_loadtest_latency_seconds{{@,of=\"{of}\"}}"), "{{stat}} · {{instance}}")
    };
    vec![
        of("Connecting", "connect", "From the moment a connection was due to the end of its handshake."),
        of(
            "Delivery",
            "delivery",
            "From the moment a broadcast was due to its arrival, each message of each client.",
        )
        .above(0.05, 0.1),
        of(
            "Last client",
            "broadcast",
            "From the moment a broadcast was due to its arrival at the last client.",
        ),
        of("Round trip", "rtt", "From the moment a ping was due to its pong.").wide(12),
        of("Recovery", "recovery", "From the cut of a connection to the first frame after it.").wide(12),
    ]
}

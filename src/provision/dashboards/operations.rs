//! Application operations: what a program tells by the monitor.

use super::model::{
    BYTES, BYTES_RATE, COUNT, Dashboard, Panel, RATE, RATIO, REQUESTS, Row, SECONDS, bars, heatmap, lines,
    stacked, stat, states,
};

const HISTOGRAM: &str = "gaugecast_operation_duration_seconds";
/// Of the operations chosen.
const CHOSEN: &str = "{@,operation=~\"$operation\"}";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "operations",
        title: "gaugecast: application operations",
        description: "Operations, connections and events of security of programs that embed gaugecast's monitor.",
        family: "gaugecast_operations_total",
        labels: &[("operation", "Operation")],
        rows: vec![
            glance(),
            Row::new("Operations", operations()),
            Row::new("Connections", connections()),
            Row::new("Security", security()),
            Row::closed("Verdicts", verdicts()),
            Row::closed("Process and allocations", process()),
        ],
    }
}

/// An expression of the chosen operations: `%` stands for their selector.
fn of(expr: &str) -> String {
    expr.replace('%', CHOSEN)
}

fn glance() -> Row {
    Row::by_instance(vec![
        stat("Runs", "ops", "Runs of operations that ended.")
            .query(&of("sum(rate(gaugecast_operations_total%[@]))"), "runs"),
        stat("Failed", RATIO, "Share of the runs that failed.")
            .query(
                &of("(sum(rate(gaugecast_operation_errors_total%[@])) or vector(0)) \
                     / (sum(rate(gaugecast_operations_total%[@])) > 0)"),
                "failed",
            )
            .above(0.05, 0.25),
        stat("Mean", SECONDS, "Mean time of a run.")
            .query(
                &of("sum(rate(gaugecast_operation_duration_seconds_sum%[@])) \
                     / (sum(rate(gaugecast_operation_duration_seconds_count%[@])) > 0)"),
                "mean",
            )
            .above(0.1, 0.5),
        stat("p95", SECONDS, "95 of 100 runs took no longer.")
            .query(&quantile("0.95", ""), "p95")
            .above(0.1, 0.5),
        stat("p99", SECONDS, "99 of 100 runs took no longer.")
            .query(&quantile("0.99", ""), "p99")
            .above(0.25, 1.0),
        stat("In flight", COUNT, "Runs that go on now.")
            .query(&of("sum(gaugecast_operations_in_flight%)"), "in flight"),
        stat("Connections", COUNT, "Connections of the application, open now.")
            .query("sum(gaugecast_app_connections{@})", "open"),
        stat("Memory", BYTES, "Resident memory of the process.")
            .query("sum(process_resident_memory_bytes{@})", "resident"),
    ])
}

/// A quantile over the chosen operations, by more labels than the bucket's.
fn quantile(q: &str, by: &str) -> String {
    of(&format!("histogram_quantile({q}, sum by ({by}le) (rate({HISTOGRAM}_bucket%[@])))"))
}

fn operations() -> Vec<Panel> {
    let name = "{{operation}} · {{instance}}";
    let by = "operation, instance, ";
    vec![
        stacked("Runs", "ops", "Runs that ended, failed ones included.")
            .query(&of("sum by (operation, instance) (rate(gaugecast_operations_total%[@]))"), name),
        lines("Failed", RATIO, "Share of the runs that failed.")
            .query(
                &of("sum by (operation, instance) (rate(gaugecast_operation_errors_total%[@])) \
                     / (sum by (operation, instance) (rate(gaugecast_operations_total%[@])) > 0)"),
                name,
            )
            .above(0.05, 0.25),
        stacked("Errors", RATE, "Runs that failed, by kind of error.")
            .query(
                &of("sum by (kind, operation) (rate(gaugecast_operation_errors_total%[@]))"),
                "{{operation}}: {{kind}}",
            ),
        lines("Mean time", SECONDS, "Mean time of a run.")
            .query(
                &of("sum by (operation, instance) (rate(gaugecast_operation_duration_seconds_sum%[@])) \
                     / (sum by (operation, instance) (rate(gaugecast_operation_duration_seconds_count%[@])) > 0)"),
                name,
            )
            .above(0.1, 0.5),
        lines("p95", SECONDS, "95 of 100 runs took no longer.")
            .query(&quantile("0.95", by), name)
            .above(0.1, 0.5),
        lines("p99", SECONDS, "99 of 100 runs took no longer.")
            .query(&quantile("0.99", by), name)
            .above(0.25, 1.0),
        heatmap("Times", SECONDS, HISTOGRAM, "How many runs took how long, all operations together.").wide(12),
        bars("Slowest", SECONDS, "The ten operations whose mean time was longest.")
            .query(
                &of("topk(10, sum by (operation) (rate(gaugecast_operation_duration_seconds_sum%[@])) \
                     / (sum by (operation) (rate(gaugecast_operation_duration_seconds_count%[@])) > 0))"),
                "{{operation}}",
            )
            .above(0.1, 0.5)
            .wide(6),
        lines("In flight", COUNT, "Runs that go on now.")
            .query(&of("gaugecast_operations_in_flight%"), name)
            .wide(6),
    ]
}

fn connections() -> Vec<Panel> {
    vec![
        lines("Open", COUNT, "Connections of the application, now and at most.")
            .query("gaugecast_app_connections{@}", "open · {{instance}}")
            .query("gaugecast_app_connections_peak{@}", "at most · {{instance}}"),
        lines("Opened and broken", RATE, "Connections that began, and errors on connections.")
            .query("rate(gaugecast_app_connections_opened_total{@}[@])", "opened · {{instance}}")
            .query("rate(gaugecast_app_connection_errors_total{@}[@])", "errors · {{instance}}"),
        lines("How long", SECONDS, "How long connections were open that have ended.").quantiles(
            "gaugecast_app_connection_duration_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        lines("Messages", REQUESTS, "Messages over connections of the application, by direction.")
            .query("rate(gaugecast_app_messages_total{@}[@])", "{{direction}} · {{instance}}")
            .wide(12),
        lines("Bytes", BYTES_RATE, "Bytes over connections of the application, by direction.")
            .query("rate(gaugecast_app_bytes_total{@}[@])", "{{direction}} · {{instance}}")
            .wide(12),
    ]
}

fn security() -> Vec<Panel> {
    vec![
        stacked("Events", RATE, "Events of security, by kind.")
            .query("rate(gaugecast_security_events_total{@}[@])", "{{kind}} · {{instance}}")
            .wide(12),
        lines("Time to respond", SECONDS, "How long the response to an event took.")
            .quantiles(
                "gaugecast_security_response_seconds",
                "instance",
                ["p50 · {{instance}}", "p99 · {{instance}}"],
            )
            .wide(12),
    ]
}

fn verdicts() -> Vec<Panel> {
    vec![
        states("Criteria", "Whether each criterion of the monitor holds.")
            .query("gaugecast_validation_ok{@}", "{{criterion}} · {{instance}}")
            .words(&[(0.0, "fails", "red"), (1.0, "holds", "green")]),
    ]
}

fn process() -> Vec<Panel> {
    vec![
        lines("CPU", COUNT, "Cores that the process uses.")
            .query("rate(process_cpu_seconds_total{@}[@])", "{{instance}}"),
        lines("Memory", BYTES, "Resident memory, and what counted allocations hold.")
            .query("process_resident_memory_bytes{@}", "resident · {{instance}}")
            .query("gaugecast_alloc_live_bytes{@}", "allocated · {{instance}}"),
        lines("Allocations", RATE, "Allocations a second, where they are counted.")
            .query("rate(gaugecast_alloc_allocations_total{@}[@])", "{{instance}}"),
        lines("Allocated", BYTES_RATE, "Bytes allocated a second, where they are counted.")
            .query("rate(gaugecast_alloc_allocated_bytes_total{@}[@])", "{{instance}}"),
        lines("File descriptors", COUNT, "Open, and at most.")
            .query("process_open_fds{@}", "open · {{instance}}")
            .query("process_max_fds{@}", "at most · {{instance}}"),
        lines("Threads", COUNT, "Threads of the process.").query("process_threads{@}", "{{instance}}"),
    ]
}

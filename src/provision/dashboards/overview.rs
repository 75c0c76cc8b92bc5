//! Overview: all instances beside each other, and the way from each to its details.

use super::model::{
    BYTES, BYTES_RATE, COUNT, Dashboard, Panel, RATE, RATIO, Row, SECONDS, bars, lines, name, stat,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "overview",
        title: "gaugecast: overview",
        description: "All hosts and applications at once. A series leads to the details of its instance.",
        family: "gaugecast_build_info",
        labels: &[],
        rows: vec![
            Row::new("Now", now()),
            Row::new("Hosts", hosts()),
            Row::new("Applications", applications()),
            Row::new("gaugecast", gaugecast()),
        ],
    }
}

fn now() -> Vec<Panel> {
    vec![
        stat("Instances", COUNT, "gaugecasts that tell about themselves.")
            .query("count(gaugecast_build_info{@})", "instances"),
        stat("Targets down", COUNT, "Targets that did not answer the last scrape.")
            .query("count(up == 0) or vector(0)", "down")
            .above(1.0, 3.0),
        stat("Alerts", COUNT, "Alerts that fire now, each name and level counted once.")
            .query("count(count by (alertname, severity) (ALERTS{alertstate=\"firing\"})) or vector(0)", "firing")
            .above(1.0, 5.0)
            .leads_to("alerts"),
        stat("Anomalies", COUNT, "Watched series that are anomalous now.")
            .query("count(gaugecast_anomaly_score{@} >= 1) or vector(0)", "anomalous")
            .above(1.0, 10.0)
            .leads_to("alerts"),
        stat("Viewers", COUNT, "Clients of the live stream.")
            .query("sum(gaugecast_stream_clients{@})", "viewers")
            .leads_to("bridge"),
        stat("Series", COUNT, "Series in the tables of all instances.")
            .query("sum(gaugecast_series{@})", "series"),
        stat("Operations", "ops", "Runs of operations of the applications a second.")
            .query("sum(rate(gaugecast_operations_total[@])) or vector(0)", "runs")
            .leads_to("operations"),
        stat("Failing", RATIO, "Share of the runs of operations that failed.")
            .query(
                "sum(rate(gaugecast_operation_errors_total[@])) / (sum(rate(gaugecast_operations_total[@])) > 0) \
                 or vector(0)",
                "failed",
            )
            .above(0.01, 0.05)
            .leads_to("operations"),
    ]
}

fn hosts() -> Vec<Panel> {
    vec![
        lines("CPU busy", RATIO, "Share of all cores that was not idle and not waiting for a disk.")
            .query(
                "1 - avg by (instance) (sum without (mode) \
                 (rate(node_cpu_seconds_total{@,mode=~\"idle|iowait\"}[@])))",
                "{{instance}}",
            )
            .above(0.75, 0.9)
            .to(1.0)
            .leads_to("host"),
        lines(
            "Memory used",
            RATIO,
            "Share of the memory that is not available to programs without swapping.",
        )
        .query("1 - node_memory_MemAvailable_bytes{@} / node_memory_MemTotal_bytes{@}", "{{instance}}")
        .above(0.8, 0.9)
        .to(1.0)
        .leads_to("host"),
        lines("Load a core", COUNT, "Processes that run or wait, on average of a minute, for each core.")
            .query(
                "node_load1{@} / count without (cpu, mode) (node_cpu_seconds_total{@,mode=\"idle\"})",
                "{{instance}}",
            )
            .above(1.0, 2.0)
            .leads_to("host"),
        lines("Network", BYTES_RATE, "Traffic of all interfaces but the loopback; sent is below zero.")
            .query(
                "sum by (instance) (rate(node_network_receive_bytes_total{@,device!=\"lo\"}[@]))",
                "received · {{instance}}",
            )
            .query(
                "-sum by (instance) (rate(node_network_transmit_bytes_total{@,device!=\"lo\"}[@]))",
                "sent · {{instance}}",
            )
            .signed()
            .leads_to("host"),
        lines("Disks", BYTES_RATE, "What all disks read and write; written is below zero.")
            .query("sum by (instance) (rate(node_disk_read_bytes_total{@}[@]))", "read · {{instance}}")
            .query("-sum by (instance) (rate(node_disk_written_bytes_total{@}[@]))", "written · {{instance}}")
            .signed()
            .leads_to("host"),
        bars("Filesystems", RATIO, "Share of each filesystem that programs cannot use any more.")
            .query(
                "1 - node_filesystem_avail_bytes{@,fstype!~\"tmpfs|ramfs|squashfs|iso9660\"} \
                 / node_filesystem_size_bytes{@}",
                "{{mountpoint}} · {{instance}}",
            )
            .above(0.8, 0.9)
            .to(1.0)
            .leads_to("host"),
    ]
}

fn applications() -> Vec<Panel> {
    vec![
        lines("Operations", "ops", "Runs that ended, by application.")
            .query("sum by (job, instance) (rate(gaugecast_operations_total[@]))", "{{job}} · {{instance}}")
            .leads_to("operations"),
        lines("Failing", RATIO, "Share of the runs that failed, by application.")
            .query(
                "sum by (job, instance) (rate(gaugecast_operation_errors_total[@])) \
                 / (sum by (job, instance) (rate(gaugecast_operations_total[@])) > 0)",
                "{{job}} · {{instance}}",
            )
            .above(0.01, 0.05)
            .leads_to("operations"),
        lines("Time of a run", SECONDS, "95 of 100 runs took no longer, by application.")
            .query(
                "histogram_quantile(0.95, sum by (job, instance, le) \
                 (rate(gaugecast_operation_duration_seconds_bucket[@])))",
                "{{job}} · {{instance}}",
            )
            .leads_to("operations"),
    ]
}

fn gaugecast() -> Vec<Panel> {
    vec![
        name("Versions", "What each instance is.")
            .query("gaugecast_build_info{@}", "{{version}} · {{instance}}")
            .wide(8)
            .high(8),
        lines("Time of a tick", SECONDS, "From the begin of a collection to its commit, for 99 of 100.")
            .query(
                "histogram_quantile(0.99, sum by (instance, le) (rate(gaugecast_tick_duration_seconds_bucket{@}[@])))",
                "{{instance}}",
            )
            .leads_to("bridge"),
        lines("Lag of the stream", SECONDS, "From the commit of a tick until the kernel took its frame, for 99 of 100.")
            .query(
                "histogram_quantile(0.99, sum by (instance, le) \
                 (rate(gaugecast_stream_delivery_lag_seconds_bucket{@}[@])))",
                "{{instance}}",
            )
            .leads_to("bridge"),
        lines("CPU of gaugecast", COUNT, "Cores that the process uses.")
            .query("rate(process_cpu_seconds_total{@}[@])", "{{instance}}")
            .leads_to("bridge"),
        lines("Memory of gaugecast", BYTES, "Resident memory of the process.")
            .query("process_resident_memory_bytes{@}", "{{instance}}")
            .leads_to("bridge"),
        lines("Ticks missed", RATE, "Ticks that fell out because one before took too long.")
            .query("rate(gaugecast_ticks_missed_total{@}[@])", "{{instance}}")
            .leads_to("bridge"),
    ]
}

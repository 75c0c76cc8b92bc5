//! Bridge and clients: the live stream from the tick to the sockets, and the process that serves it.

use super::model::{
    BYTES, BYTES_RATE, COUNT, Dashboard, Panel, RATE, REQUESTS, Row, SECONDS, heatmap, lines, name, stacked,
    stat,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "bridge",
        title: "gaugecast: bridge and clients",
        description: "The live stream: who is connected, what they get and how late, and what it costs.",
        family: "gaugecast_stream_clients",
        labels: &[],
        rows: vec![
            glance(),
            Row::new("Clients", clients()),
            Row::new("Fan-out", fan_out()),
            Row::new("Slow clients and events", slow()),
            Row::new("Collection", collection()),
            Row::new("Process", process()),
            Row::closed("HTTP and queries", http()),
            Row::closed("History and remote write", history()),
            Row::closed("Targets", targets()),
        ],
    }
}

fn glance() -> Row {
    Row::by_instance(vec![
        name("Version", "What runs.").query("gaugecast_build_info{@}", "{{version}}"),
        stat("Clients", COUNT, "Connected clients of the stream.")
            .query("gaugecast_stream_clients{@}", "clients"),
        stat("Frames", REQUESTS, "Messages put on the way to clients.")
            .query("rate(gaugecast_stream_frames_total{@}[@])", "frames"),
        stat("Bytes", BYTES_RATE, "Bytes of these messages.")
            .query("rate(gaugecast_stream_bytes_total{@}[@])", "bytes"),
        stat("Lag p99", SECONDS, "From the commit of a tick until the kernel took its frame, for 99 of 100.")
            .query(
                "histogram_quantile(0.99, sum by (instance, le) \
                 (rate(gaugecast_stream_delivery_lag_seconds_bucket{@}[@])))",
                "p99",
            )
            .above(0.05, 0.25),
        stat("Tick p99", SECONDS, "From the begin of a collection to its commit, for 99 of 100.")
            .query(
                "histogram_quantile(0.99, sum by (instance, le) (rate(gaugecast_tick_duration_seconds_bucket{@}[@])))",
                "p99",
            )
            .above(0.25, 1.0),
        stat("CPU", COUNT, "Cores that the process uses.")
            .query("rate(process_cpu_seconds_total{@}[@])", "cores")
            .above(0.5, 1.0),
        stat("Memory", BYTES, "Resident memory of the process.")
            .query("process_resident_memory_bytes{@}", "resident"),
    ])
}

fn clients() -> Vec<Panel> {
    vec![
        stacked("Connected", COUNT, "Clients by transport: WebSocket, server-sent events, lines of JSON.")
            .query("gaugecast_stream_sessions{@}", "{{transport}} · {{instance}}"),
        lines("At most", COUNT, "Clients now, and most at once since the start.")
            .query("gaugecast_stream_clients{@}", "now · {{instance}}")
            .query("gaugecast_stream_clients_peak{@}", "at most · {{instance}}"),
        lines(
            "Subscriptions",
            COUNT,
            "Subscriptions of all clients, and the distinct selections and queries behind them.",
        )
        .query("gaugecast_stream_subscriptions{@}", "subscriptions · {{instance}}")
        .query("gaugecast_stream_channels{@}", "selections · {{instance}}")
        .query("gaugecast_stream_queries{@}", "queries · {{instance}}"),
        lines("Coming and going", RATE, "Connections that began by transport, and ended by reason.")
            .query("rate(gaugecast_stream_opened_total{@}[@])", "began {{transport}} · {{instance}}")
            .query("rate(gaugecast_stream_closed_total{@}[@])", "ended {{reason}} · {{instance}}"),
        lines("Refused", RATE, "Opening handshakes that were refused, by reason.")
            .query("rate(gaugecast_stream_handshakes_refused_total{@}[@])", "{{reason}} · {{instance}}"),
        lines(
            "Messages and errors",
            RATE,
            "What clients send, by type, and errors that they are told, by code.",
        )
        .query("rate(gaugecast_stream_messages_received_total{@}[@])", "{{type}} · {{instance}}")
        .query("rate(gaugecast_stream_errors_total{@}[@])", "error {{code}} · {{instance}}"),
    ]
}

fn fan_out() -> Vec<Panel> {
    vec![
        lines(
            "Lag",
            SECONDS,
            "From the commit of a tick until the kernel took its frame, each frame and client.",
        )
        .quantiles(
            "gaugecast_stream_delivery_lag_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        heatmap(
            "Lags",
            SECONDS,
            "gaugecast_stream_delivery_lag_seconds",
            "How many frames were how late, all instances together.",
        ),
        lines(
            "Frames and writes",
            REQUESTS,
            "Messages put on the way, and writes to sockets: one may carry several.",
        )
        .query("rate(gaugecast_stream_frames_total{@}[@])", "frames · {{instance}}")
        .query("rate(gaugecast_stream_writes_total{@}[@])", "writes · {{instance}}"),
        lines("Bytes", BYTES_RATE, "Bytes of messages put on the way.")
            .query("rate(gaugecast_stream_bytes_total{@}[@])", "{{instance}}"),
        lines(
            "Encoding",
            SECONDS,
            "Time to select and encode the shared frames of one tick, all selections together.",
        )
        .quantiles(
            "gaugecast_stream_encode_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        lines("Sweep", SECONDS, "Time of one loop to go over all its clients.").quantiles(
            "gaugecast_stream_sweep_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        lines(
            "Live queries",
            SECONDS,
            "Time to evaluate a subscription's query at one tick, for all its clients.",
        )
        .quantiles(
            "gaugecast_stream_query_evaluation_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        )
        .wide(12),
        lines(
            "Live queries left out",
            RATE,
            "Evaluations that failed, and those left out since an earlier one took too long.",
        )
        .query("rate(gaugecast_stream_query_evaluations_failed_total{@}[@])", "failed · {{instance}}")
        .query("rate(gaugecast_stream_query_evaluations_skipped_total{@}[@])", "left out · {{instance}}")
        .wide(12),
    ]
}

fn slow() -> Vec<Panel> {
    vec![
        lines("Waiting", BYTES, "Bytes that wait for sockets of clients which are slow.")
            .query("gaugecast_stream_queue_bytes{@}", "{{instance}}"),
        lines("What was done", RATE, "Slow clients, by what was done about it.")
            .query("rate(gaugecast_stream_slow_total{@}[@])", "{{stage}} · {{instance}}"),
        lines(
            "One for many",
            RATE,
            "Frames left out because a later one stood for them, and those sent in place.",
        )
        .query("rate(gaugecast_stream_conflated_total{@}[@])", "left out · {{instance}}")
        .query("rate(gaugecast_stream_catch_ups_total{@}[@])", "in place · {{instance}}"),
        lines("Events", RATE, "Events published, by kind.")
            .query("rate(gaugecast_stream_events_total{@}[@])", "{{kind}} · {{instance}}"),
        lines(
            "Events sent again",
            RATE,
            "To clients that came back, and those of which only the outcome was told.",
        )
        .query("rate(gaugecast_stream_events_resent_total{@}[@])", "again · {{instance}}")
        .query("rate(gaugecast_stream_events_missed_total{@}[@])", "outcome only · {{instance}}"),
        lines("Faults", RATE, "Faults of the program caught in stream tasks and in handlers.")
            .query("rate(gaugecast_stream_panics_total{@}[@])", "stream · {{instance}}")
            .query("rate(gaugecast_http_panics_total{@}[@])", "handlers · {{instance}}"),
    ]
}

fn collection() -> Vec<Panel> {
    vec![
        lines("Tick", SECONDS, "From the begin of a collection to its commit.").quantiles(
            "gaugecast_tick_duration_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        lines("Ticks", RATE, "Ticks committed, and those that fell out because one before took too long.")
            .query("rate(gaugecast_ticks_total{@}[@])", "committed · {{instance}}")
            .query("rate(gaugecast_ticks_missed_total{@}[@])", "missed · {{instance}}"),
        lines("Series", COUNT, "Living series in the table.").query("gaugecast_series{@}", "{{instance}}"),
    ]
}

fn process() -> Vec<Panel> {
    vec![
        lines("CPU", COUNT, "Cores that the process uses.")
            .query("rate(process_cpu_seconds_total{@}[@])", "{{instance}}"),
        lines("Memory", BYTES, "Resident memory of the process.")
            .query("process_resident_memory_bytes{@}", "{{instance}}"),
        lines("File descriptors", COUNT, "Open, and at most.")
            .query("process_open_fds{@}", "open · {{instance}}")
            .query("process_max_fds{@}", "at most · {{instance}}"),
        lines("Workers", COUNT, "Share of the time in which each worker of the runtime was busy.")
            .query("rate(gaugecast_tokio_worker_busy_seconds_total{@}[@])", "{{worker}} · {{instance}}"),
        lines("Tasks", COUNT, "Tasks that have not ended, and those that wait for a worker.")
            .query("gaugecast_tokio_alive_tasks{@}", "alive · {{instance}}")
            .query("gaugecast_tokio_global_queue_tasks{@}", "waiting · {{instance}}"),
        lines(
            "Clock and configuration",
            COUNT,
            "Steps of the clock in the last hour, and whether the last reload succeeded.",
        )
        .query("increase(gaugecast_clock_steps_total{@}[1h])", "steps · {{instance}}")
        .query("gaugecast_config_last_reload_successful{@}", "reloaded · {{instance}}"),
    ]
}

fn http() -> Vec<Panel> {
    vec![
        lines("Requests", REQUESTS, "Requests answered, by route and status.").query(
            "sum by (instance, route, code) (rate(gaugecast_http_requests_total{@}[@]))",
            "{{route}} {{code}} · {{instance}}",
        ),
        lines("Time to answer", SECONDS, "From a whole request head to the head of its answer.").quantiles(
            "gaugecast_http_request_duration_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        lines("Turned away", REQUESTS, "Connections and requests that were refused by a limit, by reason.")
            .query(
                "sum by (instance, reason) (rate(gaugecast_http_rejected_total{@}[@]))",
                "{{reason}} · {{instance}}",
            ),
        lines(
            "Connections",
            COUNT,
            "Open connections, streams included, and those without a whole request yet.",
        )
        .query("gaugecast_http_connections{@}", "open · {{instance}}")
        .query("gaugecast_http_connections_half_open{@}", "half open · {{instance}}"),
        lines("Queries", REQUESTS, "Requests for queries, series and labels, by outcome.")
            .query("rate(gaugecast_queries_total{@}[@])", "{{endpoint}} {{outcome}} · {{instance}}"),
        lines("Time of a query", SECONDS, "To evaluate it and to write its answer.").quantiles(
            "gaugecast_query_duration_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
    ]
}

fn history() -> Vec<Panel> {
    vec![
        lines("Memory of the history", BYTES, "As history.max_size counts it, and the size of its file.")
            .query("gaugecast_history_bytes{@}", "memory · {{instance}}")
            .query("gaugecast_history_store_bytes{@}", "file · {{instance}}"),
        lines("Samples", COUNT, "Samples that the history has.")
            .query("gaugecast_history_samples{@}", "{{instance}}"),
        lines("Appending", SECONDS, "Time to append one tick or one push.").quantiles(
            "gaugecast_history_append_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        lines("Received by remote write", RATE, "Samples in requests of remote write.")
            .query("rate(gaugecast_remote_write_received_samples_total{@}[@])", "{{instance}}"),
        lines("Sent by remote write", RATE, "Samples that receivers have taken.")
            .query("rate(gaugecast_remote_write_samples_sent_total{@}[@])", "{{remote}} · {{instance}}"),
        lines("Behind", SECONDS, "How long ago it is that all samples had been sent.")
            .query("gaugecast_remote_write_lag_seconds{@}", "{{remote}} · {{instance}}"),
    ]
}

fn targets() -> Vec<Panel> {
    vec![
        lines("Up", COUNT, "1 where the last scrape of a target succeeded.")
            .query("up{@}", "{{job}} · {{instance}}"),
        lines("Time of a scrape", SECONDS, "How long the last scrape took.")
            .query("scrape_duration_seconds{@}", "{{job}} · {{instance}}"),
        lines("Scrapes", RATE, "Scrapes by gaugecast, by result.")
            .query("rate(gaugecast_scrapes_total{@}[@])", "{{result}} · {{instance}}"),
    ]
}

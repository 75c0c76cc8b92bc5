//! Alerts and anomalies: what fires, what is told to whom, how rules and detectors fare, what is unusual.

use super::model::{
    BYTES, COUNT, Dashboard, Panel, RATE, RATIO, Row, SECONDS, bars, lines, stacked, stat, states, table,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "alerts",
        title: "gaugecast: alerts and anomalies",
        description: "What fires and what is unusual, of gaugecast and of whoever else tells it to this Prometheus.",
        family: "gaugecast_build_info",
        labels: &[],
        rows: vec![
            Row::new("Now", now()),
            Row::new("Alerts", alerts()),
            Row::new("Anomalies", anomalies()),
            Row::new("Notifications", notifications()),
            Row::closed("Rules", rules()),
            Row::closed("Detectors", detectors()),
        ],
    }
}

/// An alert is told twice where Prometheus evaluates the same rules as gaugecast, so names and levels are counted, not series.
fn now() -> Vec<Panel> {
    vec![
        stat("Firing", COUNT, "Alerts that fire, each name and level counted once.")
            .query("count(count by (alertname, severity) (ALERTS{alertstate=\"firing\"})) or vector(0)", "firing")
            .above(1.0, 5.0),
        stat("Critical", COUNT, "Of these those that are critical or an emergency.")
            .query(
                "count(count by (alertname) (ALERTS{alertstate=\"firing\",severity=~\"critical|emergency\"})) \
                 or vector(0)",
                "critical",
            )
            .above(1.0, 1.0),
        stat("Pending", COUNT, "Alerts whose condition holds, but not for long enough yet.")
            .query("count(count by (alertname, severity) (ALERTS{alertstate=\"pending\"})) or vector(0)", "pending"),
        stat("Silences", COUNT, "Silences in force.")
            .query("sum(gaugecast_silences{@,state=\"active\"}) or vector(0)", "active"),
        stat("Anomalies", COUNT, "Watched series that are anomalous now.")
            .query("count(gaugecast_anomaly_score{@} >= 1) or vector(0)", "anomalous")
            .above(1.0, 10.0),
        stat("Watched", COUNT, "Series that are watched for anomalies.")
            .query("sum(gaugecast_detect_series{@})", "watched"),
        stat("Not told", COUNT, "Notifications that failed for good and are kept as dead letters.")
            .query("sum(gaugecast_notification_dead_letters{@})", "dead letters")
            .above(1.0, 10.0),
        stat("Rules failing", RATE, "Evaluations of rules that failed.")
            .query("sum(rate(gaugecast_rule_evaluation_failures_total{@}[@]))", "failures")
            .above(0.001, 0.1),
    ]
}

fn alerts() -> Vec<Panel> {
    vec![
        table("Firing now", COUNT, "Every alert that fires, with its labels.")
            .query("ALERTS{alertstate=\"firing\"}", ""),
        states("When they fired", "Each alert over time.")
            .query(
                "max by (alertname, severity) (ALERTS{alertstate=\"firing\"})",
                "{{alertname}} {{severity}}",
            )
            .words(&[(1.0, "firing", "red")]),
        stacked("By state", COUNT, "Alerts of gaugecast's own manager, by state and level.")
            .query("sum by (state, severity) (gaugecast_alerts{@})", "{{state}} {{severity}}"),
        lines("Changes", RATE, "How often alerts went from one state to another.")
            .query("rate(gaugecast_alert_transitions_total{@}[@])", "{{change}} · {{instance}}"),
        lines("Lost", RATE, "Alerts that found no room, and times that their state could not be saved.")
            .query("rate(gaugecast_alerts_dropped_total{@}[@])", "dropped · {{instance}}")
            .query("rate(gaugecast_alert_state_failures_total{@}[@])", "not saved · {{instance}}"),
    ]
}

fn anomalies() -> Vec<Panel> {
    vec![
        lines(
            "Scores",
            COUNT,
            "How unusual the last observation of each watched series was; 1 is the threshold.",
        )
        .query("gaugecast_anomaly_score{@} > 0.2", "{{metric}} · {{watch}} · {{instance}}")
        .above(0.7, 1.0)
        .wide(12),
        bars("Most unusual", COUNT, "The ten highest scores now; 1 is the threshold.")
            .query("topk(10, gaugecast_anomaly_score{@})", "{{metric}} · {{watch}} · {{instance}}")
            .above(0.7, 1.0)
            .wide(12),
        lines("Anomalous at once", RATIO, "Share of the watched series that are anomalous.")
            .query("gaugecast_anomaly_rate{@}", "{{instance}}")
            .above(0.1, 0.3),
        lines("Events", RATE, "Anomalies that began, were confirmed, ended.")
            .query("rate(gaugecast_anomalies_total{@}[@])", "{{state}} · {{instance}}"),
        lines("Expected", "none", "What is usual of the series that are anomalous, with --detect.bounds.")
            .query("gaugecast_anomaly_expected{@}", "expected {{metric}} · {{instance}}")
            .query("gaugecast_anomaly_lower{@}", "from {{metric}} · {{instance}}")
            .query("gaugecast_anomaly_upper{@}", "to {{metric}} · {{instance}}")
            .signed(),
    ]
}

fn notifications() -> Vec<Panel> {
    vec![
        lines("Told", RATE, "Notifications delivered, or failed for good, by receiver.").query(
            "rate(gaugecast_notifications_total{@}[@])",
            "{{receiver}} {{integration}} · {{instance}}",
        ),
        lines("Failed", RATE, "Attempts that are repeated, and notifications that failed for good.")
            .query(
                "rate(gaugecast_notifications_retried_total{@}[@])",
                "again {{receiver}} {{reason}} · {{instance}}",
            )
            .query(
                "rate(gaugecast_notifications_failed_total{@}[@])",
                "failed {{receiver}} {{reason}} · {{instance}}",
            ),
        lines("Waiting", COUNT, "Notifications in the queue of each channel, and room in it.")
            .query("gaugecast_notification_queue_length{@}", "{{receiver}} {{integration}} · {{instance}}")
            .query("gaugecast_notification_queue_capacity{@}", "room · {{instance}}"),
        lines("Time to tell", SECONDS, "Time of an attempt, failed ones included.").quantiles(
            "gaugecast_notification_latency_seconds",
            "integration",
            ["p50 {{integration}}", "p99 {{integration}}"],
        ),
        lines("Held back", RATE, "Notifications that the rate limit held back; a digest tells them later.")
            .query("rate(gaugecast_notifications_suppressed_total{@}[@])", "{{receiver}} · {{instance}}"),
        states("Alertmanagers", "Whether each took what it was last told.")
            .query("gaugecast_alertmanager_up{@}", "{{alertmanager}} · {{instance}}")
            .words(&[(0.0, "away", "red"), (1.0, "up", "green")])
            .wide(8),
    ]
}

fn rules() -> Vec<Panel> {
    let name = "{{rule_group}} · {{instance}}";
    vec![
        lines("Evaluations", RATE, "Evaluations of rules, by group.")
            .query("rate(gaugecast_rule_evaluations_total{@}[@])", name),
        lines("Failures", RATE, "Evaluations that failed, by group.")
            .query("rate(gaugecast_rule_evaluation_failures_total{@}[@])", name),
        lines("Time of a group", SECONDS, "How long the last evaluation of a group took.")
            .query("gaugecast_rule_group_last_duration_seconds{@}", name),
        lines("Time of a rule", SECONDS, "How long evaluations of single rules take.").quantiles(
            "gaugecast_rule_evaluation_duration_seconds",
            "instance",
            ["p50 · {{instance}}", "p99 · {{instance}}"],
        ),
        lines("Missed", RATE, "Evaluations that fell out, because the one before was not at its end.")
            .query("rate(gaugecast_rule_group_iterations_missed_total{@}[@])", name),
        lines("Since the last", SECONDS, "How long ago each group was evaluated.")
            .query("time() - gaugecast_rule_group_last_evaluation_timestamp_seconds{@}", name),
    ]
}

fn detectors() -> Vec<Panel> {
    vec![
        lines("Watched", COUNT, "Series that are watched, and those for which there is no room.")
            .query("gaugecast_detect_series{@}", "watched · {{instance}}")
            .query("gaugecast_detect_series_skipped{@}", "no room · {{instance}}"),
        lines("Work", COUNT, "Cores that watching takes.")
            .query("rate(gaugecast_detect_work_seconds_total{@}[@])", "{{instance}}"),
        lines("Memory", BYTES, "Memory of the detectors.")
            .query("gaugecast_detect_memory_bytes{@}", "{{detector}} · {{instance}}"),
        lines("Observations", RATE, "Values that detectors have judged.")
            .query("rate(gaugecast_detect_observations_total{@}[@])", "{{instance}}")
            .wide(12),
        lines("Missed ticks", RATE, "Ticks that were not looked at, since the one before took too long.")
            .query("rate(gaugecast_detect_ticks_missed_total{@}[@])", "{{instance}}")
            .wide(12),
    ]
}

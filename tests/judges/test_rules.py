"""Rules beside a real Prometheus: the same files are taken and refused, and the same alerts come of the
same samples."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from conftest import BINARY, Gaugecast, Program, eventually, free_port, start_gaugecast, tool

HTTP = urllib3.PoolManager(retries=False)

RULE = "groups:\n- name: g\n  rules:\n  - "

GOOD = {
    "empty": "",
    "comment": "# nothing\n",
    "no groups": "groups:\n",
    "no rules": "groups:\n- name: g\n",
    "record": RULE + "record: job:up:sum\n    expr: sum by (job) (up)\n",
    "alert": RULE + "alert: Down\n    expr: up == 0\n    for: 5m\n    keep_firing_for: 1m30s\n",
    "a name with spaces": RULE + "alert: It is down\n    expr: up == 0\n",
    "a number for a name": RULE + "alert: 5\n    expr: 1\n",
    "folded": RULE + "alert: A\n    expr: >-\n      up\n      == 0\n",
    "template": RULE + "alert: A\n    expr: up\n    annotations: {s: '{{ $labels.job }} {{ $value | humanize }}'}\n",
    "template of a label": RULE
    + "alert: A\n    expr: up\n    labels: {s: '{{ if gt $value 1.0 }}a{{ else }}b{{ end }}'}\n",
    "query in a template": RULE
    + "alert: A\n    expr: up\n    annotations: {s: '{{ with query \"up\" }}{{ . | first | value }}{{ end }}'}\n",
    "no template in a record": RULE + "record: a\n    expr: up\n    labels: {x: '{{ nothing'}\n",
    "interval and limit": "groups:\n- {name: g, interval: 30s, limit: 10, rules: [{record: a, expr: b}]}\n",
    "range of a comparison": RULE + "alert: A\n    expr: rate(a[5m] offset 1h) > bool 5\n",
    "same name in two groups": "groups:\n- {name: a, rules: [{record: a, expr: b}]}\n- {name: b, rules: [{record: a, expr: b}]}\n",  # noqa: E501
    "levels": "groups:\n- name: g\n  rules:\n  - {alert: A, expr: a > 1, labels: {severity: info}}\n"
    "  - {alert: A, expr: a > 2, labels: {severity: critical}}\n",
    "for of zero in a record": RULE + "record: a\n    expr: b\n    for: 0s\n",
    "anchors": "groups:\n- name: g\n  rules:\n  - {alert: A, expr: a, labels: &l {x: y}}\n  - {alert: B, expr: a, labels: *l}\n",  # noqa: E501
    "empty label": RULE + "alert: A\n    expr: up\n    labels: {x: ''}\n",
    "our annotations": RULE
    + "alert: A\n    expr: up > 5\n    annotations: {gaugecast_clear_below: '3', gaugecast_no_data: ok}\n",
}

BAD = {
    "not YAML": "groups: [\n",
    "a list": "- groups\n",
    "unknown key": "group:\n- name: g\n",
    "unknown key of a group": "groups:\n- name: g\n  intervall: 5s\n",
    "unknown key of a rule": RULE + "alert: A\n    expr: up\n    annotation: {}\n",
    "group without a name": "groups:\n- rules: []\n",
    "two groups of a name": "groups:\n- name: g\n- name: g\n",
    "alert and record": RULE + "alert: A\n    record: a\n    expr: up\n",
    "neither": RULE + "expr: up\n",
    "no expression": RULE + "alert: A\n",
    "an empty expression": RULE + "alert: A\n    expr: ''\n",
    "a broken expression": RULE + "alert: A\n    expr: up ==\n",
    "an unknown function": RULE + "alert: A\n    expr: foo(up)\n",
    "a wrong type": RULE + "record: a\n    expr: rate(up)\n",
    "for of a record": RULE + "record: a\n    expr: up\n    for: 1m\n",
    "annotations of a record": RULE + "record: a\n    expr: up\n    annotations: {a: b}\n",
    "keep_firing_for of a record": RULE + "record: a\n    expr: up\n    keep_firing_for: 1m\n",
    "a name that is none": RULE + "record: a-b\n    expr: up\n",
    "a label that is none": RULE + "alert: A\n    expr: up\n    labels: {a-b: c}\n",
    "the name as a label": RULE + "alert: A\n    expr: up\n    labels: {__name__: c}\n",
    "an annotation that is none": RULE + "alert: A\n    expr: up\n    annotations: {a b: c}\n",
    "a broken template": RULE + "alert: A\n    expr: up\n    annotations: {s: '{{ $labels.x '}\n",
    "an unknown function of a template": RULE
    + "alert: A\n    expr: up\n    annotations: {s: '{{ $value | humanise }}'}\n",
    "an unknown variable": RULE + "alert: A\n    expr: up\n    labels: {s: '{{ $vlaue }}'}\n",
    "a duration without unit": RULE + "alert: A\n    expr: up\n    for: 5\n",
    "a duration of halves": RULE + "alert: A\n    expr: up\n    for: 1.5m\n",
    "an interval that is none": "groups:\n- {name: g, interval: fast}\n",
    "a limit that is none": "groups:\n- {name: g, limit: many}\n",
    "labels in a list": RULE + "alert: A\n    expr: up\n    labels: [a]\n",
    "rules in a mapping": "groups:\n- name: g\n  rules: {alert: A}\n",
    "a key given twice": RULE + "alert: A\n    expr: up\n    expr: down\n",
}


def our_verdict(folder: Path, rules: Path) -> subprocess.CompletedProcess[str]:
    config = folder / "gaugecast.yml"
    config.write_text(f"rule_files: ['{rules}']\n")
    argv = [str(BINARY), "check", "config", str(config)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_a_rule_file_is_taken_or_refused_as_by_promtool(name: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(GOOD.get(name, BAD.get(name)))
    theirs = subprocess.run(
        [tool("promtool"), "check", "rules", "--lint=none", str(rules)], capture_output=True, text=True, timeout=30
    )
    ours = our_verdict(tmp_path, rules)
    assert (theirs.returncode == 0) == (name in GOOD), theirs.stderr
    assert ours.returncode == (0 if name in GOOD else 2), ours.stdout + ours.stderr
    if name in BAD:
        assert f"{rules}:" in ours.stdout + ours.stderr


class Target:
    """A page of metrics that the test writes."""

    def __init__(self) -> None:
        self.page = ""
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = target.page.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def show(self, **series: str) -> None:
        self.page = "".join(f"# TYPE {name} gauge\n{text}\n" for name, text in series.items())


RULES = """\
groups:
- name: b
  interval: 1s
  rules:
  - record: queue:depth:sum
    expr: sum without (shard) (queue_depth)
    labels: {team: core}
  - alert: QueueLong
    expr: queue:depth:sum{team="core"} >10 and on () up{job='app'}==1
    for: 3s
    labels: {severity: warning, where: '{{ $labels.zone }}-{{ $value }}', empty: ''}
    annotations:
      gaugecast_no_data: ok
      summary: the queue of {{ $labels.zone }} holds {{ $value }}
  - alert: QueueLong
    expr: sum without(shard)(queue_depth) > 1e2
    labels: {severity: critical}
    annotations: {gaugecast_no_data: ok, summary: 'far too long <&> "é"'}
  - alert: Kept
    expr: flag == 1
    keep_firing_for: 5m
    annotations: {gaugecast_no_data: ok}
  - alert: Slow
    expr: flag == 1
    for: 1h
    annotations: {gaugecast_no_data: ok}
- name: a
  limit: 1
  rules:
  - {alert: Limited, expr: queue_depth >= 0}
  - {alert: Same, expr: queue_depth >= 0, labels: {shard: x}, annotations: {gaugecast_no_data: ok}}
  - {alert: Absent, expr: 'absent(gone{zone="east"})'}
  - {record: 'never:seen', expr: nothing_of_it}
  - {record: text, expr: '"a"'}
"""


class Both:
    def __init__(self, theirs: str, ours: Gaugecast, target: Target) -> None:
        self.theirs, self.gaugecast, self.target = theirs, ours, target

    @property
    def ours(self) -> str:
        return self.gaugecast.origin


def data(origin: str, path: str) -> dict:
    answer = json.loads(HTTP.request("GET", origin + path).data)
    assert answer["status"] == "success", answer
    return answer["data"]


def normal(value: object, key: str = "") -> object:
    """What does not depend on when it is asked; times are only there or not."""
    if key in ("activeAt", "lastEvaluation", "keepFiringSince"):
        return "a time" if value and not str(value).startswith("0001") else value
    if key == "evaluationTime":
        return "seconds"
    if isinstance(value, dict):
        return {name: normal(part, name) for name, part in value.items()}
    if isinstance(value, list):
        items = [normal(part) for part in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if key == "alerts" else items
    return value


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "app.rules.yml").write_text(RULES)
    target = Target()
    target.show(queue_depth='queue_depth{zone="east",shard="1"} 1\nqueue_depth{zone="east",shard="2"} 2', flag="flag 0")
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{folder}/*.rules.yml']\n"
        "scrape_configs:\n- job_name: app\n  static_configs:\n"
        f"  - targets: ['127.0.0.1:{target.port}']\n"
    )
    port = free_port()
    prometheus = Program(
        [
            tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    )
    try:
        prometheus.wait_for("Server is ready")
        gaugecast = start_gaugecast(f"--config.file={config}", "--rules.built-in=false", "--collector.disable-defaults")
        try:
            yield Both(f"http://127.0.0.1:{port}", gaugecast, target)
        finally:
            gaugecast.program.stop()
    finally:
        prometheus.stop()


def alerts(origin: str) -> list[str]:
    found = data(origin, "/api/v1/alerts")["alerts"]
    return sorted(
        f"{alert['labels']['alertname']} {alert['labels'].get('severity', '')} {alert['state']}" for alert in found
    )


PHASES: dict[str, tuple[str, str, list[str]]] = {
    "quiet": ("1", "0", ["Absent  firing"]),
    "long": ("10", "0", ["Absent  firing", "QueueLong warning firing"]),
    "far too long": ("200", "1", []),
    "over": ("3", "0", ["Absent  firing", "Kept  firing"]),
}


@pytest.mark.parametrize("phase", PHASES)
def test_the_same_alerts_come_of_the_same_samples(both: Both, phase: str) -> None:
    depth, flag, wanted = PHASES[phase]
    if phase == "far too long":
        wanted = [
            "Absent  firing",
            "Kept  firing",
            "QueueLong critical firing",
            "QueueLong warning firing",
            "Slow  pending",
        ]
    both.target.show(
        queue_depth=f'queue_depth{{zone="east",shard="1"}} {depth}\nqueue_depth{{zone="east",shard="2"}} 2',
        flag=f"flag {flag}",
    )
    eventually(lambda: alerts(both.theirs) == wanted, f"Prometheus has {wanted}; {alerts(both.theirs)}")
    eventually(lambda: alerts(both.ours) == wanted, f"we have {wanted}; {alerts(both.ours)}")
    for path in ("/api/v1/alerts", "/api/v1/rules", "/api/v1/rules?type=record", "/api/v1/rules?type=alert"):
        eventually(
            lambda path=path: normal(data(both.ours, path)) == normal(data(both.theirs, path)),
            f"{path} is the same:\n{json.dumps(normal(data(both.ours, path)), indent=1, sort_keys=True)}\n"
            f"{json.dumps(normal(data(both.theirs, path)), indent=1, sort_keys=True)}",
        )
    for query in ("ALERTS", "queue:depth:sum", "count by (alertname) (ALERTS_FOR_STATE)"):
        path = f"/api/v1/query?query={query}"

        def series(origin: str, path: str = path) -> list[str]:
            found = data(origin, path)["result"]
            return sorted(json.dumps([one["metric"], one["value"][1]], sort_keys=True) for one in found)

        eventually(
            lambda: series(both.ours) == series(both.theirs) != [],
            f"{query}: {series(both.ours)} {series(both.theirs)}",
        )


def test_what_is_wrong_in_a_filter_is_refused(both: Both) -> None:
    for query in ("type=foo", "match[]=%7B", "group_limit=x", "group_next_token=x"):
        assert HTTP.request("GET", f"{both.ours}/api/v1/rules?{query}").status == 400, query


def test_rules_are_filtered_and_paged(both: Both) -> None:
    def names(query: str) -> list[str]:
        groups = data(both.ours, f"/api/v1/rules?{query}")["groups"]
        return [f"{group['name']}.{rule['name']}" for group in groups for rule in group["rules"]]

    assert names("rule_name[]=Kept&rule_name[]=Absent") == ["a.Absent", "b.Kept"]
    assert names("rule_group[]=b&type=record") == ["b.queue:depth:sum"]
    assert names("match[]={severity=~'crit.*'}") == ["b.QueueLong"]
    assert names("file[]=nowhere") == []
    first = data(both.ours, "/api/v1/rules?group_limit=1")
    assert [group["name"] for group in first["groups"]] == ["a"]
    token = first["groupNextToken"]
    rest = data(both.ours, f"/api/v1/rules?group_limit=1&group_next_token={token}")
    assert [group["name"] for group in rest["groups"]] == ["b"] and "groupNextToken" not in rest
    without = data(both.ours, "/api/v1/rules?exclude_alerts=true&type=alert")["groups"]
    assert all(rule["alerts"] is None for group in without for rule in group["rules"])


def test_our_series_are_on_the_page_and_recorded_ones_are_not(both: Both) -> None:
    page = both.gaugecast.text()
    assert 'ALERTS{alertname="Absent"' in page and "queue:depth:sum" not in page
    assert "queue:depth:sum" in both.gaugecast.text("/federate?match[]={__name__=~'queue.*'}")
    assert 'gaugecast_rule_evaluation_failures_total{rule_group="' in page


def test_a_quiet_host_has_no_alert(start: Callable[..., Gaugecast], tmp_path: Path) -> None:
    gaugecast = start("--rules.evaluation-interval=100ms", "--collect.tick=100ms")

    def evaluated() -> bool:
        groups = data(gaugecast.origin, "/api/v1/rules")["groups"]
        return len(groups) > 5 and all(rule["health"] == "ok" for group in groups for rule in group["rules"])

    eventually(evaluated, f"all rules are evaluated: {data(gaugecast.origin, '/api/v1/rules')}")
    told = [a for a in data(gaugecast.origin, "/api/v1/alerts")["alerts"] if a["labels"]["alertname"] != "HostRebooted"]
    assert [a for a in told if a["state"] == "firing"] == []


def test_what_is_pending_and_fires_survives_a_restart(start: Callable[..., Gaugecast], tmp_path: Path) -> None:
    rules = tmp_path / "r.yml"
    rules.write_text(
        RULE + "alert: Now\n    expr: vector(1) > 0\n  - alert: Later\n    expr: vector(1) > 0\n    for: 1h\n"
    )
    config = tmp_path / "gaugecast.yml"
    config.write_text("global: {evaluation_interval: 100ms, tick: 100ms}\nrule_files: [r.yml]\n")
    flags = [f"--config.file={config}", f"--storage.path={tmp_path}/data", "--rules.built-in=false"]

    def states(gaugecast: Gaugecast) -> dict[str, tuple[str, str]]:
        found = data(gaugecast.origin, "/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"]: (alert["state"], alert["activeAt"]) for alert in found}

    first = start(*flags)
    eventually(lambda: len(states(first)) == 2, "two alerts")
    before = states(first)
    assert (before["Now"][0], before["Later"][0]) == ("firing", "pending")
    first.program.stop()
    second = start(*flags)
    eventually(lambda: len(states(second)) == 2, "two alerts again")
    after = states(second)
    assert after["Now"] == before["Now"]
    assert after["Later"][0] == "pending" and after["Later"][1] > before["Later"][1]


def test_a_rule_file_with_faults_refuses_the_start_and_a_reload_keeps_the_old(
    start: Callable[..., Gaugecast], tmp_path: Path
) -> None:
    rules = tmp_path / "r.yml"
    rules.write_text(RULE + "alert: A\n    expr: vector(1)\n")
    config = tmp_path / "gaugecast.yml"
    config.write_text("rule_files: [r.yml]\n")
    gaugecast = start(f"--config.file={config}", "--rules.built-in=false", "--web.enable-lifecycle")
    eventually(lambda: alerts(gaugecast.origin) == ["A  firing"], "the alert fires")
    rules.write_text(RULE + "alert: A\n    expr: |\n      sum(\n        up +)\n  - alert: B\n    exprr: up\n")
    answer = gaugecast.get("/-/reload", method="POST")
    told = answer.data.decode()
    assert answer.status >= 400 and "r.yml:" in told, told
    assert alerts(gaugecast.origin) == ["A  firing"]
    refused = our_verdict(tmp_path, rules)
    for place in (":7:13: ", ":9:5: "):
        assert f"{rules}{place}" in refused.stdout + refused.stderr, refused.stdout + refused.stderr
    rules.write_text(RULE + "alert: B\n    expr: vector(1)\n  - alert: A\n    expr: vector(1)\n")
    since = data(gaugecast.origin, "/api/v1/alerts")["alerts"][0]["activeAt"]
    assert gaugecast.get("/-/reload", method="POST").status == 200
    eventually(lambda: alerts(gaugecast.origin) == ["A  firing", "B  firing"], "both fire")
    kept = {a["labels"]["alertname"]: a["activeAt"] for a in data(gaugecast.origin, "/api/v1/alerts")["alerts"]}
    assert kept["A"] == since

"""The alerting half of what is provisioned: rules with their unit tests and runbooks, Alertmanager, Grafana's alerting.

At the end all of it at work: Prometheus, Alertmanager and gaugecast with these very files, in which only addresses,
intervals, `for` and windows are changed, so that what takes hours takes seconds. The series are those of the rules'
own unit tests: each test goes through three times, at which its alert does not fire, fires, and is over.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest
import urllib3
import yaml
from conftest import DEADLINE, ROOT, Gaugecast, Program, eventually, free_port, tool
from test_receivers import ready
from test_remote_write import prometheus

RULES = sorted((ROOT / "rules").glob("*.rules.yml"))
TESTS = sorted((ROOT / "rules/tests").glob("*.test.yml"))
RUNBOOKS = ROOT / "docs/runbooks.md"
ALERTMANAGER = ROOT / "packaging/alertmanager.yml"
ALERTING = ROOT / "grafana/provisioning/alerting"

SEVERITIES = ["info", "warning", "critical", "emergency"]


def rules(kind: str) -> list[dict]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def seconds(text: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))


# Rules, their tests, their runbooks


def levels(case: dict) -> set[tuple[str, str]]:
    """Alerts that a case expects, each with its level."""
    return {(case["alertname"], alert["exp_labels"]["severity"]) for alert in case["exp_alerts"]}


def lacking(alerts: set[tuple[str, str]], groups: list[dict]) -> list[str]:
    """Which alert has no test that it does not fire before, that it fires, or that it is over afterwards."""
    quiet, fires, over = set(), set(), set()
    for group in groups:
        by_time = sorted(group.get("alert_rule_test", []), key=lambda case: seconds(case["eval_time"]))
        for name in {case["alertname"] for case in by_time}:
            cases = [levels(case) for case in by_time if case["alertname"] == name]
            of_name = {alert for alert in alerts if alert[0] == name}
            for at, case in enumerate(cases):
                fires |= case
                for alert in of_name - case:
                    before, after = cases[:at], cases[at + 1 :]
                    if any(alert in one for one in after):
                        quiet.add(alert)
                    if any(alert in one for one in before):
                        over.add(alert)
    told = (("does not fire", quiet), ("fires", fires), ("resolves", over))
    return [
        f"{name} ({level}): {what}"
        for name, level in sorted(alerts)
        for what, have in told
        if (name, level) not in have
    ]


def test_every_alert_has_a_test_that_it_is_quiet_fires_and_resolves() -> None:
    alerts = {(rule["alert"], rule["labels"]["severity"]) for rule in rules("alert")}
    groups = [group for file in TESTS for group in yaml.safe_load(file.read_text())["tests"]]
    assert lacking(alerts, groups) == []


def test_a_test_that_is_missing_is_named() -> None:
    def case(at: str, *severities: str) -> dict:
        alerts = [{"exp_labels": {"severity": severity}} for severity in severities]
        return {"eval_time": at, "alertname": "A", "exp_alerts": alerts}

    alerts = {("A", "warning"), ("A", "critical"), ("B", "info")}
    group = {"alert_rule_test": [case("1h"), case("2m"), case("10m", "warning")]}
    rest = ["A (critical): does not fire", "A (critical): fires", "A (critical): resolves"]
    none = ["B (info): does not fire", "B (info): fires", "B (info): resolves"]
    assert lacking(alerts, [group]) == rest + none
    group["alert_rule_test"].pop(0)
    assert "A (warning): resolves" in lacking(alerts, [group])


def test_every_recorded_series_has_a_test_of_its_value() -> None:
    groups = [group for file in TESTS for group in yaml.safe_load(file.read_text())["tests"]]
    asked = {case["expr"] for group in groups for case in group.get("promql_expr_test", []) if case["exp_samples"]}
    assert {f"round({rule['record']}, 0.001)" for rule in rules("record")} <= asked


def sections() -> dict[str, str]:
    """The text under each heading of the runbooks that names an alert."""
    parts = re.split(r"^### (\w+)\n", RUNBOOKS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_what_it_is_how_bad_and_what_to_do(rule: dict) -> None:
    assert rule["labels"]["severity"] in SEVERITIES
    notes = rule["annotations"]
    assert notes["summary"] and notes["description"].endswith((".", "?"))
    assert notes["runbook_url"] == f"http://localhost:7171/runbooks#{rule['alert'].lower()}"
    section = sections()[rule["alert"]]
    for word in ("**Means.**", "**Look.**", "**Do.**"):
        assert word in section, f"{rule['alert']} has no {word}"


def test_every_runbook_is_for_an_alert() -> None:
    assert sections().keys() == {rule["alert"] for rule in rules("alert")}


def test_the_links_of_built_in_alerts_lead_to_runbooks_that_are_served(start: Callable[..., Gaugecast]) -> None:
    gaugecast = start("--rules.evaluation-interval=250ms", "--scrape=127.0.0.1:9")
    page = gaugecast.get("/runbooks")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    told = gaugecast.get("/api/v1/rules").json()["data"]["groups"]
    links = {rule["annotations"]["runbook_url"] for group in told for rule in group["rules"] if "annotations" in rule}
    anchors = re.findall(r'<h3 id="(\w+)">', page.data.decode())
    assert links == {f"{{{{ $externalURL }}}}/runbooks#{anchor}" for anchor in anchors} and len(anchors) > 50

    def down() -> list[str]:
        standing = gaugecast.get("/api/v1/alerts").json()["data"]["alerts"]
        return [one["annotations"]["runbook_url"] for one in standing if one["labels"]["alertname"] == "TargetDown"]

    [link] = eventually(down, "nobody answers at that port")
    assert re.fullmatch(r"http://[^/]+/runbooks#targetdown", link)


# Alertmanager


def test_amtool_accepts_the_configuration() -> None:
    done = subprocess.run([tool("amtool"), "check-config", str(ALERTMANAGER)], capture_output=True, text=True)
    assert done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr


def receiver_of(**labels: str) -> str:
    argv = [tool("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return subprocess.run([*argv, *pairs], capture_output=True, text=True, check=True).stdout.strip()


def test_everything_but_what_is_only_worth_knowing_is_told() -> None:
    told = {severity: receiver_of(alertname="HighMemory", severity=severity) for severity in SEVERITIES}
    assert told == {"info": "nobody", "warning": "team", "critical": "team", "emergency": "team"}


def test_a_higher_level_inhibits_lower_ones_by_every_label_that_tells_alerts_apart() -> None:
    inhibit = yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]
    by_level = [rule["equal"] for rule in inhibit if rule["source_matchers"][0].startswith("severity=")]
    assert len(by_level) == 2
    several = [rule["alert"] for rule in rules("alert")]
    several = {name for name in several if several.count(name) > 1}
    for file in TESTS:
        for group in yaml.safe_load(file.read_text())["tests"]:
            for case in group.get("alert_rule_test", []):
                for alert in case["exp_alerts"] if case["alertname"] in several else []:
                    # What says no more than a label beside it: a device has one type of file system.
                    apart = alert["exp_labels"].keys() - {"severity", "fstype"}
                    assert all(apart <= set(equal) for equal in by_level), case


# Grafana's alerting. There is no published schema of these files; this is what Grafana's own reader of them takes.


def only(required: dict, optional: dict | None = None) -> dict:
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": properties,
    }


def many(items: dict) -> dict:
    return {"type": "array", "minItems": 1, "items": items}


TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
ORG = {"type": "integer", "minimum": 1}
UID = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"}
SPAN = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
COUNT = {"type": "integer", "minimum": 0}
SOURCE = only({"type": TEXT, "uid": TEXT})
EXPRESSION = {"const": "__expr__"}
THRESHOLD = only(
    {"evaluator": only({"type": {"enum": ["gt", "lt", "eq", "ne", "gte", "lte"]}, "params": many({"type": "number"})})}
)
QUERY = only(
    {
        "refId": TEXT,
        "relativeTimeRange": only({"from": COUNT, "to": COUNT}),
        "datasourceUid": {"const": "gaugecast-prometheus"},
        "model": only(
            {
                "refId": TEXT,
                "datasource": only({"type": {"const": "prometheus"}, "uid": {"const": "gaugecast-prometheus"}}),
                "expr": TEXT,
                "instant": {"const": True},
                "range": {"const": False},
            }
        ),
    }
)
MATH = {"refId": TEXT, "datasource": SOURCE, "type": {"const": "math"}, "expression": TEXT}
LIMIT = {"refId": TEXT, "datasource": SOURCE, "type": {"const": "threshold"}, "expression": TEXT}
STEP = only(
    {
        "refId": TEXT,
        "datasourceUid": EXPRESSION,
        "model": {"oneOf": [only(MATH), only({**LIMIT, "conditions": many(THRESHOLD)})]},
    }
)
RULE = only(
    {
        "uid": UID,
        "title": {"type": "string", "pattern": "^[A-Z][A-Za-z]{1,189}$"},
        "condition": TEXT,
        "data": many({"oneOf": [QUERY, STEP]}),
        "noDataState": {"enum": ["Alerting", "NoData", "OK", "KeepLast"]},
        "execErrState": {"enum": ["Alerting", "Error", "OK", "KeepLast"]},
        "for": SPAN,
        "labels": TEXTS,
        "annotations": TEXTS,
        "missing_series_evals_to_resolve": COUNT,
    },
    {"keepFiringFor": SPAN},
)
GROUP = only({"orgId": ORG, "name": TEXT, "folder": TEXT, "interval": SPAN, "rules": many(RULE)})
RECEIVER = only(
    {"uid": UID, "type": {"const": "prometheus-alertmanager"}, "settings": only({"url": TEXT})},
    {"disableResolveMessage": {"type": "boolean"}},
)
MATCHER = {"type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "string"}}
TIMES = {"group_by": many(TEXT), "group_wait": SPAN, "group_interval": SPAN, "repeat_interval": SPAN}
ROUTE = only({"receiver": TEXT, "object_matchers": many(MATCHER)}, {**TIMES, "continue": {"type": "boolean"}})
POLICY = only({"orgId": ORG, "receiver": TEXT, **TIMES}, {"routes": many(ROUTE)})
VERSION = {"const": 1}
FILES = {
    "rules.yml": only({"apiVersion": VERSION, "groups": many(GROUP)}),
    "contact-points.yml": only(
        {
            "apiVersion": VERSION,
            "contactPoints": many(only({"orgId": ORG, "name": TEXT, "receivers": many(RECEIVER)})),
        }
    ),
    "policies.yml": only({"apiVersion": VERSION, "policies": many(POLICY)}),
    "templates.yml": only(
        {"apiVersion": VERSION, "templates": many(only({"orgId": ORG, "name": TEXT, "template": TEXT}))}
    ),
}


def test_the_folder_has_these_files() -> None:
    assert {file.name for file in ALERTING.iterdir()} == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_types_that_grafana_reads(name: str) -> None:
    jsonschema.validate(yaml.safe_load((ALERTING / name).read_text()), FILES[name])


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("rules.yml", "noDataState: OK", "noDataState: Ok"),
        ("rules.yml", "instant: true", "instant: yes it is"),
        ("rules.yml", "title: HighMemory", "titel: HighMemory"),
        ("rules.yml", "type: threshold", "type: treshold"),
        ("rules.yml", "for: 15s", "for: 15"),
        ("policies.yml", "object_matchers", "matcher"),
        ("contact-points.yml", "settings:", "setting:"),
        ("templates.yml", "template: |", "templates: |"),
    ],
)
def test_the_schema_finds_mistakes(name: str, old: str, new: str) -> None:
    text = (ALERTING / name).read_text()
    assert old in text
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text.replace(old, new)), FILES[name])


def grafana_rules() -> Iterator[tuple[str, dict]]:
    for group in yaml.safe_load((ALERTING / "rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield group["folder"], rule


def test_grafana_has_every_alert_with_its_expression_time_and_level() -> None:
    def of(rule: dict) -> tuple:
        return rule["alert"], rule["labels"]["severity"], rule["expr"], seconds(rule.get("for", "0s"))

    ours = {of(rule) for rule in rules("alert")}
    theirs = {
        (rule["title"], rule["labels"]["severity"], rule["data"][0]["model"]["expr"], seconds(rule["for"]))
        for _, rule in grafana_rules()
    }
    assert theirs == ours


def test_the_steps_of_a_grafana_rule_lead_from_the_query_to_the_condition() -> None:
    for folder, rule in grafana_rules():
        query, math, limit = rule["data"]
        assert (query["refId"], math["refId"], limit["refId"]) == ("A", "B", "C") and rule["condition"] == "C"
        assert [step["model"]["refId"] for step in rule["data"]] == ["A", "B", "C"]
        assert re.findall(r"\$(\w+)", math["model"]["expression"]) == ["A", "A", "A"]
        assert limit["model"]["expression"] == "B"
        assert folder == f"gaugecast {rule['labels']['severity']}"


def test_grafana_can_keep_them_all() -> None:
    found = list(grafana_rules())
    assert len({rule["uid"] for _, rule in found}) == len(found)
    # The title is the label alertname, and must differ from others of the folder.
    assert len({(folder, rule["title"]) for folder, rule in found}) == len(found)


def test_what_the_policies_name_is_there() -> None:
    points = yaml.safe_load((ALERTING / "contact-points.yml").read_text())["contactPoints"]
    [policy] = yaml.safe_load((ALERTING / "policies.yml").read_text())["policies"]
    used = {policy["receiver"], *(route["receiver"] for route in policy["routes"])}
    assert used <= {point["name"] for point in points}


# All of it at work


WINDOW = "6s"
# In place of hours: an alert about what changed within them is over by itself afterwards, and must be seen before.
LONG_WINDOW = "15s"
SCRAPE = "250ms"
PHASES = ("quiet", "fires", "over")

# Series that only recorded series need.
ALSO = {
    'gaugecast_operation_duration_seconds_bucket{instance="also",job="fed",operation="send",le="1"}': 3,
    'gaugecast_operation_duration_seconds_bucket{instance="also",job="fed",operation="send",le="+Inf"}': 3,
}


def numbers(text: str) -> list[float | None]:
    """The values of promtool's notation; nothing where there is no sample."""
    found: list[float | None] = []
    for word in text.split():
        if gap := re.fullmatch(r"_(?:x(\d+))?", word):
            found += [None] * int(gap[1] or 1)
            continue
        begin, step, times = re.fullmatch(r"(-?[\d.]+)(?:([+-][\d.]+)?x(\d+))?", word).groups()
        found += [float(begin) + float(step or 0) * at for at in range(int(times or 0) + 1)]
    return found


def test_values_are_read_as_promtool_reads_them() -> None:
    assert numbers("1 2x2 5+2x2 3-0.5x1 _ _x2") == [1, 2, 2, 2, 5, 7, 9, 3, 2.5, None, None, None]


class Series:
    """A series of a unit test: in each phase it goes on from that time of the test as fast as it did then."""

    def __init__(self, name: str, values: list[float | None], times: list[int], interval: int) -> None:
        self.name = name
        self.values, self.times, self.interval = values, times, interval
        known = [value for value in values if value is not None]
        self.has_gaps = len(known) < len(values)
        self.is_counter = known[0] < known[-1] and known == sorted(known)
        # The time of a test begins at 0.
        self.is_time = name.split("{")[0] in {"node_boot_time_seconds", "node_time_seconds"}
        self.reached = 0.0

    def at(self, phase: int, since: float, now: float) -> float | None:
        """The value so many seconds after the phase began."""
        at = self.times[phase] // self.interval
        value, before, earlier = self.values[at], self.values[at - 1], self.values[at - 2]
        if value is None or before is None:
            return value
        if value == earlier != before:  # to and fro, slower than scrapes
            return before if int(since / 0.4) % 2 else value
        gone = (value - before) / self.interval * since
        if self.is_time:
            return now - since + value - self.times[phase] + gone
        return gone + (self.reached if self.is_counter else value)

    def leave(self, phase: int, since: float) -> None:
        """The phase is over: a counter goes on from here."""
        if self.is_counter and not self.is_time:
            self.reached = self.at(phase, since, 0.0) or 0.0


class Case:
    """A unit test of an alert as it is fed; its instances and jobs are its own."""

    def __init__(self, number: int, group: dict) -> None:
        self.own = f"{number}-"
        cases = sorted(group["alert_rule_test"], key=lambda case: seconds(case["eval_time"]))
        assert len(cases) == len(PHASES), group["name"]
        self.alert = cases[1]["alertname"]
        interval, times = seconds(group["interval"]), [seconds(case["eval_time"]) for case in cases]
        self.series = [
            Series(self.ours(one["series"]), numbers(one["values"]), times, interval) for one in group["input_series"]
        ]
        self.expected = {self.labels(alert["exp_labels"]) for alert in cases[1]["exp_alerts"]}
        self.seen: set[frozenset] = set()

    def ours(self, series: str) -> str:
        name, labels = re.fullmatch(r"([\w:]+)\{(.*)\}", series).groups()
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        return name + "{" + ",".join(f'{key}="{value}"' for key, value in self.renamed(pairs).items()) + "}"

    def renamed(self, labels: dict[str, str]) -> dict[str, str]:
        own = dict(labels)
        for key in ("instance", "job"):
            # Rules ask for job="gaugecast".
            if key in own and own[key] != "gaugecast":
                own[key] = self.own + own[key]
        return own

    def labels(self, expected: dict[str, str]) -> frozenset:
        return frozenset({**self.renamed(expected), "alertname": self.alert}.items())

    def mine(self, alerts: list[dict[str, str]]) -> set[frozenset]:
        """Those of the alerts that are of this test. A target that is scraped gives what has no job its own."""
        found = set()
        for labels in alerts:
            is_ours = any(labels.get(key, "").startswith(self.own) for key in ("instance", "job"))
            if labels["alertname"] == self.alert and is_ours:
                found.add(frozenset(pair for pair in labels.items() if pair != ("job", "fed")))
        return found


class Feed:
    """A target whose series are those of the unit tests, at one phase."""

    def __init__(self, cases: list[Case]) -> None:
        self.cases = cases
        self.phase, self.begun = 0, time.time()
        feed, self.lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = feed.page().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # who asks is stopped at the end
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # so it is between requests
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def page(self) -> str:
        with self.lock:
            now = time.time()
            since = now - self.begun
            # Each with its time, so that a rate is the same however late a scrape comes; but of a series with times
            # nobody knows that it has gone, which some have to.
            stamp = f" {now * 1000:.0f}"
            lines = [
                f"{one.name} {value!r}{'' if one.has_gaps else stamp}"
                for case in self.cases
                for one in case.series
                if (value := one.at(self.phase, since, now)) is not None
            ]
            lines += [f"{name} {slope * now!r}{stamp}" for name, slope in ALSO.items()]
            lines.append(f"fed_phase {self.phase}{stamp}")
        # Those of a family one after the other.
        lines.sort(key=lambda line: line.split("{")[0])
        return "".join(f"{line}\n" for line in lines)

    def go_on(self) -> None:
        with self.lock:
            since = time.time() - self.begun
            for case in self.cases:
                for one in case.series:
                    one.leave(self.phase, since)
            self.phase, self.begun = self.phase + 1, time.time()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def put(text: str, *changes: tuple[str, str]) -> str:
    for pattern, to in changes:
        text, times = re.subn(pattern, to, text, flags=re.MULTILINE)
        assert times, pattern
    return text


def short(text: str) -> str:
    """An expression, or a file of them, with short windows."""
    return re.sub(r"\[\d+h\]", f"[{LONG_WINDOW}]", re.sub(r"\[\d+[sm]\]", f"[{WINDOW}]", text))


def shortened(folder: Path) -> None:
    """The rules with seconds for minutes and hours: nothing but `for` and windows is touched."""
    (folder / "rules").mkdir()
    for file in RULES:
        text = short(file.read_text())
        text = re.sub(r"^(\s+for:) \w+$", r"\1 1s", text, flags=re.MULTILINE)
        (folder / "rules" / file.name).write_text(text)


@contextlib.contextmanager
def alertmanager(folder: Path, port: int) -> Iterator[str]:
    flags = [f"--storage.path={folder}/alertmanager", "--cluster.listen-address="]
    argv = [tool("prometheus-alertmanager"), f"--config.file={ALERTMANAGER}", *flags]
    program = Program([*argv, f"--web.listen-address=127.0.0.1:{port}"])
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: ready(url), "Alertmanager is ready")
        yield url
    finally:
        program.stop()


HTTP = urllib3.PoolManager(retries=False, timeout=DEADLINE)


def get(url: str, **fields: str) -> object:
    answer = HTTP.request("GET", url, fields=fields)
    assert answer.status == 200, answer.data
    return json.loads(answer.data)


def asked(server: str, expression: str) -> list:
    return get(f"{server}/api/v1/query", query=expression)["data"]["result"]


def answered(server: str, expression: str, since: float) -> bool:
    """Has it had a result at some time since?"""
    times = {"start": f"{since:.3f}", "end": f"{time.time():.3f}", "step": "500ms"}
    return bool(get(f"{server}/api/v1/query_range", query=expression, **times)["data"]["result"])


def told(url: str) -> list[dict[str, str]]:
    return [alert["labels"] for alert in get(f"{url}/api/v2/alerts")]


def firing(server: str) -> list[dict[str, str]]:
    alerts = get(f"{server}/api/v1/alerts")["data"]["alerts"]
    return [alert["labels"] for alert in alerts if alert["state"] == "firing"]


def test_every_alert_fires_reaches_alertmanager_and_resolves(start: Callable[..., Gaugecast], tmp_path: Path) -> None:
    groups = [group for file in TESTS for group in yaml.safe_load(file.read_text())["tests"]]
    cases = [Case(number, group) for number, group in enumerate(groups) if "alert_rule_test" in group]
    shortened(tmp_path)
    with contextlib.ExitStack() as around:
        feed = Feed(cases)
        around.callback(feed.close)
        fed = f"  - job_name: fed\n    honor_labels: true\n    static_configs:\n      - targets: ['{feed.address}']\n"
        ours = tmp_path / "gaugecast.yml"
        ours.write_text(
            f"global: {{scrape_interval: {SCRAPE}, evaluation_interval: 500ms}}\n"
            f"rule_files: ['{tmp_path}/rules/*.rules.yml']\nscrape_configs:\n{fed}"
        )
        gaugecast = start(f"--config.file={ours}", f"--collect.tick={SCRAPE}", "--rules.built-in=false")
        port = free_port()
        manager = around.enter_context(alertmanager(tmp_path, port))
        config = put(
            (ROOT / "prometheus.yml").read_text(),
            (r"(?<=scrape_interval: )5s", SCRAPE),
            (r"(?<=evaluation_interval: )5s", "500ms"),
            (r"localhost:7171", f"127.0.0.1:{gaugecast.port}"),
            (r"localhost:9093", f"127.0.0.1:{port}"),
        )
        theirs = around.enter_context(prometheus(tmp_path, config + "\n" + fed))
        servers = (theirs, gaugecast.origin)

        def left() -> set[str]:
            alerts = told(manager) + firing(theirs) + firing(gaugecast.origin)
            return {case.alert for case in cases if case.mine(alerts)}

        def quiet() -> bool:
            # A whole window: a rate over less is lower than it is.
            asks = f"count_over_time(fed_phase[{WINDOW}]) >= 12"
            return all(asked(server, asks) for server in servers) and not left()

        eventually(quiet, "both have seen what is quiet, and nothing fires")

        # Every alert reaches Alertmanager, and fires in gaugecast.
        feed.go_on()
        here: dict[str, set[frozenset]] = {case.own: set() for case in cases}

        def all_fire() -> bool:
            alerts, own = told(manager), firing(gaugecast.origin)
            for case in cases:
                case.seen |= case.mine(alerts)
                here[case.own] |= case.mine(own)
            return all(case.expected <= case.seen & here[case.own] for case in cases)

        with contextlib.suppress(AssertionError):  # what is missing is told better below
            eventually(all_fire, "every alert fires")
        assert {case.alert: case.seen ^ case.expected for case in cases if case.seen != case.expected} == {}
        own = {case.alert: here[case.own] ^ case.expected for case in cases if here[case.own] != case.expected}
        assert own == {}, "in gaugecast"

        # Meanwhile every expression had a result in both, what is recorded too.
        unanswered = {(server, short(rule["expr"])) for server in servers for rule in rules("expr")}

        def all_answered() -> bool:
            unanswered.difference_update([one for one in unanswered if answered(*one, feed.begun)])
            return not unanswered

        eventually(all_answered, f"every expression has a result: {unanswered}")

        # And each is over, there and here.
        feed.go_on()

        eventually(lambda: not left(), f"every alert resolves: {left()}")

"""Every panel, variable and annotation of every dashboard is asked of a real Prometheus and of gaugecast, and answers.

Both are given what the dashboards are made for: a host, a host with all the hardware that the fixtures have, an
application under traffic, a load test that goes on and on, clients of the stream, alerts that fire and are told to
receivers good and bad, an anomaly. The expressions are those of the files, with Grafana's variables put in as Grafana
does when "All" is chosen, or one instance.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3
import yaml
from conftest import BINARY, ROOT, Gaugecast, Hook, Program, eventually, free_port, start_gaugecast, status, tool
from test_chat import Chat, Client, chatting
from test_deployment import DASHBOARDS, GRAFANA, names_in, panels
from websockets.sync.client import connect

# How long all of it may take to have answered once: half a minute, on a busy machine several times that.
PATIENCE = 240.0

HOST = ROOT / "tests/fixtures/host"

RULES = {
    "groups": [
        {
            "name": "dashboards",
            "interval": "1s",
            "rules": [
                # A rate limit of one a minute holds most of these back.
                {"alert": "Many", "expr": "node_scrape_collector_success >= 0", "labels": {"severity": "warning"}},
                {"alert": "Refused", "expr": "vector(1)", "labels": {"severity": "critical"}},
                {"alert": "Later", "expr": "vector(1)", "for": "1h", "labels": {"severity": "info"}},
            ],
        }
    ]
}


def configuration(hook: str, targets: dict[str, str], rules: Path) -> dict:
    """All that makes series appear: targets, rules, receivers that take and refuse, remote write, a watch."""

    def webhook(path: str) -> list[dict]:
        return [{"url": f"{hook}/{path}"}]

    return {
        "scrape_configs": [
            {"job_name": job, "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
            for job, target in targets.items()
        ],
        "rule_files": [str(rules)],
        "receivers": [{"name": name, "webhook_configs": webhook(name)} for name in ("taken", "refused", "again")],
        "route": {
            "receiver": "taken",
            "group_by": ["..."],
            "group_wait": "0s",
            "routes": [
                {"matchers": ['alertname="Refused"'], "receiver": "refused", "continue": True},
                {"matchers": ['alertname="Refused"'], "receiver": "again", "continue": True},
                {"matchers": ['alertname=~".+"'], "receiver": "taken"},
            ],
        },
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [hook.removeprefix("http://")]}]}]},
        "remote_write": [{"url": f"{hook}/write"}],
        "detect": {
            "watches": [
                {
                    "name": "queue",
                    "match": ["queue_length"],
                    "detector": "zscore",
                    "params": {"min_samples": 10, "k": 1, "n": 1},
                    "interval": "0s",
                    "warm_up": 10,
                    "confirm": "1 of 1",
                    "adapt_after": "0s",
                }
            ]
        },
    }


def answer(_: int, handler) -> None:
    """By the path: one receiver refuses for good, one fails; another, an Alertmanager and remote write take."""
    codes = {"/refused": 400, "/again": 500, "/write": 204}
    status(codes.get(handler.path, 200))(0, handler)


@dataclass
class Source:
    """A data source of Grafana: Prometheus' HTTP API at an address."""

    url: str
    # What the variable instance may be besides "All".
    instance: str
    http: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    def get(self, path: str, **asked: str) -> list:
        told = json.loads(self.http.request("GET", f"{self.url}/api/v1/{path}", fields=asked).data)
        if told["status"] != "success":
            return []
        return told["data"]["result"] if path == "query" else told["data"]

    def query(self, expression: str) -> list[dict]:
        return self.get("query", query=expression)


@dataclass
class Stage:
    sources: dict[str, Source]
    # Makes the watched series anomalous.
    upset: Callable[[], None]


class Repeated:
    """Something done over and over on a thread until the end."""

    def __init__(self, what: Callable[[], object], pause: float = 0.3) -> None:
        self.over = threading.Event()
        self.failure: Exception | None = None

        def run() -> None:
            while not self.over.wait(pause):
                try:
                    what()
                except Exception as failure:
                    # Told by `close`: a stage whose actor is ill proves nothing.
                    self.failure = self.failure or failure
                    return

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        if self.failure:
            raise self.failure


def chat_traffic(chat: Chat) -> Callable[[], None]:
    """Operations that succeed and fail, failed logins, connections that come and go."""
    steady = Client(chat.address)
    steady.ok("REGISTER ann secret")
    steady.ok("LOGIN ann secret")

    def act() -> None:
        steady.ok("USERS")
        steady.say("SEND nowhere hello")
        passing = Client(chat.address)
        passing.say("LOGIN ann wrong")
        passing.file.close()
        passing.socket.close()

    return act


def stream_traffic(gaugecast: Gaugecast, steady) -> Callable[[], None]:
    """Clients that subscribe, ask for a query, make mistakes, are refused, go; and requests that are turned away."""
    steady.send(json.dumps({"type": "hello", "events": ["alert"]}))
    steady.send(json.dumps({"type": "subscribe", "sub": "load", "match": ["node_load1"]}))
    steady.send(json.dumps({"type": "subscribe", "sub": "rate", "query": "rate(gaugecast_ticks_total[10s])"}))

    def act() -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                steady.recv(timeout=0)
        with connect(gaugecast.stream) as passing:
            passing.send(json.dumps({"type": "nonsense"}))
            passing.recv()
        events = gaugecast.get("/api/v1/stream/sse?match=node_load1", Accept="text/event-stream")
        events.read(1)
        events.close()
        gaugecast.get("/api/v1/stream/ws")
        gaugecast.get("/metrics", Host="evil.example")

    return act


def disks(folder: Path) -> Path:
    """A filesystem, which neither the fixtures nor every sandbox have."""
    texts = folder / "disks"
    texts.mkdir()
    labels = '{device="/dev/sda1",fstype="ext4",mountpoint="/data"}'
    values = {"avail_bytes": 4e9, "size_bytes": 9e9, "files_free": 5e5, "files": 6e5, "readonly": 0, "device_error": 0}
    lines = [f"node_filesystem_{name}{labels} {value}\n" for name, value in values.items()]
    (texts / "disks.prom").write_text("".join(lines))
    return texts


@contextlib.contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[str]:
    """Prometheus with our prometheus.yml, faster and with targets for the other jobs beside ours."""
    config = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "2s", "evaluation_interval": "2s"}
    config["rule_files"] = [str(ROOT / "rules/*.rules.yml")]
    config.pop("alerting", None)
    (ours,) = config["scrape_configs"]
    assert ours["job_name"] == "gaugecast"
    config["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    program = Program(
        [
            tool("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    )
    try:
        program.wait_for("Server is ready to receive web requests")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.stop()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("dashboards")
    texts = folder / "textfiles"
    texts.mkdir()
    queue = texts / "queue.prom"
    queue.write_text("queue_length 5\n")
    rules = folder / "dashboards.rules.yml"
    rules.write_text(json.dumps(RULES))
    with contextlib.ExitStack() as running:
        hook = Hook(answer)
        running.callback(hook.close)
        chat = running.enter_context(chatting())
        paths = [f"--path.{name}fs={HOST}/{name}" for name in ("proc", "sys")]
        bare = start_gaugecast(*paths, f"--path.rootfs={HOST}", f"--collector.textfile.directory={disks(folder)}")
        running.callback(bare.program.stop)
        loads = free_port()
        others = {"chat": chat.live, "fixture": bare.origin, "loadtest": f"http://127.0.0.1:{loads}"}
        others = {job: origin.removeprefix("http://") for job, origin in others.items()}
        config = folder / "gaugecast.yml"
        config.write_text(json.dumps(configuration(hook.url, others, rules)))
        flags = [f"--config.file={config}", f"--collector.textfile.directory={texts}", "--detect.bounds"]
        ours = start_gaugecast(*flags, "--alert.rate=1")
        running.callback(ours.program.stop)
        load = [str(BINARY), "loadtest", "--url", f"ws://127.0.0.1:{ours.port}", "--connections=3", "--rate=1"]
        endless = ["--duration=2s", "--cycles=0", f"--web.listen-address=127.0.0.1:{loads}"]
        tester = Program([*load, *endless])
        running.callback(tester.stop)
        tester.wait_for("figures at")
        silence = {"matchers": ['alertname="Nothing"'], "for": "1h", "by": "judge", "comment": "one"}
        assert ours.http.request("POST", f"{ours.origin}/api/v1/admin/silences", json=silence).status < 300
        server = running.enter_context(prometheus(folder, {"gaugecast": ours.origin.removeprefix("http://"), **others}))
        steady = running.enter_context(connect(ours.stream))
        for traffic in (chat_traffic(chat), stream_traffic(ours, steady)):
            running.callback(Repeated(traffic).close)
        yield Stage(
            {name: Source(url, others["chat"]) for name, url in (("Prometheus", server), ("gaugecast", ours.origin))},
            lambda: queue.write_text("queue_length 5000\n"),
        )


def filled_in(expression: str, instance: str = ".*") -> str:
    """As Grafana sends it: `instance` is a value, escaped as it does for `=~`."""
    values = {"$__rate_interval": "20s", "$job": ".*", "$operation": ".*", "$instance": instance}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


@dataclass(frozen=True)
class Question:
    place: str
    expression: str
    legend: str = ""
    # For a variable: the label whose values are asked for.
    label: str = ""


def questions() -> list[Question]:
    found = []
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        for panel in panels(dashboard):
            for target in panel.get("targets", []):
                place = f"{file.stem}: {panel['title']} {target['refId']} {panel['id']}"
                found.append(Question(place, target["expr"], target["legendFormat"]))
        for note in dashboard["annotations"]["list"]:
            if "expr" in note:
                found.append(Question(f"{file.stem}: annotations {note['name']}", note["expr"], note["titleFormat"]))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                family, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
                found.append(
                    Question(f"{file.stem}: variable {variable['name']}", family.replace("{}", ""), label=label)
                )
    return found


QUESTIONS = questions()
LEARNT = "gaugecast_detect_observations_total"


@dataclass
class Answers:
    """What each source said to each question, and which metric names it knows."""

    results: dict[tuple[str, Question], list] = field(default_factory=dict, repr=False)
    names: dict[str, set[str]] = field(default_factory=dict, repr=False)


def ask(source: Source, question: Question) -> list:
    expression = filled_in(question.expression)
    if question.label:
        return source.get(f"label/{question.label}/values", **{"match[]": expression})
    return source.query(expression)


def lacking(question: Question, result: list, known: set[str]) -> str:
    """What is wrong with an answer; nothing if it is whole."""
    missing = names_in(question.expression) - known
    if missing:
        return f"no series of {', '.join(sorted(missing))}"
    if not result:
        return "no data"
    if question.label:
        return ""
    # A missing name of an instance or a job is what gaugecast's own series have when it is asked itself.
    wanted = set(re.findall(r"{{(\w+)}}", question.legend)) - {"instance", "job"}
    told = {label for series in result for label, value in series["metric"].items() if value}
    return f"no label {', '.join(sorted(wanted - told))}" if wanted - told else ""


@pytest.fixture(scope="module")
def answers(stage: Stage) -> Answers:
    """Asks until all have answered. Some things take several rounds, some are soon over: what was answered counts."""
    answers = Answers(names={name: set() for name in stage.sources})
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while True:
        if any(float(learnt["value"][1]) > 20 for learnt in stage.sources["gaugecast"].query(LEARNT)):
            stage.upset()
        open_questions = 0
        for name, source in stage.sources.items():
            answers.names[name] |= set(source.get("label/__name__/values"))
            for question in QUESTIONS:
                if lacking(question, answers.results.get((name, question), []), answers.names[name]):
                    answers.results[name, question] = ask(source, question)
                    open_questions += bool(lacking(question, answers.results[name, question], answers.names[name]))
        if not open_questions or time.monotonic() > deadline:
            return answers
        pause.wait(0.5)


@pytest.mark.parametrize("source", ["Prometheus", "gaugecast"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.place)
def test_what_a_dashboard_asks_for_is_answered(answers: Answers, question: Question, source: str) -> None:
    result = answers.results[source, question]
    assert lacking(question, result, answers.names[source]) == "", filled_in(question.expression)


def test_a_metric_that_nobody_has_is_found_out(stage: Stage, answers: Answers) -> None:
    for expression in ("sum(rate(gaugecast_stream_cleints{}[10s])) or vector(0)", 'node_load1{instance=~"nobody"}'):
        question = Question("", expression)
        for name, source in stage.sources.items():
            assert lacking(question, ask(source, question), answers.names[name])
    question = Question("", "node_load1", "{{colour}}")
    assert (
        lacking(question, ask(stage.sources["Prometheus"], question), answers.names["Prometheus"]) == "no label colour"
    )


@pytest.mark.parametrize("source", ["Prometheus", "gaugecast"])
def test_a_row_that_is_there_for_each_instance_answers_for_one(stage: Stage, answers: Answers, source: str) -> None:
    """Of the application's host, by the name that both sources have for it."""
    asked = stage.sources[source]
    escaped = re.escape(asked.instance).replace("\\", "\\\\")
    dashboard = json.loads((GRAFANA / "dashboards/host.json").read_text())
    head, *rest = dashboard["panels"]
    assert head["repeat"] == "instance"
    for panel in rest:
        if panel["type"] == "row":
            break
        for target in panel["targets"]:
            expression = filled_in(target["expr"], escaped)
            of_disks = re.search(r"node_(filesystem|disk)_", expression)
            if of_disks and not asked.query(f'{names_in(expression).pop()}{{instance="{asked.instance}"}}'):
                continue  # a sandbox may have none

            def instances(expression: str = expression) -> set[str]:
                return {series["metric"]["instance"] for series in asked.query(expression)}

            # A rate is gone for a while where a busy machine scraped too seldom.
            assert eventually(instances, f"an answer to {expression}") == {asked.instance}, expression


def test_links_lead_to_dashboards_that_exist() -> None:
    dashboards = {file: json.loads(file.read_text()) for file in DASHBOARDS}
    uids = {dashboard["uid"] for dashboard in dashboards.values()}
    assert len(uids) == len(dashboards)
    for file, dashboard in dashboards.items():
        assert dashboard["uid"] == f"gaugecast-{file.stem}"
        links = dashboard["links"]
        for panel in panels(dashboard):
            links = links + panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
        to = [re.match(r"/d/([\w-]+)\?\${datasource:queryparam}", link["url"])[1] for link in links]
        assert set(to) <= uids, file
        # Each of the others is a step away, with the time that is looked at.
        assert {*to, dashboard["uid"]} == uids, file
        assert all(link["keepTime"] for link in dashboard["links"]), file

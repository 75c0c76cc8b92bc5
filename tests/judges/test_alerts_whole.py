"""From a number to a person who knows: the program itself with rules and a detector, and at the other end a mail
server, webhooks, Slack's and PagerDuty's endpoints, and a real Alertmanager that a real Prometheus with the same rules
tells too.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path

import urllib3
from conftest import DEADLINE, Gaugecast, Hook, eventually, free_port, status
from test_anomalies import LEARNT, TICK_MS, WATCHES, number, write
from test_receivers import Mails, alertmanager, alerts, mail_server
from test_remote_write import prometheus
from test_rules import Target, data
from websockets.sync.client import ClientConnection, connect

FAST = (f"--collect.tick={TICK_MS}ms", f"--rules.evaluation-interval={TICK_MS}ms", "--rules.built-in=false")
ADMIN = "/api/v1/admin"


def told(hook: Hook) -> dict:
    """The next that a webhook is told."""
    return json.loads(hook.next()[2])


class Events:
    """The events of alerts, as a client of the stream has them."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        socket.send(json.dumps({"type": "hello", "events": ["alert"]}))
        self.next("welcome")

    def next(self, kind: str) -> dict:
        while (message := json.loads(self.socket.recv(timeout=DEADLINE)))["type"] != kind:
            assert message["type"] != "error", message
        return message

    def change(self, change: str, **labels: str) -> dict:
        """The next event that says this of such an alert; others before it are passed over."""
        while True:
            event = self.next("event")
            if event["change"] == change and labels.items() <= event["labels"].items():
                return event


@contextlib.contextmanager
def events(gaugecast: Gaugecast) -> Iterator[Events]:
    with connect(gaugecast.stream, proxy=None, open_timeout=DEADLINE) as socket:
        yield Events(socket)


def change(gaugecast: Gaugecast, method: str, path: str, **body: object) -> dict:
    """Does something over the admin API."""
    answer = gaugecast.http.request(method, gaugecast.origin + ADMIN + path, json=body or None)
    assert answer.status == 200, answer.data
    return json.loads(answer.data)["data"]


class Levels:
    """A text file of levels, from which rules make alerts."""

    RULES = """\
groups:
- name: levels
  rules:
  - alert: LevelHigh
    expr: level > 10
    labels: {severity: warning}
    annotations: {gaugecast_no_data: ok, summary: '{{ $labels.of }} is at {{ $value }}'}
  - alert: LevelHigh
    expr: level > 20
    labels: {severity: critical}
    annotations: {gaugecast_no_data: ok, summary: '{{ $labels.of }} is at {{ $value }}, far too high'}
"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "levels.rules.yml").write_text(self.RULES)

    def are(self, **levels: float) -> None:
        new = self.folder / "levels.new"
        lines = (f'level{{of="{of}"}} {level}\n' for of, level in levels.items())
        new.write_text("# TYPE level gauge\n" + "".join(lines))
        new.rename(self.folder / "levels.prom")

    def flags(self, config: str) -> list[str]:
        path = self.folder / "gaugecast.yml"
        path.write_text(f"rule_files: ['{self.folder}/levels.rules.yml']\n{config}")
        return [f"--config.file={path}", f"--collector.textfile.directory={self.folder}", *FAST]


ROUTE = "route: {receiver: people, group_by: [of], group_wait: 0s, group_interval: 1s"


def test_everybody_is_told_once_of_the_begin_the_rise_and_the_end(
    start: Callable[..., Gaugecast], hook: Callable[..., Hook], tmp_path: Path
) -> None:
    web, slack, pager, mails = hook(), hook(status(200, b"ok")), hook(status(202)), Mails()
    levels = Levels(tmp_path)
    levels.are(tank=5)
    with mail_server(mails) as port:
        config = (
            f"global:\n  smtp_smarthost: '127.0.0.1:{port}'\n  smtp_from: gaugecast@example.org\n"
            f"  slack_api_url: '{slack.url}/services/T/B/x'\n  pagerduty_url: '{pager.url}/v2/enqueue'\n{ROUTE}}}\n"
            f"receivers:\n- name: people\n  webhook_configs: [{{url: '{web.url}/hook'}}]\n"
            "  slack_configs: [{channel: '#ops', send_resolved: true}]\n  pagerduty_configs: [{routing_key: k}]\n"
            "  email_configs: [{to: ops@example.org, send_resolved: true, require_tls: false}]\n"
        )
        gaugecast = start(*levels.flags(config))

        def all_told() -> tuple[dict, str, dict, str]:
            one, attachment = told(web), told(slack)["attachments"][0]
            mail = message_from_bytes(mails.queue.get(timeout=DEADLINE)[1].content, policy=policy.default)
            return one, attachment["title"], told(pager), mail["Subject"]

        with events(gaugecast) as stream:
            levels.are(tank=15)
            began = stream.change("firing", of="tank")
            begin = all_told()
            levels.are(tank=25)
            stream.change("level", of="tank")
            rise = all_told()
            levels.are(tank=5)
            stream.change("resolved", of="tank")
            end = all_told()
        said = []
        for one, title, event, subject in (begin, rise, end):
            [alert] = one["alerts"]
            said.append((one["status"], alert["labels"]["severity"], alert["annotations"]["summary"]))
            assert alert["fingerprint"] == began["alert"] and event["dedup_key"] == begin[2]["dedup_key"]
            assert title == subject == f"[{one['status'].upper()}{':1' * (one is not end[0])}] LevelHigh (tank)"
        assert said == [
            ("firing", "warning", "tank is at 15"),
            ("firing", "critical", "tank is at 25, far too high"),
            ("resolved", "critical", "tank is at 25, far too high"),
        ]
        assert [event["event_action"] for _, _, event, _ in (begin, rise, end)] == ["trigger", "trigger", "resolve"]
        assert [event["payload"]["severity"] for _, _, event, _ in (begin, rise)] == ["warning", "critical"]

        # What the history says of it: three transitions, each delivered by four ways, at once.
        def transitions() -> list[dict]:
            return json.loads(gaugecast.get(f"{ADMIN}/alerts/history").data)["data"]

        eventually(lambda: sum(len(one["deliveries"]) for one in transitions()) == 12, f"{transitions()}")
        by_change = {one["change"]: one for one in transitions()}
        assert sorted(by_change) == ["firing", "level", "resolved"]
        for one in by_change.values():
            assert {way["integration"] for way in one["deliveries"]} == {"webhook", "slack", "pagerduty", "email"}
            assert all(way["at_ms"] - one["at_ms"] <= 5000 and "error" not in way for way in one["deliveries"])
        assert (web.count, slack.count, pager.count, mails.queue.qsize()) == (3, 3, 3, 0)


def test_a_silence_keeps_it_quiet_and_who_takes_it_stops_the_escalation(
    start: Callable[..., Gaugecast], hook: Callable[..., Hook], tmp_path: Path
) -> None:
    people, boss = hook(), hook()
    levels = Levels(tmp_path)
    levels.are(hushed=5, left=5, taken=5)
    config = (
        f"{ROUTE}, escalation: [{{after: 5s, receiver: boss}}]}}\n"
        f"receivers:\n- name: people\n  webhook_configs: [{{url: '{people.url}/'}}]\n"
        f"- name: boss\n  webhook_configs: [{{url: '{boss.url}/'}}]\n"
    )
    gaugecast = start(*levels.flags(config), "--alert.rate=100")

    def of(one: dict) -> tuple[str, str]:
        [alert] = one["alerts"]
        return alert["labels"]["of"], one["status"]

    with events(gaugecast) as stream:
        silence = change(gaugecast, "POST", "/silences", matchers=['of="hushed"'], **{"for": "1h"}, comment="known")
        levels.are(hushed=15, left=15, taken=15)
        seen: dict[tuple[str, str], dict] = {}
        while not {("hushed", "suppressed"), ("left", "firing"), ("taken", "firing")} <= seen.keys():
            event = stream.next("event")
            seen[event["labels"]["of"], event["change"]] = event
        assert seen["hushed", "suppressed"]["silenced_by"] == [silence["id"]]
        assert {of(told(people)), of(told(people))} == {("left", "firing"), ("taken", "firing")}
        taken = seen["taken", "firing"]["alert"]
        change(gaugecast, "POST", f"/alerts/{taken}/acknowledge", by="ann", note="on it")
        assert stream.change("acknowledged", of="taken")["acknowledged"]["by"] == "ann"
        # What nobody took goes on to the boss.
        assert of(told(boss)) == ("left", "firing")
        assert people.requests.empty()
        # What still fires when the silence ends is told then.
        change(gaugecast, "DELETE", f"/silences/{silence['id']}")
        assert of(told(people)) == ("hushed", "firing")
        levels.are(hushed=5, left=5, taken=5)
        ends = {of(told(people)) for _ in range(3)}
        assert ends == {("hushed", "resolved"), ("left", "resolved"), ("taken", "resolved")}
        said = of(told(boss))
        while said != ("left", "resolved"):
            # On a slow machine also what was hushed has been left for long enough.
            assert said[0] == "hushed"
            said = of(told(boss))


def test_an_anomaly_is_told_with_its_explanation(
    start: Callable[..., Gaugecast], hook: Callable[..., Hook], tmp_path: Path
) -> None:
    people = hook()
    config = tmp_path / "gaugecast.yml"
    config.write_text(
        f"{WATCHES}route: {{receiver: people, group_wait: 0s, group_interval: 1s}}\n"
        f"receivers:\n- name: people\n  webhook_configs: [{{url: '{people.url}/'}}]\n"
    )
    write(tmp_path, 10)
    gaugecast = start(f"--config.file={config}", f"--collector.textfile.directory={tmp_path}", *FAST)
    eventually(lambda: number(gaugecast, "gaugecast_detect_observations_total") >= LEARNT, "it has learnt")
    write(tmp_path, 50)
    [alert] = told(people)["alerts"]
    labels = {"alertname": "Anomaly", "watch": "driven", "metric": "driven_level", "exported_metric": "own"}
    assert labels.items() <= alert["labels"].items() and alert["labels"]["severity"] == "critical"
    listed = json.loads(gaugecast.get("/api/v1/anomalies").data)["data"]["current"]
    assert alert["annotations"]["description"] == listed[0]["explanation"]
    assert "is 50, expected 10" in listed[0]["explanation"]
    write(tmp_path, 10)
    end = told(people)
    assert end["status"] == "resolved" and end["alerts"][0]["fingerprint"] == alert["fingerprint"]
    assert people.count == 2


# What both of them load.
SHARED = """\
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, external_labels: {region: eu}}
rule_files: ['FOLDER/both.rules.yml']
scrape_configs:
- job_name: app
  static_configs: [{targets: ['127.0.0.1:TARGET']}]
alerting:
  alertmanagers:
  - static_configs: [{targets: ['127.0.0.1:ALERTMANAGER']}]
"""

BOTH_RULES = """\
groups:
- name: both
  rules:
  - {alert: LevelHigh, expr: level > 10, labels: {severity: critical}, annotations: {summary: too high}}
  - {alert: FlagUp, expr: flag == 1, labels: {severity: warning}}
  - {alert: Last, expr: last == 1, labels: {severity: warning}}
"""


class Pair:
    """A target that both scrape, an Alertmanager that both tell, and the hooks that they tell in turn."""

    def __init__(self, folder: Path, hook: Callable[..., Hook]) -> None:
        self.folder, self.port = folder, free_port()
        self.target = Target()
        self.through, self.direct = hook(), hook()
        self.show()
        (folder / "both.rules.yml").write_text(BOTH_RULES)
        shared = SHARED.replace("FOLDER", str(folder)).replace("ALERTMANAGER", str(self.port))
        self.shared = shared.replace("TARGET", str(self.target.port))
        (folder / "gaugecast.yml").write_text(
            f"{self.shared}route: {{receiver: direct, group_by: [alertname], group_wait: 0s, group_interval: 1s}}\n"
            f"receivers:\n- name: direct\n  webhook_configs: [{{url: '{self.direct.url}/'}}]\n"
        )
        self.storage = folder / "storage"
        self.flags = [f"--config.file={folder}/gaugecast.yml", f"--storage.path={self.storage}"]
        self.flags += ["--rules.built-in=false", "--collector.disable-defaults"]

    def show(self, level: int = 1, flag: int = 0, last: int = 0) -> None:
        self.target.show(level=f"level {level}", flag=f"flag {flag}", last=f"last {last}")

    def alertmanager(self) -> contextlib.AbstractContextManager[str]:
        return alertmanager(self.folder, self.through, self.port)

    def saved(self, *names: str) -> bool:
        """Are these alerts written down?"""
        path = self.storage / "alerts.json"
        return path.exists() and all(f'"{name}"' in path.read_text() for name in names)


def fires(gaugecast: Gaugecast) -> set[str]:
    found = data(gaugecast.origin, "/api/v1/alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}


def names(found: list[dict]) -> list[str]:
    return sorted(alert["labels"]["alertname"] for alert in found)


def news(hook: Hook, count: int) -> list[tuple[str, str]]:
    """The next that a hook is told, each with one alert."""
    found = [told(hook) for _ in range(count)]
    assert {len(one["alerts"]) for one in found} == {1}, found
    return [(one["alerts"][0]["labels"]["alertname"], one["status"]) for one in found]


def figure(page: str, series: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(series))


def test_one_alert_of_two_that_tell_it_stays_one_while_each_is_restarted(
    start: Callable[..., Gaugecast], hook: Callable[..., Hook], tmp_path: Path
) -> None:
    pair = Pair(tmp_path, hook)
    with contextlib.ExitStack() as around:
        beside = around.enter_context(contextlib.ExitStack())
        url = beside.enter_context(pair.alertmanager())
        theirs = around.enter_context(prometheus(tmp_path, pair.shared))
        gaugecast = start(*pair.flags)

        def known() -> bool:
            members = data(theirs, "/api/v1/alertmanagers")["activeAlertmanagers"]
            return len(members) == 1 and len(data(theirs, "/api/v1/query?query=level")["result"]) == 1

        eventually(known, "Prometheus knows its Alertmanager and has scraped")
        pair.show(level=100)

        def both_told() -> bool:
            page = urllib3.request("GET", f"{theirs}/metrics", timeout=DEADLINE).data.decode()
            ours = figure(gaugecast.text(), "gaugecast_alertmanager_alerts_sent_total")
            return ours >= 1 and figure(page, "prometheus_notifications_sent_total") >= 1

        eventually(both_told, "both have told it")
        [alert] = alerts(url)
        assert alert["labels"] == {
            "alertname": "LevelHigh",
            "severity": "critical",
            "instance": f"127.0.0.1:{pair.target.port}",
            "job": "app",
            "region": "eu",
        }
        assert news(pair.through, 1) == news(pair.direct, 1) == [("LevelHigh", "firing")]

        # gaugecast is killed, and its successor too, at once; the third one is stopped.
        eventually(lambda: pair.saved("LevelHigh"), "it is written down")
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            gaugecast.program.signal(number)
            gaugecast.program.wait()
            gaugecast = start(*pair.flags)
        eventually(lambda: fires(gaugecast) == {"LevelHigh"}, "it fires on")

        # Alertmanager forgets alerts when it is restarted. Meanwhile there is another one.
        beside.close()
        pair.show(level=100, flag=1)
        assert news(pair.direct, 1) == [("FlagUp", "firing")]
        url = beside.enter_context(pair.alertmanager())
        eventually(lambda: names(alerts(url)) == ["FlagUp", "LevelHigh"], "it is told both")
        assert news(pair.through, 1) == [("FlagUp", "firing")]

        # Both end, and a last one shows that nothing else was on its way.
        pair.show()
        ends = [("FlagUp", "resolved"), ("LevelHigh", "resolved")]
        assert sorted(news(pair.direct, 2)) == ends
        assert sorted(news(pair.through, 2)) == ends
        eventually(lambda: alerts(url) == [], "nothing stands")
        pair.show(last=1)
        assert news(pair.direct, 1) == news(pair.through, 1) == [("Last", "firing")]
        assert names(alerts(url)) == ["Last"]
        assert (pair.direct.count, pair.through.count) == (5, 5)


def test_what_ends_while_gaugecast_is_dead_is_told_when_it_is_back(
    start: Callable[..., Gaugecast], hook: Callable[..., Hook], tmp_path: Path
) -> None:
    pair = Pair(tmp_path, hook)
    with pair.alertmanager() as url:
        gaugecast = start(*pair.flags)
        pair.show(level=100, flag=1)
        begins = [("FlagUp", "firing"), ("LevelHigh", "firing")]
        assert sorted(news(pair.direct, 2)) == begins
        assert sorted(news(pair.through, 2)) == begins
        eventually(lambda: pair.saved("FlagUp", "LevelHigh"), "both are written down")
        gaugecast.program.signal(signal.SIGKILL)
        gaugecast.program.wait()
        pair.show(flag=1)
        gaugecast = start(*pair.flags)
        # The end that Alertmanager would have assumed by itself is minutes away.
        assert news(pair.direct, 1) == news(pair.through, 1) == [("LevelHigh", "resolved")]
        assert names(alerts(url)) == ["FlagUp"]
        assert fires(gaugecast) == {"FlagUp"}
        pair.show()
        assert news(pair.direct, 1) == news(pair.through, 1) == [("FlagUp", "resolved")]
        assert (pair.direct.count, pair.through.count) == (4, 4)

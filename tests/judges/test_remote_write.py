"""Remote write and pushes by other people's programs: what a real Prometheus scrapes is ours too, sample by sample
and live; another one federates from us; a client of the Pushgateway pushes here. And the other way: what we have is in
a Prometheus, a VictoriaMetrics and another gaugecast, also when those went and came back."""

import contextlib
import json
import signal
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from conftest import BINARY, Gaugecast, Program, eventually, free_port, tool
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    delete_from_gateway,
    push_to_gateway,
    pushadd_to_gateway,
)
from prometheus_client.parser import text_string_to_metric_families
from test_sse import EventSource


def ask(url: str, query: str, **params: object) -> list[dict]:
    path = "query_range" if "step" in params else "query"
    form = urllib.parse.urlencode({"query": query, **params})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = json.loads(urllib3.request("POST", f"{url}/api/v1/{path}", body=form, headers=headers).data)
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


@contextlib.contextmanager
def prometheus(folder: Path, config: str, *flags: str, port: int | None = None) -> Iterator[str]:
    """A Prometheus with this configuration; `PORT` in it is its own. Its data stay in the folder."""
    port = port or free_port()
    path = folder / "prometheus.yml"
    path.write_text(config.replace("PORT", str(port)))
    storage = [f"--config.file={path}", f"--storage.tsdb.path={folder}/data"]
    program = Program([tool("prometheus"), *storage, f"--web.listen-address=127.0.0.1:{port}", *flags])
    try:
        program.wait_for("Server is ready to receive web requests")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.stop()


# It scrapes itself every second and hands on what it has, with the type and the help of each family at once.
WRITES = """
global: {scrape_interval: 1s, external_labels: {from: prometheus}}
scrape_configs:
- job_name: prom
  static_configs: [targets: ['127.0.0.1:PORT']]
remote_write:
- url: URL/api/v1/write
  queue_config: {batch_send_deadline: 500ms}
  metadata_config: {send_interval: 1s}
"""


def samples(url: str, query: str, at: float) -> dict[str, list]:
    """Time and value of each sample, by labels without those that are added on the way."""
    found = ask(url, query, time=at)
    for one in found:
        one["metric"].pop("from", None)
    return {json.dumps(one["metric"], sort_keys=True): one["values"] for one in found}


def test_what_a_prometheus_scrapes_is_ours_too_sample_by_sample_and_live(
    start: Callable[..., Gaugecast], tmp_path: Path
) -> None:
    # One of its own: what is written to it is seen by whoever looks at all series of it.
    gaugecast = start()
    ours = gaugecast.origin
    with prometheus(tmp_path, WRITES.replace("URL", ours)) as theirs:
        eventually(lambda: ask(ours, "count_over_time(up{job='prom'}[1m]) >= 6"), "six scrapes of another")
        (newest,) = ask(ours, "timestamp(up{job='prom'})")
        at = float(newest["value"][1])
        # No sample stands at the left end, which belongs to a range in Prometheus 2 and does not in Prometheus 3.
        # And what our own rules record of these series Prometheus does not know.
        everything = '{job="prom", __name__!~".*:.*"}[4500ms]'
        want = samples(theirs, everything, at)
        assert len(want) > 300

        def missing() -> dict[str, list]:
            got = samples(ours, everything, at)
            return {key: values for key, values in want.items() if got.get(key) != values}

        eventually(lambda: not missing(), "every sample of some seconds")
        assert set(samples(ours, everything, at)) == set(want)

        # Live, with what its metadata say of it; and not at /metrics, where it would come back to who scrapes us.
        source = EventSource(ours, 'prometheus_tsdb_head_samples_appended_total{job="prom"}')
        seen: set[float] = set()
        for _ in source.messages():
            seen |= set(source.channel.values.values())
            if len(seen) >= 3:
                break

        def described() -> bool:
            families = json.loads(gaugecast.get("/api/v1/metadata").data)["data"]
            told = families.get("prometheus_http_request_duration_seconds", [{}])[0]
            return told.get("type") == "histogram" and told.get("help") == "Histogram of latencies for HTTP requests."

        eventually(described, "the metadata")
        assert "prometheus_tsdb" not in gaugecast.text()


def test_what_is_gone_there_is_stale_here(start: Callable[..., Gaugecast], tmp_path: Path) -> None:
    """The series of a target that does not answer any more end with stale markers, which come by remote write."""
    gaugecast, target = start("--collector.disable-defaults"), start("--collector.disable-defaults")
    config = WRITES.replace("URL", gaugecast.origin).replace("PORT", str(target.port))
    with prometheus(tmp_path, config):

        def live(name: str) -> bool:
            match = urllib.parse.quote(f'{name}{{job="prom"}}')
            return b'"prom"' in gaugecast.get(f"/api/v1/metrics?match[]={match}").data

        eventually(lambda: live("gaugecast_ticks_total"), "a series that is live")
        target.program.stop()
        eventually(lambda: not live("gaugecast_ticks_total"), "its end")
        assert live("up") and not ask(gaugecast.origin, 'gaugecast_ticks_total{job="prom"}')


# Asks us for what is ours and for what another Prometheus has written here.
FEDERATES = """
global: {scrape_interval: 1s}
scrape_configs:
- job_name: federate
  honor_labels: true
  metrics_path: /federate
  params: {'match[]': ['{job="prom",__name__=~"prometheus_http.*"}', '{__name__=~"process_.*"}']}
  static_configs: [targets: ['TARGET']]
"""


def test_a_prometheus_federates_what_is_ours_and_what_another_has_written(
    start: Callable[..., Gaugecast], tmp_path: Path
) -> None:
    gaugecast = start()
    folders = [tmp_path / "writes", tmp_path / "federates"]
    for folder in folders:
        folder.mkdir()
    writes = WRITES.replace("URL", gaugecast.origin)
    federates = FEDERATES.replace("TARGET", gaugecast.origin.removeprefix("http://"))
    with prometheus(folders[0], writes) as source, prometheus(folders[1], federates) as theirs:
        name = "prometheus_http_request_duration_seconds"
        enough = f'count_over_time({name}_count{{job="prom",handler="/metrics"}}[1m]) >= 4'
        eventually(lambda: ask(theirs, enough), "four federated samples")
        (newest,) = ask(theirs, f'timestamp({name}_count{{job="prom",handler="/metrics"}})')
        at = float(newest["value"][1])
        for series in (f'{name}_bucket{{job="prom",handler="/metrics"}}', f'{name}_sum{{job="prom"}}'):
            got, want = samples(theirs, f"{series}[3s]", at), samples(source, f"{series}[1m]", at)
            assert got
            for key, values in got.items():
                # With the times at which they were scraped first.
                assert values and all(value in want[key] for value in values)
        # Our own come with the time of the tick, and their types.
        assert ask(theirs, "count_over_time(process_start_time_seconds{instance=~'127.*'}[1m]) >= 2")
        types = json.loads(urllib3.request("GET", f"{theirs}/api/v1/targets/metadata").data)["data"]
        told = {one["metric"].removesuffix("_total"): one["type"] for one in types}
        assert (told[name], told["process_cpu_seconds"]) == ("histogram", "counter")


def test_federation_needs_a_selector(gaugecast: Gaugecast) -> None:
    for path, status in [("/federate", 400), ("/federate?match[]=up{", 400), ("/federate?match[]=none", 200)]:
        answer = gaugecast.get(path)
        assert answer.status == status, answer.data
    assert gaugecast.text("/federate?match[]=none") == ""


def test_a_client_of_the_pushgateway_pushes_here_unchanged(start: Callable[..., Gaugecast]) -> None:
    gaugecast = start()
    registry = CollectorRegistry()
    rows = Counter("backup_rows", "Rows saved.", ["table"], registry=registry)
    rows.labels("a\\b\n").inc(3)
    took = Histogram("backup_took_seconds", "Time.", registry=registry, buckets=[1, 10])
    took.observe(2)
    where = {"job": "backup", "grouping_key": {"path": "/var/tmp"}}
    gateway = gaugecast.origin.removeprefix("http://")

    def shown() -> dict[str, dict]:
        families = text_string_to_metric_families(gaugecast.text())
        wanted = [family for family in families if family.name.startswith(("backup", "push_time"))]
        mine = [sample for family in wanted for sample in family.samples if sample.labels.get("job") == "backup"]
        assert all(sample.labels["path"] == "/var/tmp" for sample in mine)
        return {sample.name + sample.labels.get("le", ""): sample.value for sample in mine}

    push_to_gateway(gateway, registry=registry, **where)
    found = eventually(shown, "what was pushed, with the next tick")
    assert (found["backup_rows_total"], found["backup_took_seconds_bucket10.0"]) == (3, 1)
    assert abs(found["push_time_seconds"] - time.time()) < 60
    more = CollectorRegistry()
    Gauge("backup_size", "Size.", registry=more).set(9)
    pushadd_to_gateway(gateway, registry=more, **where)
    eventually(lambda: {"backup_rows_total", "backup_size"} <= set(shown()), "one family more")
    push_to_gateway(gateway, registry=more, **where)
    eventually(lambda: set(shown()) == {"backup_size", "push_time_seconds"}, "only what was pushed last")
    delete_from_gateway(gateway, **where)
    eventually(lambda: not shown(), "the end of the group")


class Store:
    """A receiver of remote write, which can be killed and comes back with the same data at the same address."""

    # How it ends: in the middle of what it does, since it has said of samples that they are safe.
    end = signal.SIGKILL
    message = "prometheus.WriteRequest"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.argv = self.command(folder)
        self.begin()

    def command(self, folder: Path) -> list[str]:
        config = folder / "prometheus.yml"
        config.write_text("")
        storage = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        return [
            *[tool("prometheus"), *storage, f"--web.listen-address=127.0.0.1:{self.port}"],
            "--web.enable-remote-write-receiver",
        ]

    def begin(self) -> None:
        self.program = Program(self.argv)
        eventually(self.answers, "an answer of the receiver")

    def answers(self) -> bool:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request("GET", f"{self.url}/-/ready", retries=False).status == 200
        return False

    def die(self) -> None:
        self.program.signal(self.end)
        self.program.wait()

    def samples(self, selector: str) -> dict[str, dict[float, float]]:
        """Value by time of each series, by its labels."""
        return by_time(ask(self.url, f"{selector}[20m]"))


def by_time(found: list[dict]) -> dict[str, dict[float, float]]:
    named = [(json.dumps(one["metric"], sort_keys=True), one["values"]) for one in found]
    return {name: {round(at, 3): float(value) for at, value in values} for name, values in named}


class VictoriaMetrics(Store):
    """It takes samples before they are on the disk, so what it says after SIGKILL would be about itself."""

    end = signal.SIGTERM

    def command(self, folder: Path) -> list[str]:
        listen = f"-httpListenAddr=127.0.0.1:{self.port}"
        return [tool("victoria-metrics"), f"-storageDataPath={folder}/data", listen, "-retentionPeriod=1"]

    def answers(self) -> bool:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request("GET", f"{self.url}/health", retries=False).status == 200
        return False

    def samples(self, selector: str) -> dict[str, dict[float, float]]:
        query = urllib.parse.urlencode({"match[]": selector})
        lines = urllib3.request("GET", f"{self.url}/api/v1/export?{query}").data.decode().splitlines()
        found = []
        for one in map(json.loads, lines):
            times = [at / 1000 for at in one["timestamps"]]
            found.append({"metric": one["metric"], "values": list(zip(times, one["values"], strict=True))})
        return by_time(found)


class Another(Store):
    """Another gaugecast, told in the messages of 2.0."""

    message = "io.prometheus.write.v2.Request"

    def command(self, folder: Path) -> list[str]:
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        return [str(BINARY), listen, "--collector.disable-defaults", f"--storage.path={folder}/data"]


# Under external labels where there are none of the name.
SENDS = """
global: {external_labels: {replica: a, job: none}}
remote_write:
- url: URL/api/v1/write
  protobuf_message: MESSAGE
  queue_config: {batch_send_deadline: 500ms, max_backoff: 500ms}
  write_relabel_configs: [{source_labels: [__name__], regex: 'gaugecast_synthetic_value|up', action: keep}]
"""


@pytest.mark.parametrize(
    "store", [Store, VictoriaMetrics, Another], ids=["prometheus", "victoria-metrics", "gaugecast"]
)
def test_a_receiver_that_is_killed_and_comes_back_has_every_sample(
    store: type[Store], start: Callable[..., Gaugecast], tmp_path: Path
) -> None:
    receiver = store(tmp_path)
    try:
        synthetic = ["--collector.disable-defaults", "--collector.synthetic", "--collector.synthetic.series=50"]
        target = start(*synthetic)
        config = tmp_path / "gaugecast.yml"
        config.write_text(SENDS.replace("URL", receiver.url).replace("MESSAGE", receiver.message))
        ours = start(*synthetic, f"--scrape={target.metrics}", f"--config.file={config}", "--collect.tick=100ms")
        selector = '{__name__=~"gaugecast_synthetic_value|up"}'

        def sent() -> float:
            return figure(ours, "samples_sent_total")

        # Own ones ten times a second, scraped ones once.
        eventually(lambda: sent() > 2000, "some samples")
        receiver.die()
        died = time.time()
        eventually(lambda: figure(ours, "receiver_up") == 0, "that the receiver is away")
        scraped = 'count_over_time(up{job="scrape"}[1h])'
        before = float(ask(ours.origin, scraped)[0]["value"][1])
        eventually(
            lambda: float(ask(ours.origin, scraped)[0]["value"][1]) >= before + 4, "four scrapes while it is away"
        )
        back = time.time()
        receiver.begin()
        at_back = sent()
        eventually(lambda: sent() > at_back + 3000, "what it has missed")
        eventually(lambda: figure(ours, "receiver_up") == 1, "that the receiver is there again")

        found = ask(ours.origin, f"{selector}[20m]", time=time.time())
        for one in found:
            one["metric"] = {"replica": "a", "job": "none"} | one["metric"]
        want = by_time(found)
        assert len(want) >= 2 * 50 + 1
        for values in want.values():
            assert len([at for at in values if died < at < back]) >= 3

        def missing() -> dict[str, dict[float, float]]:
            got = receiver.samples(selector)
            lost = {name: dict(values.items() - got.get(name, {}).items()) for name, values in want.items()}
            return {name: values for name, values in lost.items() if values}

        eventually(lambda: not missing(), "every sample")
        assert set(receiver.samples(selector)) == set(want)
        assert figure(ours, "samples_failed_total") == 0
        for reason in ("expired", "out_of_order", "too_old"):
            assert figure(ours, "samples_dropped_total", f'reason="{reason}"') == 0
    finally:
        receiver.program.stop()


def figure(gaugecast: Gaugecast, name: str, label: str = "") -> float:
    """A figure of the only receiver; -1 if it is not there."""
    for line in gaugecast.text().splitlines():
        if line.startswith(f"gaugecast_remote_write_{name}{{") and label in line:
            return float(line.rsplit(" ", 1)[1])
    return -1

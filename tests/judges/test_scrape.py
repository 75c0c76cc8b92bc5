"""Real exporters, scraped side by side by a real Prometheus and by us, from one configuration file: the same series,
and the same values where these stand still."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from conftest import Gaugecast, Program, eventually, free_port, tool

HTTP = urllib3.PoolManager(retries=False)

# Of a Prometheus' own series: those that come and go with what it is asked or does, and those whose quantiles are NaN
# until something happens.
RESTLESS = "go_gc_duration_seconds|prometheus_http_.*|promhttp_.*|prometheus_engine_.*|net_conntrack_.*"


def ask(origin: str, query: str) -> list[dict]:
    answer = json.loads(HTTP.request("GET", origin + "/api/v1/query", fields={"query": query}).data)
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def identity(series: dict) -> str:
    return json.dumps(series["metric"], sort_keys=True)


@contextlib.contextmanager
def running(argv: list[str], ready: str) -> Iterator[None]:
    program = Program(argv)
    try:
        program.wait_for(ready)
        yield
    finally:
        program.stop()


def exporters(folder: Path, stack: contextlib.ExitStack) -> dict[str, int]:
    """Starts the exporters; gives the port of each job."""
    ports = {"node": free_port(), "alertmanager": free_port(), "pushgateway": free_port()}
    alertmanager = folder / "alertmanager.yml"
    alertmanager.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    # One processor, so that a collector's own figures stand still as far as they can.
    programs = {
        "node": ([tool("prometheus-node-exporter")], "Listening on|listening on|TLS is disabled"),
        "alertmanager": (
            [
                tool("prometheus-alertmanager"),
                f"--config.file={alertmanager}",
                f"--storage.path={folder}/alertmanager",
                "--cluster.listen-address=",
            ],
            "Listening on|listening on",
        ),
        "pushgateway": ([tool("prometheus-pushgateway")], "Listening on|listening on|TLS is disabled"),
    }
    for job, (argv, ready) in programs.items():
        stack.enter_context(running([*argv, f"--web.listen-address=127.0.0.1:{ports[job]}"], ready))
    return ports


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Both scrape the exporters and the Prometheus; gives where Prometheus and we answer."""
    from conftest import start_gaugecast

    folder = tmp_path_factory.mktemp("scrape")
    with contextlib.ExitStack() as stack:
        ports = exporters(folder, stack) | {"prometheus": free_port()}
        config = folder / "prometheus.yml"
        jobs = "".join(
            f"  - job_name: {job}\n    static_configs:\n"
            f"      - targets: ['127.0.0.1:{port}']\n        labels: {{zone: a}}\n"
            for job, port in ports.items()
        )
        relabelled = (
            f"  - job_name: relabelled\n    static_configs: [{{targets: ['127.0.0.1:{ports['node']}']}}]\n"
            "    params: {'collect[]': [cpu, loadavg, uname]}\n"
            "    relabel_configs:\n"
            "      - {source_labels: [__address__], regex: '(.*):(.*)', target_label: port, replacement: '${2}'}\n"
            "      - {source_labels: [__address__], modulus: 7, target_label: shard, action: hashmod}\n"
            "    metric_relabel_configs:\n"
            "      - {source_labels: [__name__], regex: 'go_.*|process_.*|promhttp_.*', action: drop}\n"
            "      - {source_labels: [__name__, mode], regex: 'node_cpu_seconds_total;(.*)', target_label: kind}\n"
            "      - {regex: mode, action: labeldrop}\n"
            "      - {source_labels: [__name__], regex: 'node_(.*)', target_label: __name__, replacement: 'host_$1'}\n"
        )
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            "rule_files: []\nalerting: {alertmanagers: []}\n"
            f"scrape_configs:\n{jobs}{relabelled}"
        )
        prometheus = f"127.0.0.1:{ports['prometheus']}"
        argv = [tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        stack.enter_context(
            running([*argv, f"--web.listen-address={prometheus}"], "Server is ready to receive web requests")
        )
        # Alerts about what is scraped would have its labels.
        quiet = ("--collector.disable-defaults", "--rules.built-in=false")
        ours = start_gaugecast(f"--config.file={config}", *quiet)
        stack.callback(ours.program.stop)
        theirs = f"http://{prometheus}"
        count = len(ports) + 1
        for origin in (theirs, ours.origin):
            eventually(
                lambda at=origin: len(ask(at, "min_over_time(up[1m]) == 1")) == count, f"{count} targets at {origin}"
            )
        yield theirs, ours.origin


JOBS = ["node", "alertmanager", "pushgateway", "prometheus", "relabelled"]


def both(pair: tuple[str, str], query: str, alike: Callable[[dict, dict], bool]) -> tuple[dict, dict]:
    """What both answer once it is alike, by series."""
    found: list[dict] = [{}, {}]

    def asked() -> bool:
        for at, origin in enumerate(pair):
            found[at] = {identity(series): series["value"][1] for series in ask(origin, query)}
        return alike(found[0], found[1])

    try:
        eventually(asked, query)
    except AssertionError:
        theirs, ours = found
        only = (sorted(theirs.keys() - ours.keys())[:20], sorted(ours.keys() - theirs.keys())[:20])
        both = theirs.keys() & ours.keys()
        differ = [(key, theirs[key], ours[key]) for key in both if theirs[key] != ours[key]][:20]
        pytest.fail(f"{query}: only theirs {only[0]}, only ours {only[1]}, differ {differ}")
    return found[0], found[1]


@pytest.mark.parametrize("job", JOBS)
def test_we_have_the_series_that_prometheus_has(pair: tuple[str, str], job: str) -> None:
    query = f'{{job="{job}",__name__!~"{RESTLESS}"}}'
    theirs, _ = both(pair, query, lambda theirs, ours: theirs.keys() == ours.keys() and len(theirs) > 10)
    assert any('"up"' in key for key in theirs) and any('"scrape_series_added"' in key for key in theirs)


@pytest.mark.parametrize("job", JOBS)
def test_what_stands_still_has_the_same_value(pair: tuple[str, str], job: str) -> None:
    names = "|".join(
        [
            ".*_info",
            "up",
            ".*_start_time_seconds",
            "process_max_fds",
            "node_memory_MemTotal_bytes",
            "node_filesystem_size_bytes",
            "node_scrape_collector_success",
            ".*_build_info",
            "alertmanager_config_hash",
            "alertmanager_receivers",
            "prometheus_config_.*",
            "prometheus_sd_discovered_targets",
            "prometheus_target_scrape_pool_targets",
            "host_uname_info",
        ]
    )
    query = f'{{job="{job}",__name__=~"{names}"}}'
    both(pair, query, lambda theirs, ours: theirs == ours and len(theirs) > 0)


def test_counters_go_on_between_the_two(pair: tuple[str, str]) -> None:
    theirs, ours = pair
    query = 'node_cpu_seconds_total{job="node"}'
    before = {identity(series): float(series["value"][1]) for series in ask(theirs, query)}

    def later() -> bool:
        now = {identity(series): float(series["value"][1]) for series in ask(ours, query)}
        return now.keys() == before.keys() and all(now[key] >= before[key] for key in before)

    eventually(later, "our counters, not below those that Prometheus had before")


@pytest.mark.parametrize("job", JOBS)
def test_metadata_is_the_same(pair: tuple[str, str], job: str) -> None:
    """Prometheus tells metadata by target; ours are of all, so only the type is compared of what it has."""
    theirs = json.loads(
        HTTP.request("GET", pair[0] + "/api/v1/targets/metadata", fields={"match_target": f'{{job="{job}"}}'}).data
    )["data"]
    ours = json.loads(HTTP.request("GET", pair[1] + "/api/v1/metadata").data)["data"]
    compared = 0
    for family in theirs:
        for told in ours.get(family["metric"], []):
            compared += 1
            assert told["type"] == family["type"], family
    assert compared > 3 or job == "relabelled"


def test_targets_are_shown_in_the_same_shape(pair: tuple[str, str]) -> None:
    def active(origin: str) -> dict[str, dict]:
        data = json.loads(HTTP.request("GET", origin + "/api/v1/targets").data)["data"]
        return {target["scrapePool"]: target for target in data["activeTargets"]}

    # On a busy machine a scrape may take longer than its timeout, of the one or of the other.
    eventually(lambda: all(t["health"] == "up" for one in pair for t in active(one).values()), "both to scrape all")
    theirs, ours = active(pair[0]), active(pair[1])
    assert theirs.keys() == ours.keys()
    for job, target in theirs.items():
        for key in ("labels", "scrapeUrl", "health", "lastError", "scrapeInterval", "scrapeTimeout"):
            assert ours[job][key] == target[key], (job, key)
        assert ours[job].keys() == target.keys()
        assert ours[job]["discoveredLabels"] == target["discoveredLabels"]


def test_a_target_that_goes_and_comes_is_told_once_each(start: Callable[..., Gaugecast]) -> None:
    port = free_port()
    gaugecast = start(f"--scrape=127.0.0.1:{port}", "--collector.disable-defaults")
    gaugecast.program.wait_for(rf"target is down.*127\.0\.0\.1:{port}/metrics.*reason=refused")
    with running(
        [tool("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}"], "istening|TLS is disabled"
    ):
        gaugecast.program.wait_for("target is up again")
    gaugecast.program.wait_for("target is down")
    told = [line for line in gaugecast.program.lines["stderr"] if "target is" in line]
    assert len(told) == 3, told


def test_a_target_that_is_ourselves_is_told(start: Callable[..., Gaugecast]) -> None:
    port = free_port()
    gaugecast = start(
        f"--web.listen-address=127.0.0.1:{port}", f"--scrape=localhost:{port}", "--collector.disable-defaults"
    )
    # It may be said before the server is ready.
    eventually(lambda: "this target is this server itself" in gaugecast.program.output, "the warning")
    eventually(lambda: ask(gaugecast.origin, 'up{job="scrape"} == 1'), "it is scraped all the same")

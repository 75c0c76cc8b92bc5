"""PromQL over HTTP as other people's programs ask for it: Prometheus' own promtool, Python's prometheus-api-client, and
a real Prometheus that scrapes us and must then answer the same queries the same."""

import contextlib
import datetime
import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from conftest import Gaugecast, Program, eventually, free_port, tool
from prometheus_api_client import PrometheusConnect


def ask(url: str, path: str, **params: object) -> object:
    if path.startswith("label/"):
        answer = json.loads(urllib3.request("GET", f"{url}/api/v1/{path}", fields=params).data)
    else:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urllib.parse.urlencode(params)
        answer = json.loads(urllib3.request("POST", f"{url}/api/v1/{path}", body=body, headers=form).data)
    assert answer["status"] == "success", answer
    return answer["data"]


@pytest.fixture(scope="module")
def lively(gaugecast: Gaugecast) -> Gaugecast:
    """With enough of a past for a rate."""
    query = "count_over_time(process_cpu_seconds_total[1m]) >= 5"
    eventually(lambda: ask(gaugecast.origin, "query", query=query)["result"], "five samples of a series")
    return gaugecast


def promtool(*argv: str) -> str:
    done = subprocess.run([tool("promtool"), "query", *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_promtool_asks_for_instants_ranges_series_and_labels(lively: Gaugecast) -> None:
    url = lively.origin
    assert promtool("instant", url, "1 + 1").startswith("scalar: 2 @[")
    assert promtool("instant", url, "rate(process_cpu_seconds_total[1m])").startswith("{} => ")
    (vector,) = json.loads(promtool("instant", "--format=json", url, "count(up) or vector(7)"))
    assert vector["value"][1] == "7"
    ranges = promtool("range", "--step=1s", url, "max(process_start_time_seconds)")
    assert ranges.startswith("{} =>\n") and ranges.count("@[") >= 3
    assert promtool("series", "--match=node_load1", url).strip() == '{__name__="node_load1"}'
    modes = promtool("labels", url, "mode").split()
    assert {"idle", "iowait", "system", "user"} <= set(modes)


def test_promtool_shows_the_error_of_a_wrong_query(lively: Gaugecast) -> None:
    done = subprocess.run([tool("promtool"), "query", "instant", lively.origin, "sum("], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'bad_data: invalid parameter "query": 1:5: parse error' in done.stderr


def test_the_python_client_works_unchanged(lively: Gaugecast) -> None:
    client = PrometheusConnect(url=lively.origin)
    assert client.check_prometheus_connection()
    assert {"node_load1", "process_cpu_seconds_total"} <= set(client.all_metrics())
    assert {"__name__", "mode", "cpu"} <= set(client.get_label_names())
    assert "idle" in client.get_label_values("mode")
    (current,) = client.get_current_metric_value("process_start_time_seconds")
    assert current["metric"] == {"__name__": "process_start_time_seconds"}
    now = datetime.datetime.now(datetime.UTC)
    minute = now - datetime.timedelta(minutes=1)
    (past,) = client.get_metric_range_data("process_start_time_seconds", start_time=minute, end_time=now)
    assert {value for _, value in past["values"]} == {current["value"][1]}
    (steps,) = client.custom_query_range("count(node_cpu_seconds_total)", start_time=minute, end_time=now, step="1s")
    assert len(steps["values"]) >= 3
    (series,) = client.get_series(minute, now, params={"match[]": "node_load1"})
    assert series == {"__name__": "node_load1"}
    assert client.get_metric_metadata("node_load1") == [
        {"metric_name": "node_load1", "type": "gauge", "help": "1m load average.", "unit": ""}
    ]


# --- beside a real Prometheus


@contextlib.contextmanager
def scraping(folder: Path, target: int) -> Iterator[str]:
    """Prometheus that scrapes us every second and adds no labels that we do not have."""
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "- job_name: gaugecast\n"
        f"  static_configs: [targets: ['127.0.0.1:{target}']]\n"
        "  metric_relabel_configs: [{action: labeldrop, regex: 'instance|job'}]\n"
    )
    port = free_port()
    flags = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    program = Program([tool("prometheus"), *flags])
    try:
        program.wait_for("Server is ready to receive web requests")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.stop()


def vector(result: list[dict]) -> dict[str, float]:
    return {json.dumps(one["metric"], sort_keys=True): float(one["value"][1]) for one in result}


# Of things that stand still between two scrapes, so that it does not matter who has looked at them when.
STILL = [
    "node_memory_MemTotal_bytes",
    "count by (mode) (node_cpu_seconds_total)",
    'sum without (cpu) (node_cpu_seconds_total{mode="nice"} >= bool 0)',
    "sort_desc(topk(2, count by (__name__) ({__name__=~'node_network_.*'})))",
    'label_replace(node_uname_info, "os", "$1", "sysname", "(.*)")',
    "process_start_time_seconds * on () group_left (sysname) node_uname_info",
    "rate(process_start_time_seconds[5s])",
    "changes(node_boot_time_seconds[5s])",
    "max_over_time(node_memory_MemTotal_bytes[5s:1s]) / 2 ^ 30",
    "absent(no_such_metric{a='b'})",
    "timestamp(node_boot_time_seconds) > bool 0",
]


def test_a_prometheus_that_scrapes_us_answers_the_same(lively: Gaugecast, tmp_path: Path) -> None:
    with scraping(tmp_path, lively.port) as theirs:
        enough = "count_over_time(node_boot_time_seconds[1m]) >= 7"
        eventually(lambda: ask(theirs, "query", query=enough)["result"], "seven scrapes")
        (newest,) = ask(theirs, "query", query="timestamp(node_boot_time_seconds)")["result"]
        at = float(newest["value"][1])
        ours = lively.origin
        for query in STILL:
            got = ask(ours, "query", query=query, time=at)["result"]
            assert vector(got) == pytest.approx(vector(ask(theirs, "query", query=query, time=at)["result"])), query
            assert got, query
        span = {"start": int(at) - 3, "end": int(at), "step": 1}
        for query in ("count(node_cpu_seconds_total)", "process_start_time_seconds"):
            assert ask(ours, "query_range", query=query, **span) == ask(theirs, "query_range", query=query, **span)

        # A scrape shows a tick, and every tick is kept: what they have seen of something that moves, we have too.
        moving = "process_cpu_seconds_total[1m]"
        (seen,) = ask(theirs, "query", query=moving, time=at)["result"]

        def missing() -> set[str]:
            (kept,) = ask(ours, "query", query=moving)["result"]
            return {value for _, value in seen["values"]} - {value for _, value in kept["values"]}

        eventually(lambda: not missing(), "the ticks that were scraped")
        for url in (ours, theirs):
            # A slope, not a rate: how far that extends to the ends of its window depends on where the ticks fell.
            (clock,) = ask(url, "query", query="deriv(node_time_seconds[5s])", time=at)["result"]
            assert float(clock["value"][1]) == pytest.approx(1, abs=0.1), url

        names = [ask(url, "label/__name__/values") for url in (ours, theirs)]
        # Its own figures, and what its own rules record, are not scraped from it by that name.
        own = {name for name in names[0] if name.startswith("gaugecast_") or ":" in name}
        assert set(names[0]) <= set(names[1]) | own
        for path in ("label/mode/values", "label/device/values"):
            assert ask(ours, path) == ask(theirs, path), path


@pytest.mark.parametrize(
    "path",
    [
        "query?query=sum(",
        "query?query=up+up",
        "query?query=1&time=x",
        "query_range?query=1&start=1&end=0&step=1",
        "query_range?query=1&start=1&end=2&step=0",
        "query_range?query=1&start=1&end=20000&step=1",
        "query?query=1/0&time=5",
        "query?query=x&time=5",
        "query_range?query=time()&start=1&end=2&step=0.5",
        "query?query='a'&time=5",
        "series",
        "series?match[]=none",
        "series?match[]={}",
        "labels?match[]=none",
        "label/none/values",
        "metadata?metric=none",
        "metadata?limit=x",
    ],
)
def test_whatever_has_no_samples_is_answered_to_the_byte(lively: Gaugecast, idle: str, path: str) -> None:
    got, want = (urllib3.request("GET", f"{url}/api/v1/{path}") for url in (lively.origin, idle))
    assert (got.status, got.data.decode()) == (want.status, want.data.decode())


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus without a target."""
    folder = tmp_path_factory.mktemp("idle")
    with scraping(folder, 1) as url:
        yield url

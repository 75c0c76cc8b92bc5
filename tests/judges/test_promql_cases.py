"""A real Prometheus and gaugecast are given the same samples and must answer 200 generated queries the same: the same
verdict, the same label sets, the same values (to 1e-12 of them, since the order of a sum is nobody's promise)."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import promql_cases
import pytest
import urllib3
from conftest import Program, free_port, start_gaugecast, tool
from promql_cases import Query
from remote_write import push_series

COUNT = 200


@contextlib.contextmanager
def receiving(folder: Path) -> Iterator[str]:
    """A Prometheus that scrapes nothing and takes remote write."""
    config, port = folder / "prometheus.yml", free_port()
    config.write_text("global: {evaluation_interval: 1m}\n")
    flags = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    program = Program([tool("prometheus"), *flags, "--web.enable-remote-write-receiver", "--query.lookback-delta=5m"])
    try:
        program.wait_for("Server is ready to receive web requests")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.stop()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Where gaugecast and Prometheus are, with the same samples."""
    series = promql_cases.samples()
    http = urllib3.PoolManager()
    gaugecast = start_gaugecast("--collector.disable-defaults", "--history.retention=100y")
    try:
        with receiving(tmp_path_factory.mktemp("prometheus")) as theirs:
            for url in (gaugecast.origin, theirs):
                push_series(http, url, series)
            yield gaugecast.origin, theirs
    finally:
        gaugecast.program.stop()


def ask(http: urllib3.PoolManager, url: str, text: str, query: Query) -> dict:
    if query.step is None:
        path, fields = "query", {"query": text, "time": query.start}
    else:
        path, fields = "query_range", {"query": text, "start": query.start, "end": query.end, "step": query.step}
    answer = http.request("POST", f"{url}/api/v1/{path}", fields=fields, encode_multipart=False)
    return json.loads(answer.data)


def points(answer: dict) -> dict[str, list[tuple[float, float]]]:
    """Time and value of each series."""
    data = answer["data"]
    if data["resultType"] == "scalar":
        return {"": [(data["result"][0], float(data["result"][1]))]}
    found = {}
    for one in data["result"]:
        key = json.dumps(one["metric"], sort_keys=True)
        assert key not in found, f"twice: {key}"
        values = one["values"] if "values" in one else [one["value"]]
        found[key] = [(time, float(value)) for time, value in values]
    return found


def same(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)


def difference(query: Query, got: dict, want: dict) -> str | None:
    """What is not the same, in words."""
    if got["status"] != want["status"] or got.get("errorType") != want.get("errorType"):
        return f"status: {got.get('error', 'an answer')!r}, not {want.get('error', 'an answer')!r}"
    if want["status"] == "error":
        return None
    ours, theirs = points(got), points(want)
    if got["data"]["resultType"] != want["data"]["resultType"]:
        return f"type {got['data']['resultType']}, not {want['data']['resultType']}"
    if ours.keys() != theirs.keys():
        return f"series {sorted(ours.keys() - theirs.keys())[:3]} and not {sorted(theirs.keys() - ours.keys())[:3]}"
    for key, values in theirs.items():
        if [time for time, _ in ours[key]] != [time for time, _ in values]:
            return f"other times of {key}: {len(ours[key])}, not {len(values)}"
        for (time, value), (_, wanted) in zip(ours[key], values, strict=True):
            if not same(value, wanted):
                return f"{key} at {time}: {value!r}, not {wanted!r}"
    if query.step is None and query.text.startswith(("sort(", "sort_desc(")):
        # By their values, since those that are equal may stand in any order.
        order = [[value for ((_, value),) in found.values()] for found in (ours, theirs)]
        if not all(map(same, *order)):
            return "another order"
    return None


def test_what_is_not_the_same_is_a_difference() -> None:
    query = Query("sort(x)", 1.0, 1.0, None)

    def answer(*values: tuple[str, str]) -> dict:
        result = [{"metric": {"a": name}, "value": [1.0, value]} for name, value in values]
        return {"status": "success", "data": {"resultType": "vector", "result": result}}

    said = answer(("x", "1"), ("y", "NaN"))
    assert difference(query, answer(("x", "1.0000000000000002"), ("y", "NaN")), said) is None
    for other in (
        answer(("x", "1.00000000001"), ("y", "NaN")),
        answer(("x", "1"), ("y", "2")),
        answer(("x", "1")),
        answer(("x", "1"), ("z", "NaN")),
        answer(("y", "NaN"), ("x", "1")),
        {"status": "error", "errorType": "execution", "error": "no"},
    ):
        assert difference(query, other, said), other


def test_a_prometheus_with_the_same_samples_answers_200_generated_queries_the_same(filled: tuple[str, str]) -> None:
    ours, theirs = filled
    http = urllib3.PoolManager()
    wrong, filled_answers, errors = [], 0, 0
    for query in promql_cases.queries(seed=1, count=COUNT):
        got, want = ask(http, ours, query.text, query), ask(http, theirs, query.theirs, query)
        if said := difference(query, got, want):
            wrong.append(f"{query}\n    {said}")
        errors += want["status"] == "error"
        filled_answers += want["status"] == "success" and bool(points(want))
    assert not wrong, f"{len(wrong)} of {COUNT} differ:\n" + "\n".join(wrong)
    # Or the test would show nothing.
    assert filled_answers >= COUNT * 3 / 4, (filled_answers, errors)

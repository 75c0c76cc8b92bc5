"""The statistics of baselines and trends, computed again by Python's own statistics, numpy and scipy from the samples
that the server gives: of a range that is over, so that both see the same."""

import json
import statistics
import time
import urllib.parse

import numpy
import pytest
from conftest import Gaugecast, eventually
from scipy import stats

SELECTOR = '{__name__=~"gaugecast_synthetic.*|process_resident_memory_bytes|node_load1|gaugecast_history_samples"}'


def ask(server: Gaugecast, path: str, method: str = "GET", **params: object) -> dict:
    query = urllib.parse.urlencode(params)
    answer = server.get(f"/api/v1/{path}?{query}", method)
    body = json.loads(answer.data)
    assert answer.status in (200, 201), body
    return body["data"]


def samples(server: Gaugecast, start: float, end: float) -> dict[str, tuple[numpy.ndarray, numpy.ndarray]]:
    """Times and finite values by name, of series that have one name and no labels else."""
    found = ask(server, "history", **{"match[]": SELECTOR, "start": start, "end": end})["series"]
    alone = {one["labels"]["__name__"]: one["points"] for one in found if len(one["labels"]) == 1}
    return {
        name: (numpy.array([time for time, _ in points], float), numpy.array([value for _, value in points], float))
        for name, points in alone.items()
    }


@pytest.fixture
def lively(start) -> tuple[Gaugecast, float, float, float]:
    """A server with two ranges that are over, of 64 samples of each series."""
    server = start("--collect.tick=50ms")
    begin = time.time()

    def enough(since: float) -> float | None:
        found = samples(server, since, time.time()).get("node_load1")
        return found[0][63] / 1000 if found is not None and len(found[0]) > 64 else None

    middle = eventually(lambda: enough(begin), "the first range")
    end = eventually(lambda: enough(middle), "the second range")
    return server, begin, middle, end


def test_figures_effects_and_slopes_are_those_of_scipy(lively: tuple[Gaugecast, float, float, float]) -> None:
    server, begin, middle, end = lively
    first, second = {"start": begin, "end": middle}, {"start": middle, "end": end}
    ask(server, "baselines/first", "PUT", **{"match[]": SELECTOR}, **first)
    before, after = samples(server, **first), samples(server, **second)
    shown = {one["series"]: one for one in ask(server, "baselines/first")["series"]}
    compared = {one["series"]: one for one in ask(server, "baselines/first/compare", **second)["series"]}
    trends = {one["series"]: one for one in ask(server, "trend", **{"match[]": SELECTOR}, **first)["series"]}
    judged = 0
    for name in sorted(before.keys() & after.keys()):
        times, old = before[name]
        told = shown[name]
        if told["measure"] != "value":
            continue
        assert len(old) <= 128, "more would be a sketch, and not exact"
        assert told["count"] == len(old)
        assert told["mean"] == pytest.approx(statistics.fmean(old))
        assert told["stddev"] == pytest.approx(statistics.stdev(old), rel=1e-6, abs=1e-9)
        assert (told["min"], told["max"]) == (old.min(), old.max())
        for share in (50, 95, 99):
            assert told[f"p{share}"] == pytest.approx(numpy.percentile(old, share))
        new = after[name][1]
        u = stats.mannwhitneyu(new, old).statistic
        assert compared[name]["effect"] == pytest.approx(2 * u / (len(old) * len(new)) - 1), name
        trend = trends[name]
        assert trend["points"] == len(old)
        # Hours since the first sample: since 1970 they would have too few digits left.
        slope = stats.theilslopes(old, (times - times[0]) / 3_600_000).slope
        assert trend["slope_per_hour"] == pytest.approx(slope, rel=1e-9, abs=1e-9), name
        if len(set(old)) > 1:
            tau = stats.kendalltau(times, old, method="asymptotic")
            assert trend["tau"] == pytest.approx(tau.statistic), name
            assert trend["p_value"] == pytest.approx(tau.pvalue, rel=1e-6, abs=1e-12), name
            judged += 1
    assert judged >= 1, f"no series of {sorted(before)} moved"

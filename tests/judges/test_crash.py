"""What was acknowledged is there after `kill -9`, in the middle of writing."""

from __future__ import annotations

import json
import signal
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import urllib3
from conftest import Gaugecast, eventually
from remote_write import push_series

T0 = 1_700_000_000
SERIES = 40
ROUNDS = 3
BATCHES = 25


def series_of(batch: int) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
    """A sample of each series; in each tenth batch also one that comes late."""
    times = [T0 + batch] if batch % 10 else [T0 + batch, T0 - batch]
    return [
        ({"__name__": "kept", "n": str(n)}, [(time * 1000, float(time - T0 + n)) for time in times])
        for n in range(SERIES)
    ]


def kept(gaugecast: Gaugecast) -> dict[int, dict[int, float]]:
    """Of each series all values, by their time."""
    query = {"query": "kept[1d]", "time": T0 + 3600}
    answer = json.loads(gaugecast.get("/api/v1/query?" + urllib.parse.urlencode(query)).data)
    assert answer["status"] == "success", answer
    return {
        int(one["metric"]["n"]): {round(time): float(value) for time, value in one["values"]}
        for one in answer["data"]["result"]
    }


def test_kill_9_loses_no_sample_that_was_acknowledged(start: Callable[..., Gaugecast], tmp_path: Path) -> None:
    flags = ["--collector.disable-defaults", "--history.retention=100y", f"--storage.path={tmp_path}/history"]
    acknowledged: list[int] = []

    def write(origin: str, begin: int) -> None:
        http = urllib3.PoolManager(retries=False)
        for batch in range(begin, begin + 100_000):
            try:
                push_series(http, origin, series_of(batch))
            except urllib3.exceptions.HTTPError:
                return
            acknowledged.append(batch)

    for _ in range(ROUNDS):
        gaugecast = start(*flags)
        before = len(acknowledged)
        writer = threading.Thread(target=write, args=(gaugecast.origin, 1 + max(acknowledged, default=0)))
        writer.start()
        eventually(lambda before=before: len(acknowledged) >= before + BATCHES, "writes that are acknowledged")
        gaugecast.program.signal(signal.SIGKILL)
        assert gaugecast.program.wait() == 128 + signal.SIGKILL
        writer.join()

    found = kept(start(*flags))
    assert len(acknowledged) >= ROUNDS * BATCHES
    for batch in acknowledged:
        for labels, samples in series_of(batch):
            for time_ms, value in samples:
                assert found[int(labels["n"])].get(time_ms // 1000) == value, (batch, labels)

"""A series is driven from outside, and what the detection says of it is seen by a client by other hands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from conftest import DEADLINE, Gaugecast, eventually
from websockets.sync.client import connect

TICK_MS = 200
LEARNT = 45

WATCHES = """
detect:
  watches:
    - name: driven
      match: ['driven_level']
      detector: zscore
      params: {min_samples: 30, k: 1, n: 1}
      interval: 0s
      warm_up: 30
      confirm: 2 of 2
      severity: critical
"""


def write(folder: Path, value: float) -> None:
    new = folder / "driven.new"
    new.write_text(f'# TYPE driven_level gauge\ndriven_level{{metric="own"}} {value}\n')
    new.rename(folder / "driven.prom")


def number(gaugecast: Gaugecast, name: str) -> float:
    found = [line for line in gaugecast.text().splitlines() if line.startswith((name + " ", name + "{"))]
    return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


def test_an_anomaly_is_seen_as_event_score_and_list_within_two_ticks(
    start: Callable[..., Gaugecast], tmp_path: Path
) -> None:
    config = tmp_path / "gaugecast.yml"
    config.write_text(WATCHES)
    write(tmp_path, 10)
    gaugecast = start(
        f"--config.file={config}",
        f"--collect.tick={TICK_MS}ms",
        f"--collector.textfile.directory={tmp_path}",
    )
    eventually(lambda: number(gaugecast, "gaugecast_detect_observations_total") >= LEARNT, "it has learnt")
    with connect(gaugecast.stream, proxy=None, open_timeout=DEADLINE) as socket:

        def until(wanted: Callable[[dict], bool]) -> dict:
            while True:
                message = json.loads(socket.recv(timeout=DEADLINE))
                assert message["type"] != "error", message
                if wanted(message):
                    return message

        asked = {"match": ["driven_level"], "interval": f"{TICK_MS}ms", "clamp": True}
        socket.send(json.dumps({"type": "subscribe", "sub": "plain", **asked}))
        plain = until(lambda message: message["type"] == "subscribed")["channel"]
        socket.send(json.dumps({"type": "subscribe", "sub": "odd", "derived": ["anomaly"], **asked}))
        names: set[str] = set()
        while len(names) < 5:
            schema = until(lambda message: message["type"] == "schema" and message["channel"] != plain)
            names |= {one["name"] for one in schema["series"]}
        kinds = ("score", "expected", "lower", "upper")
        assert names == {"driven_level"} | {f"driven_level:anomaly_{kind}" for kind in kinds}

        write(tmp_path, 50)
        seen: dict[str, dict] = {}

        def both(message: dict) -> bool:
            delta = message["type"] == "delta" and message["channel"] == plain
            if delta and any(value == 50 for _, value, *_ in message["values"]):
                seen.setdefault("delta", message)
            if message["type"] == "event" and message["kind"] == "anomaly":
                seen.setdefault(message["state"], message)
            return {"delta", "begin", "confirmed"} <= seen.keys()

        until(both)
        begin, confirmed = seen["begin"], seen["confirmed"]
        assert 0 <= begin["t"] - seen["delta"]["t"] <= 2 * TICK_MS
        assert (begin["value"], begin["watch"], begin["detector"]) == (50, "driven", "zscore")
        assert begin["labels"] == {"metric": "own"}
        assert begin["lower"] <= 10 <= begin["upper"] and begin["score"] > 1
        assert confirmed["id"] == begin["id"] and confirmed["t"] > begin["t"]

        score = 'gaugecast_anomaly_score{exported_metric="own",metric="driven_level",watch="driven"}'
        assert number(gaugecast, score) > 1
        assert number(gaugecast, "gaugecast_anomaly_rate") == 1
        listed = json.loads(gaugecast.get("/api/v1/anomalies").data)["data"]
        assert [one["id"] for one in listed["current"]] == [begin["id"]]

        write(tmp_path, 10)
        end = until(
            lambda message: message["type"] == "event" and message["kind"] == "anomaly" and message["state"] == "end"
        )
        assert end["id"] == begin["id"]
        listed = json.loads(gaugecast.get("/api/v1/anomalies").data)["data"]
        assert listed["current"] == [] and listed["recent"][0]["until"] == end["t"]

"""Clients by other hands stay in step over a way that is cut, delayed, throttled, held and half open.

Each is a few lines written from docs/protocol.md. Every state that one reaches is held against what an undisturbed
subscriber saw at the same offset, and that against `/api/v1/metrics`.
"""

import contextlib
import json
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from conftest import DEADLINE, ROOT, Gaugecast, Program, eventually, offset_of
from proxy import Proxy
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

MATCH = "gaugecast_synthetic_value"
INTERVAL = "20ms"
SERIES = 150
FLAGS = (
    f"--collect.tick={INTERVAL}",
    "--collector.disable-defaults",
    "--collector.synthetic",
    f"--collector.synthetic.series={SERIES}",
    "--collector.synthetic.changing=15",
)


class State:
    """What the frames of one subscription say, a frame at a time."""

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.offset: int | None = None
        self.seq: int | None = None
        self.tells_events = False
        self._series: dict[int, str] = {}
        self._values: dict[int, float] = {}
        self._parts: list[dict] = []

    def take(self, message: dict) -> bool:
        """True if that made a new state."""
        match message["type"]:
            case "welcome":
                self._parts.clear()
                self.tells_events = "events" in message["features"]
                if self.seq is None:
                    self.seq = message.get("seq")
            case "subscribed" if not message["recovered"]:
                self._series.clear()
                self._values.clear()
                self.epoch = self.offset = None
            case "subscribed":
                assert self.offset is not None, "recovered what never was"
            case "schema":
                for one in message["series"]:
                    self._series[one["id"]] = key(one["name"], one["labels"])
            case "snapshot" | "delta" as kind:
                if kind == "delta":
                    assert message["prev"] == self.offset, "a delta that does not go on from what is here"
                    assert message["offset"] >= message["prev"]
                assert message.get("part", 1) == len(self._parts) + 1
                self._parts.append(message)
                if len(self._parts) == message.get("parts", 1):
                    self._apply()
                    return True
            case "event":
                self.seq = message["seq"]
        return False

    def _apply(self) -> None:
        first = self._parts[0]
        if first["type"] == "snapshot":
            self._values.clear()
            self.epoch = first["epoch"]
        for part in self._parts:
            for number, value, *_ in part["values"]:
                assert number in self._series, "a value of a series that no schema told"
                self._values[number] = value
            for number in part.get("stale", []):
                self._values.pop(number, None)
        self.offset = first["offset"]
        self._parts.clear()

    def values(self) -> dict[str, float]:
        return {self._series[number]: value for number, value in self._values.items()}


def key(name: str, labels: dict[str, str]) -> str:
    return name + json.dumps(labels, separators=(",", ":"), ensure_ascii=False)


class Follower(Protocol):
    """Whoever follows: `reports` has a line for every state."""

    reports: queue.Queue[dict]

    def stop(self) -> None: ...


class PythonFollower:
    """Python's `websockets`."""

    def __init__(self, origin: str) -> None:
        self.reports: queue.Queue[dict] = queue.Queue()
        self._url = f"{origin.replace('http', 'ws', 1)}/api/v1/stream/ws"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        state, connections = State(), 0
        while not self._stopping.is_set():
            with contextlib.suppress(WebSocketException, OSError, EOFError):
                connections += 1
                if not self._connection(state, connections):
                    return

    def _connection(self, state: State, number: int) -> bool:
        """Follows over one connection; whether to come back after it."""
        with connect(self._url, subprotocols=["gaugecast.v1.json"], proxy=None, close_timeout=1) as socket:
            welcome = json.loads(socket.recv(DEADLINE))
            state.take(welcome)
            hello = {"client": "judge", "resume": {"epoch": welcome["epoch"], "seq": state.seq}}
            socket.send(json.dumps({"type": "hello", **hello}))
            resume = {} if state.offset is None else {"resume": {"epoch": state.epoch, "offset": state.offset}}
            ask = {"type": "subscribe", "sub": "s", "match": [MATCH], "interval": INTERVAL, **resume}
            socket.send(json.dumps(ask))
            for text in socket:
                message = json.loads(text)
                try:
                    fresh = state.take(message)
                except AssertionError as fault:
                    self.reports.put({"fault": str(fault)})
                    return False
                if fresh:
                    said = {"epoch": state.epoch, "offset": state.offset, "connections": number}
                    self.reports.put({**said, "values": state.values()})
                if message["type"] == "event":
                    self.reports.put({"event": state.seq, "kind": message["kind"]})
                if self._stopping.is_set():
                    return False
        return True

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(DEADLINE)


class ScriptFollower:
    """follow.mjs: Node's `ws`, or Chromium."""

    def __init__(self, kind: str, origin: str) -> None:
        script = Path(__file__).with_name("follow.mjs")
        argv = [str(ROOT / "tests/node"), "node", str(script), kind, origin, MATCH, INTERVAL]
        self.reports: queue.Queue[dict] = queue.Queue()
        self.program = Program(argv, endless_stdin=True, heard=self._heard)

    def _heard(self, stream: str, line: str) -> None:
        if stream == "stdout":
            self.reports.put(json.loads(line))
        else:
            self.reports.put({"fault": line})

    def stop(self) -> None:
        self.program.process.stdin.close()
        self.program.wait()


class Truth:
    """An undisturbed subscriber that remembers what it saw at each offset."""

    def __init__(self, gaugecast: Gaugecast) -> None:
        self._follower = PythonFollower(gaugecast.origin)
        self._gaugecast = gaugecast
        self._seen: dict[int, dict] = {}
        self.epoch = ""
        self.events: list[int] = []
        self.reloads: list[int] = []

    def newest(self) -> int:
        """Reads what has come; the offset that it is at now."""
        self._take(self._follower.reports.get(timeout=DEADLINE))
        while not self._follower.reports.empty() or not self._seen:
            self._take(self._follower.reports.get(timeout=DEADLINE))
        return max(self._seen)

    def _take(self, report: dict) -> None:
        assert "fault" not in report and report.get("connections", 1) == 1, report
        if "event" in report:
            self.events.append(report["event"])
            if report["kind"] == "reload":
                self.reloads.append(report["event"])
            return
        self.epoch = report["epoch"]
        self._seen[report["offset"]] = report["values"]

    def at(self, offset: int) -> dict | None:
        """What it saw there; None if it was given another offset after that."""
        while max(self._seen, default=-1) < offset:
            self.newest()
        return self._seen.get(offset)

    def agrees_with_metrics(self) -> None:
        """Itself, with what `/api/v1/metrics` shows at the same offset."""

        def same() -> bool:
            response = self._gaugecast.get("/api/v1/metrics")
            epoch, offset = offset_of(response)
            assert epoch == self.epoch
            if (seen := self.at(offset)) is None:
                return False
            families = {family["name"]: family["series"] for family in response.json()["data"]["families"]}
            shown = {key(MATCH, one["labels"]): one["value"] for one in families[MATCH]}
            assert shown == seen
            return len(shown) == SERIES

        eventually(same, "a scrape of a tick that the stream told")

    def stop(self) -> None:
        self._follower.stop()


@pytest.fixture
def gaugecast(start: Callable[..., Gaugecast]) -> Gaugecast:
    return start(*FLAGS)


@pytest.fixture
def proxy(gaugecast: Gaugecast) -> Iterator[Proxy]:
    proxy = Proxy(gaugecast.port)
    yield proxy
    proxy.stop()


@pytest.fixture
def truth(gaugecast: Gaugecast) -> Iterator[Truth]:
    truth = Truth(gaugecast)
    truth.newest()
    yield truth
    truth.stop()


FOLLOWERS: dict[str, Callable[[str], Follower]] = {
    "python-websockets": PythonFollower,
    "node-ws": lambda origin: ScriptFollower("ws", origin),
    "chromium-websocket": lambda origin: ScriptFollower("chromium-ws", origin),
    "chromium-eventsource": lambda origin: ScriptFollower("chromium-sse", origin),
}


class Watch:
    """Holds what a follower reports against the truth."""

    def __init__(self, follower: Follower, truth: Truth) -> None:
        self.follower, self.truth = follower, truth
        self.connections = 0
        self.offset = -1
        self.compared = 0
        self.events: list[int] = []
        self.may_repeat = False
        """Over server-sent events one that goes on from a tick may be told again what came after it."""

    def step(self) -> None:
        """The next report."""
        report = self.follower.reports.get(timeout=DEADLINE)
        assert "fault" not in report, report
        if "event" in report:
            self.events.append(report["event"])
            if not self.may_repeat:
                assert self.events == sorted(set(self.events)), "an event twice, or out of order"
            return
        assert report["epoch"] == self.truth.epoch
        assert report["offset"] >= self.offset, "time goes on"
        self.connections, self.offset = report["connections"], report["offset"]
        if (seen := self.truth.at(self.offset)) is not None:
            assert report["values"] == seen, f"at offset {self.offset}"
            self.compared += 1

    def in_step(self, states: int = 5) -> None:
        """Until it is where the server was when this was called, or later, and so many states were compared."""
        goal, compared = self.truth.newest(), self.compared + states
        while self.offset < goal or self.compared < compared:
            self.step()

    def reconnected(self, before: int) -> None:
        """Until it has come back after `before` connections."""
        while self.connections <= before:
            self.step()
        self.in_step()


@pytest.mark.parametrize("kind", FOLLOWERS)
def test_a_client_by_other_hands_stays_in_step_over_every_broken_way(
    gaugecast: Gaugecast, proxy: Proxy, truth: Truth, kind: str
) -> None:
    truth.agrees_with_metrics()
    follower = FOLLOWERS[kind](f"http://127.0.0.1:{proxy.port}")
    try:
        watch = Watch(follower, truth)
        watch.in_step(20)
        for _ in range(2):
            before = watch.connections
            assert proxy.cut() >= 1
            watch.reconnected(before)

        # In the head of the answer, in what comes first, in deltas.
        proxy.budgets = [40, 700, 4_000, 12_000]
        proxy.cut()
        while proxy.budgets:
            watch.step() if watch.follower.reports.qsize() else proxy_waits()
        watch.reconnected(watch.connections)

        proxy.shape(delay=0.03)
        watch.in_step(10)
        before = watch.connections
        proxy.cut()
        watch.reconnected(before)

        # Less than is streamed: the server must leave ticks out, and the client skips none of what they changed.
        proxy.shape(rate=4_000)
        offset = watch.offset
        watch.in_step(3)
        assert watch.offset > offset
        proxy.shape()
        watch.in_step(20)

        # Nothing in either direction while the server goes on by 30 ticks and more.
        proxy.hold()
        goal = truth.newest() + 30
        truth.at(goal)
        proxy.hold(False)
        watch.in_step(10)

        # The server has seen it go, and it has not: it is told when something is cut on its side at last.
        before = watch.connections
        proxy.half_open()
        truth.at(truth.newest() + 10)
        proxy.hold(False)
        proxy.cut()
        watch.reconnected(before)
        assert watch.compared > 70
    finally:
        follower.stop()
    truth.agrees_with_metrics()


@pytest.mark.parametrize("kind", FOLLOWERS)
def test_events_are_neither_lost_nor_doubled_while_the_way_is_cut(
    gaugecast: Gaugecast, proxy: Proxy, truth: Truth, kind: str
) -> None:
    follower = FOLLOWERS[kind](f"http://127.0.0.1:{proxy.port}")

    def reload() -> None:
        """One more event, when the undisturbed one has it."""
        known = len(truth.reloads)
        gaugecast.program.signal(signal.SIGHUP)
        while len(truth.reloads) == known:
            truth.newest()

    try:
        watch = Watch(follower, truth)
        watch.may_repeat = kind == "chromium-eventsource"
        watch.in_step()
        for _ in range(4):
            # While it is there, around the cut, and while it is away.
            before = watch.connections
            reload()
            proxy.cut()
            reload()
            reload()
            watch.reconnected(before)
        proxy.hold()
        reload()
        proxy.hold(False)
        while not watch.events or watch.events[-1] < truth.events[-1]:
            watch.step()
        # What the machine does, a step of its clock or an alert of its load, is an event too, also before it came.
        assert truth.events == list(range(1, len(truth.events) + 1)), "the undisturbed one had each once"
        assert len(truth.reloads) == 13 and set(truth.reloads) <= set(watch.events), "none is missing"
        assert sorted(set(watch.events)) == list(range(min(watch.events), len(truth.events) + 1)), "nor any other"
    finally:
        follower.stop()


def proxy_waits() -> None:
    """Lets the proxy's thread and the follower go on."""
    threading.Event().wait(0.02)

"""A client by other hands reads the stream over plain HTTP: urllib3, and the rules of EventSource written down here."""

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
import urllib3
from conftest import DEADLINE, Gaugecast, offset_of
from samples import differences, of_text, without_created, without_recorded
from test_websocket import EVERYTHING, Channel, whole_number

PATH = "/api/v1/stream/sse"
PATIENCE = 100
"""Events to wait through for the one that is due."""


@dataclass
class Event:
    """What the HTML standard (9.2.6) makes of the lines between two blank ones."""

    kind: str = "message"
    data: list[str] = field(default_factory=list)
    id: str | None = None
    retry: int | None = None

    @property
    def message(self) -> dict:
        return json.loads("\n".join(self.data), parse_int=whole_number)


class EventSource:
    """Reads events, remembers the last id, and comes back when it is cut off."""

    def __init__(self, origin: str, *match: str, **more: str) -> None:
        self.url = f"{origin}{PATH}?{urlencode([('match[]', one) for one in match] + list(more.items()))}"
        # A pool of its own: a connection that was cut must not be taken again.
        self.http = urllib3.PoolManager(timeout=DEADLINE, retries=False)
        self.last_id = ""
        self.connections = 0
        self.channel = Channel()
        self.subscribed: list[dict] = []

    def connect(self) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "text/event-stream"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        self.connections += 1
        return self.http.request("GET", self.url, headers=headers, preload_content=False)

    def events(self, response: urllib3.BaseHTTPResponse) -> Iterator[Event]:
        """Events to the end of the answer; an error of urllib3 if it is cut off."""
        rest, event = b"", Event()
        for chunk in response.stream():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                name, _, value = line.decode().partition(":")
                value = value.removeprefix(" ")
                match name:
                    case "event":
                        event.kind = value
                    case "data":
                        event.data.append(value)
                    case "id":
                        event.id = value
                    case "retry":
                        event.retry = int(value)
                if not line:
                    if event.id is not None:
                        self.last_id = event.id
                    yield event
                    event = Event()

    def messages(self) -> Iterator[dict]:
        """Messages without end, over as many connections as it takes."""
        for _ in range(PATIENCE):
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                response = self.connect()
                assert response.status == 200, response.read()
                for event in self.events(response):
                    if event.data:
                        yield self.take(event)
        pytest.fail(f"cut off {PATIENCE} times")

    def take(self, event: Event) -> dict:
        message = event.message
        assert message["type"] == event.kind
        if message["type"] == "subscribed":
            self.subscribed.append(message)
        if message["type"] == "delta" and message["offset"] == self.channel.offset:
            # Whoever comes back before the next tick has missed nothing.
            assert message["prev"] == message["offset"] and message["values"] == []
        else:
            self.channel.take(message)
        return message


def agree(gaugecast: Gaugecast, source: EventSource, messages: Iterator[dict], times: int) -> None:
    """The stream and a scrape show the same at the same offset, so many times."""
    epoch, _ = offset_of(gaugecast.get("/metrics"))
    compared = 0
    for message, _ in zip(messages, range(PATIENCE), strict=False):
        if message["type"] != "delta":
            continue
        # Right after a frame the tick is younger than 100 ms, so a scrape commits none of its own.
        scrape = gaugecast.get("/metrics", Accept="text/plain;version=0.0.4")
        if offset_of(scrape) != (epoch, source.channel.offset):
            continue
        assert source.last_id == f"{epoch}:{source.channel.offset}"
        scraped = without_created(of_text(scrape.data.decode()))
        streamed = without_recorded(without_created(source.channel.shown()))
        assert set(streamed) == set(scraped)
        assert differences(streamed, scraped) == {}
        assert len(streamed) > 200
        compared += 1
        if compared == times:
            return
    pytest.fail(f"only {compared} scrapes were of the tick that the stream had just told")


def test_a_scrape_and_the_events_show_the_same_values_at_the_same_offset(gaugecast: Gaugecast) -> None:
    source = EventSource(gaugecast.origin, EVERYTHING)
    agree(gaugecast, source, source.messages(), 3)
    assert source.connections == 1 and source.subscribed[0]["recovered"] is False


class Cutter:
    """A way to `port` on which connections are cut: after so many bytes of the answer, or when the test says so."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.budgets: list[int] = []
        """Bytes of the answer that each of the next connections lets through; later ones let all through."""
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                # Requests are small and come whole.
                far.sendall(near.recv(65536))
                self._open = [near, far]
                budget = self.budgets.pop(0) if self.budgets else None
                threading.Thread(target=self._forward, args=(near, far, budget), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket, budget: int | None) -> None:
        with contextlib.suppress(OSError):
            while budget != 0 and (data := far.recv(4096 if budget is None else min(budget, 4096))):
                near.sendall(data)
                budget = budget and budget - len(data)
        close(near, far)

    def cut(self) -> None:
        close(*self._open)

    def stop(self) -> None:
        close(self._listener, *self._open)


def close(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.fixture
def cutter(gaugecast: Gaugecast) -> Iterator[Cutter]:
    cutter = Cutter(gaugecast.port)
    yield cutter
    cutter.stop()


def test_an_event_source_goes_on_where_it_was_cut(gaugecast: Gaugecast, cutter: Cutter) -> None:
    source = EventSource(cutter.origin, EVERYTHING)
    messages = source.messages()
    cutter.budgets = [7, 900, 20_000]  # in the head, and within what comes first
    for budgets in ([], [2_500], [900, 9_000]):
        # Channel.take refuses a delta that does not go on from what the client has.
        while next(messages)["type"] != "delta":
            pass
        next(messages)
        cutter.budgets = budgets
        cutter.cut()
    agree(gaugecast, source, messages, 2)
    assert source.connections == 10
    recovered = [one["recovered"] for one in source.subscribed]
    assert recovered == sorted(recovered) and recovered[-1], "once it had a snapshot, no further one was needed"


def test_a_last_event_id_of_another_life_gets_a_snapshot(gaugecast: Gaugecast) -> None:
    source = EventSource(gaugecast.origin, "node_load1")
    source.last_id = "00000000000000ff:3"
    messages = source.messages()
    while next(messages)["type"] != "snapshot":
        pass
    assert source.subscribed[0]["reason"] == "unknown_epoch"
    assert len(source.channel.values) == 1


def test_ndjson_is_one_message_a_line(gaugecast: Gaugecast) -> None:
    query = urlencode({"match[]": "node_load1", "interval": "1s"})
    headers = {"Accept": "application/x-ndjson"}
    response = gaugecast.http.request(
        "GET", f"{gaugecast.origin}{PATH}?{query}", headers=headers, preload_content=False
    )
    assert response.headers["Content-Type"] == "application/x-ndjson"
    channel, kinds, rest = Channel(), [], b""
    for chunk in response.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            kinds.append(message["type"])
            channel.take(message)
        if kinds.count("delta") >= 2:
            break
    response.close()
    assert kinds[:4] == ["welcome", "subscribed", "schema", "snapshot"]


def test_a_stop_says_goodbye_and_ends_the_answer(start: Callable[..., Gaugecast]) -> None:
    gaugecast = start()
    source = EventSource(gaugecast.origin, "node_load1")
    events = source.events(source.connect())
    while next(events).kind != "snapshot":
        pass
    gaugecast.program.signal(signal.SIGTERM)
    rest = list(events)  # fails if the answer does not end with its last chunk
    assert rest[-1].kind == "bye" and rest[-1].message["reason"] == "going_away"
    assert [event.retry for event in rest if event.retry] == [rest[-1].message["retry_after_ms"]]
    assert gaugecast.program.wait() == 0


def test_a_page_of_another_origin_gets_nothing(gaugecast: Gaugecast) -> None:
    foreign = gaugecast.get(f"{PATH}?match[]=up", Origin="https://evil.example")
    assert foreign.status == 403 and b"--web.allowed-origin" in foreign.data

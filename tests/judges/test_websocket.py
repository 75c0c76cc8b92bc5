"""A client by other hands drives the stream as docs/protocol.md says: Python's `websockets`."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from conftest import DEADLINE, Gaugecast, offset_of
from samples import Samples, differences, identity, of_text, without_created, without_recorded
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

PROTOCOL = "gaugecast.v1.json"
PATIENCE = 100
"""Messages to wait through for the one that is due."""
EVERYTHING = '{__name__=~".+"}'


@dataclass
class Channel:
    """What a client knows of a channel from its frames, and the rules that the frames must keep."""

    series: dict[int, tuple] = field(default_factory=dict)
    values: dict[int, float] = field(default_factory=dict)
    offset: int | None = None

    def take(self, frame: dict) -> None:
        match frame["type"]:
            case "schema":
                for one in frame["series"]:
                    assert one["id"] not in self.values, "a schema comes before the values of its series"
                    self.series[one["id"]] = identity(one["name"], one["labels"])
            case "snapshot":
                if frame.get("part", 1) == 1:
                    self.values.clear()
                self.offset = frame["offset"]
                self._set(frame["values"])
            case "delta":
                if frame.get("part", 1) == 1:
                    assert frame["prev"] == self.offset, "each delta goes on where the frame before it ended"
                    assert frame["offset"] > frame["prev"]
                self.offset = frame["offset"]
                self._set(frame["values"])
                for number in frame.get("stale", []):
                    del self.values[number]

    def _set(self, values: list[list]) -> None:
        for number, value, *_ in values:
            assert number in self.series, "a value of a series that no schema told"
            self.values[number] = float(value)

    def shown(self) -> Samples:
        return {self.series[number]: value for number, value in self.values.items()}


def whole_number(digits: str) -> int | float:
    """A whole number of JSON; minus zero is a double, or its sign would be lost."""
    return -0.0 if digits == "-0" else int(digits)


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.channels: dict[int, Channel] = {}
        self.welcome = self.receive()

    def send(self, **message) -> None:
        self.socket.send(json.dumps(message))

    def receive(self) -> dict:
        """The next message; frames of channels are taken into account on the way."""
        message = json.loads(self.socket.recv(DEADLINE), parse_int=whole_number)
        assert message["type"] == message["type"].lower()
        if message["type"] in ("schema", "snapshot", "delta"):
            self.channels.setdefault(message["channel"], Channel()).take(message)
        return message

    def next(self, *kinds: str) -> dict:
        """The next message of one of these types. Deltas come for ever, so messages are counted, not seconds."""
        for _ in range(PATIENCE):
            if (message := self.receive())["type"] in kinds:
                return message
        pytest.fail(f"none of {kinds} among {PATIENCE} messages")

    def subscribe(self, sub: str, *match: str, **more) -> dict:
        self.send(type="subscribe", sub=sub, match=list(match), **more)
        return self.next("subscribed", "error")

    def whole(self, kind: str, channel: int) -> dict:
        """The last part of the next `kind` on a channel."""
        for _ in range(PATIENCE):
            message = self.next(kind)
            if message["channel"] == channel and message.get("part", 1) == message.get("parts", 1):
                return message
        pytest.fail(f"no whole {kind} on channel {channel} among {PATIENCE}")


@contextlib.contextmanager
def opened(gaugecast: Gaugecast, **options) -> Iterator[Client]:
    options.setdefault("subprotocols", [PROTOCOL])
    with connect(gaugecast.stream, proxy=None, max_size=2 << 20, open_timeout=DEADLINE, **options) as socket:
        yield Client(socket)


@pytest.fixture
def client(gaugecast: Gaugecast) -> Iterator[Client]:
    with opened(gaugecast) as client:
        yield client


def test_the_server_welcomes_and_selects_the_subprotocol(gaugecast: Gaugecast, client: Client) -> None:
    assert client.socket.subprotocol == PROTOCOL
    assert client.welcome["type"] == "welcome"
    epoch, _ = offset_of(gaugecast.get("/metrics"))
    assert client.welcome["epoch"] == epoch
    assert client.welcome["ping_ms"] > 0 and client.welcome["server_time"] > 1_700_000_000_000


def test_no_subprotocol_means_the_first_version(gaugecast: Gaugecast) -> None:
    with opened(gaugecast, subprotocols=None) as client:
        assert client.welcome["type"] == "welcome"


def test_schema_and_snapshot_come_first_then_deltas_in_order(client: Client) -> None:
    subscribed = client.subscribe("a", "node_cpu_seconds_total", "node_load1", interval="1s")
    assert subscribed["type"] == "subscribed" and subscribed["sub"] == "a"
    assert subscribed["interval_ms"] == 1000 and subscribed["recovered"] is False
    number = subscribed["channel"]
    assert client.receive()["type"] == "schema"
    snapshot = client.whole("snapshot", number)
    assert len(client.channels[number].values) == subscribed["matched"] > 1
    assert snapshot["epoch"] == client.welcome["epoch"]
    offsets = [snapshot["offset"]]
    for _ in range(3):  # that each goes on where the last one ended is checked in Channel.take
        offsets.append(client.whole("delta", number)["offset"])
    assert offsets == sorted(set(offsets))
    names = {name for name, _ in client.channels[number].shown()}
    assert names == {"node_cpu_seconds_total", "node_load1"}


def test_a_delta_holds_only_what_changed(client: Client) -> None:
    number = client.subscribe("a", "node_memory_MemTotal_bytes", "node_time_seconds")["channel"]
    client.whole("snapshot", number)
    constant = next(n for n, key in client.channels[number].series.items() if key[0] == "node_memory_MemTotal_bytes")
    delta = client.whole("delta", number)
    changed = {number for number, *_ in delta["values"]}
    assert changed and constant not in changed


def test_a_scrape_and_the_stream_show_the_same_values_at_the_same_offset(gaugecast: Gaugecast, client: Client) -> None:
    subscribed = client.subscribe("all", EVERYTHING, interval="1s")
    number = subscribed["channel"]
    client.whole("snapshot", number)
    epoch = client.welcome["epoch"]
    compared = 0
    for _ in range(20):
        # Right after a frame the tick is younger than 100 ms, so a scrape commits none of its own.
        client.whole("delta", number)
        scrape = gaugecast.get("/metrics", Accept="text/plain;version=0.0.4")
        if offset_of(scrape) != (epoch, client.channels[number].offset):
            continue
        scraped = without_created(of_text(scrape.data.decode()))
        streamed = without_recorded(without_created(client.channels[number].shown()))
        assert set(streamed) == set(scraped)
        assert differences(streamed, scraped) == {}
        assert len(streamed) > 200
        compared += 1
        if compared == 3:
            return
    pytest.fail(f"of 20 scrapes only {compared} were of the tick that the stream had just told")


def test_equal_subscriptions_share_a_channel(gaugecast: Gaugecast, client: Client) -> None:
    with opened(gaugecast) as other:
        first = client.subscribe("mine", "node_load1", "node_load5", interval="1s")
        second = other.subscribe("yours", "node_load5", "node_load1", interval="1s")
        assert first["channel"] == second["channel"]


def test_after_unsubscribe_nothing_more_comes(client: Client) -> None:
    number = client.subscribe("a", "node_time_seconds", interval="1s")["channel"]
    client.whole("snapshot", number)
    other = client.subscribe("b", "node_load1", "node_time_seconds", interval="1s")["channel"]
    client.send(type="unsubscribe", sub="a")
    assert client.next("unsubscribed")["sub"] == "a"
    for _ in range(3):  # three ticks, told by the other subscription
        while (message := client.receive()).get("channel") != other or message["type"] != "delta":
            assert message.get("channel") != number
    client.send(type="unsubscribe", sub="a")
    assert client.next("error")["code"] == "unknown_subscription"


def test_ping_is_answered_in_both_layers(client: Client) -> None:
    client.send(type="ping", id=7)
    pong = client.next("pong")
    assert pong["id"] == 7 and pong["server_time"] >= client.welcome["server_time"]
    assert client.socket.ping(b"are you there").wait(DEADLINE)


def test_a_bad_selector_is_refused_with_its_column_and_harms_nobody(client: Client) -> None:
    number = client.subscribe("good", "node_time_seconds", interval="1s")["channel"]
    error = client.subscribe("bad", '{a=~"("}', id="x1")
    assert error["type"] == "error" and error["code"] == "bad_selector"
    assert error["sub"] == "bad" and error["id"] == "x1" and error["retryable"] is False
    assert 1 <= error["column"] <= 9 and error["message"]
    assert client.whole("delta", number)


@pytest.mark.parametrize(
    "message, code",
    [
        ("{", "bad_request"),
        ("[1]", "bad_request"),
        ('{"type":"dance"}', "bad_request"),
        ('{"type":"subscribe","sub":"a","match":"node_load1"}', "bad_request"),
        ('{"type":"ping","type":"ping"}', "bad_request"),
        ("[" * 5000 + "]" * 5000, "bad_request"),
        ('{"type":"subscribe","sub":"a","match":["node_load1"],"interval":"1ns"}', "bad_interval"),
        ('{"type":"unsubscribe","sub":"never"}', "unknown_subscription"),
    ],
    ids=lambda value: value[:24] if value else "",
)
def test_a_bad_message_is_answered_and_the_connection_goes_on(client: Client, message: str, code: str) -> None:
    client.socket.send(message)
    assert client.next("error")["code"] == code
    client.send(type="ping")
    assert client.next("pong")


def test_a_selection_of_nothing_is_accepted(client: Client) -> None:
    subscribed = client.subscribe("none", "there_is_no_such_metric")
    assert (subscribed["type"], subscribed["matched"]) == ("subscribed", 0)
    assert client.whole("snapshot", subscribed["channel"])["values"] == []


def test_a_binary_message_ends_the_connection_with_1003(client: Client) -> None:
    client.socket.send(b"\x00\x01")
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.receive()
    assert closed.value.rcvd.code == 1003


def test_too_long_a_message_ends_the_connection_with_1009(client: Client) -> None:
    client.socket.send(json.dumps({"type": "ping", "padding": "x" * (65 << 10)}))
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.receive()
    assert closed.value.rcvd.code == 1009


def test_an_unknown_subprotocol_is_refused_before_the_upgrade(gaugecast: Gaugecast) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(gaugecast, subprotocols=["gaugecast.v9.cbor"]):
        pass
    assert refused.value.response.status_code == 400


def test_a_foreign_origin_is_refused_and_told_the_setting(gaugecast: Gaugecast) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(gaugecast, origin="http://evil.example"):
        pass
    assert refused.value.response.status_code == 403
    assert b"--web.allowed-origin" in refused.value.response.body


def test_our_own_origin_is_let_in(gaugecast: Gaugecast) -> None:
    with opened(gaugecast, origin=gaugecast.origin) as client:
        assert client.welcome["type"] == "welcome"


def test_a_foreign_host_is_refused_and_told_the_setting(gaugecast: Gaugecast) -> None:
    """What a browser says after DNS rebinding."""
    page = gaugecast.get("/metrics", Host="evil.example")
    assert page.status in (403, 421) and b"--web.allowed-host" in page.data
    raw = socket.create_connection(("127.0.0.1", gaugecast.port))
    url = gaugecast.stream.replace(f"127.0.0.1:{gaugecast.port}", "evil.example")
    with raw, pytest.raises(InvalidStatus) as refused, connect(url, sock=raw, proxy=None):
        pass
    assert refused.value.response.status_code in (403, 421)


def test_a_plain_get_is_told_to_upgrade(gaugecast: Gaugecast) -> None:
    response = gaugecast.get("/api/v1/stream/ws")
    assert response.status == 426
    assert response.headers["Upgrade"].lower() == "websocket"

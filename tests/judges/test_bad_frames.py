"""What no client should send, and clients that do not read, against the real binary, byte by byte.

The others must not notice: a client that behaves gets every tick meanwhile.
"""

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from conftest import DEADLINE, Gaugecast, eventually, start_gaugecast
from samples import of_text
from test_websocket import Client, opened

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN, RESERVED = 0x80, 0x40


def frame(opcode: int, payload: bytes = b"", *, first: int = FIN, mask: bytes | None = b"\x12\x34\x56\x78") -> bytes:
    """A frame as a client sends it; unmasked without a mask."""
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack(">BB", first | opcode, bit | len(payload))
    else:
        head = struct.pack(">BBQ", first | opcode, bit | 127, len(payload))
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if mask else payload
    return head + (mask or b"") + masked


def say(**message) -> bytes:
    return frame(TEXT, json.dumps(message).encode())


@dataclass
class Bare:
    """A WebSocket of which the test writes and reads every byte."""

    socket: socket.socket
    rest: bytes = b""

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Frames of the server, until it ends the connection."""
        while True:
            head = self._exactly(2)
            length = head[1]
            if length == 126:
                (length,) = struct.unpack(">H", self._exactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._exactly(8))
            yield head[0] & 15, self._exactly(length)

    def _exactly(self, wanted: int) -> bytes:
        while len(self.rest) < wanted:
            chunk = self.socket.recv(64 << 10)
            if not chunk:
                raise EOFError
            self.rest += chunk
        taken, self.rest = self.rest[:wanted], self.rest[wanted:]
        return taken

    def ends(self) -> tuple[dict | None, int | None]:
        """What the server says at the end: its `bye`, and the close code."""
        bye = code = None
        with contextlib.suppress(EOFError, ConnectionResetError):
            for opcode, payload in self.frames():
                if opcode == CLOSE:
                    (code,) = struct.unpack(">H", payload[:2])
                elif opcode == TEXT and (message := json.loads(payload))["type"] == "bye":
                    bye = message
        return bye, code


@contextlib.contextmanager
def bare(gaugecast: Gaugecast, room: int | None = None) -> Iterator[Bare]:
    """A connection after its handshake. `room`: how much the kernel may hold for who does not read."""
    with socket.socket() as raw:
        raw.settimeout(DEADLINE)
        if room:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        raw.connect(("127.0.0.1", gaugecast.port))
        raw.sendall(
            b"GET /api/v1/stream/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += raw.recv(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield Bare(raw)


def closed(gaugecast: Gaugecast, reason: str) -> float:
    """How many connections were ended for this reason."""
    samples = of_text(gaugecast.text())
    return samples.get(("gaugecast_stream_closed_total", (("reason", reason),)), 0.0)


BAD_FRAMES = {
    "unmasked": (frame(TEXT, b"{}", mask=None), 1002, "protocol_error"),
    "reserved bit": (frame(TEXT, b"{}", first=FIN | RESERVED), 1002, "protocol_error"),
    "unknown data opcode": (frame(3), 1002, "protocol_error"),
    "unknown control opcode": (frame(11), 1002, "protocol_error"),
    "fragmented ping": (frame(PING, first=0), 1002, "protocol_error"),
    "long ping": (frame(PING, b"x" * 126), 1002, "protocol_error"),
    "continuation of nothing": (frame(0, b"x"), 1002, "protocol_error"),
    "a message within a message": (frame(TEXT, b"{", first=0) + frame(TEXT, b"}"), 1002, "protocol_error"),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002, "protocol_error"),
    "binary": (frame(BINARY, b"{}"), 1003, "binary_message"),
    "not UTF-8": (frame(TEXT, b"\xff\xfe"), 1007, "not_utf8"),
    "not UTF-8, and the message goes on": (frame(TEXT, b"\xc3(", first=0), 1007, "not_utf8"),
    "more than 64 KiB": (frame(TEXT, b"x" * ((64 << 10) + 1)), 1009, "message_too_long"),
    "more than 64 KiB announced": (struct.pack(">BBQL", 0x81, 0xFF, 1 << 40, 0), 1009, "message_too_long"),
    "more than 64 KiB in fragments": (
        frame(TEXT, b"x" * 40_000, first=0) + frame(0, b"x" * 40_000, first=0),
        1009,
        "message_too_long",
    ),
    "empty fragments without end": (
        frame(TEXT, first=0) + frame(0, first=0) * 30_000,
        1009,
        "message_too_long",
    ),
    "a message that does not end, and pongs": (
        say(type="hello") + frame(TEXT, b"{", first=0) + frame(PONG),
        1008,
        "unfinished_message",
    ),
    "a flood of pings": (frame(PING) * 40, 4429, "ping_flood"),
    "ten malformed messages": (frame(TEXT, b"[1]") * 10, 4400, "bad_requests"),
    "commands beyond all measure": (say(type="ping") * 5_000, 4429, "rate_limited"),
}


LIVELY = (
    "--collect.tick=50ms",
    "--collector.disable-defaults",
    "--collector.synthetic",
    "--collector.synthetic.series=5000",
    "--collector.synthetic.changing=5000",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Gaugecast]:
    gaugecast = start_gaugecast(*LIVELY, "--stream.stall-timeout=500ms")
    yield gaugecast
    gaugecast.program.stop()


@pytest.fixture
def witness(server: Gaugecast) -> Iterator[Client]:
    with watching(server) as client:
        yield client


@contextlib.contextmanager
def watching(server: Gaugecast) -> Iterator[Client]:
    """A client that behaves. It is not read all the time, so it has no keepalive of its own."""
    with opened(server, ping_interval=None, close_timeout=1) as client:
        number = client.subscribe("one", 'gaugecast_synthetic_value{series="1"}', interval=50)["channel"]
        client.whole("snapshot", number)
        yield client


def goes_on(witness: Client, ticks: int) -> None:
    """It gets so many more ticks, and each: a scrape may make some of its own, but none is left out."""
    for _ in range(ticks):
        delta = witness.next("delta")
        assert delta["offset"] == delta["prev"] + 1


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_who_breaks_the_rules_is_told_counted_and_sent_away(server: Gaugecast, witness: Client, name: str) -> None:
    sent, code, reason = BAD_FRAMES[name]
    before = closed(server, reason)
    with bare(server) as broken:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            broken.socket.sendall(sent)
        bye, told = broken.ends()
    assert told == code
    assert bye is not None and (bye["code"], bye["reason"]) == (code, reason)
    eventually(lambda: closed(server, reason) == before + 1, "the end of the connection is counted")
    goes_on(witness, 2)


def test_who_never_introduces_itself_is_sent_away(start: Callable[..., Gaugecast]) -> None:
    gaugecast = start("--stream.hello-timeout=100ms")
    with bare(gaugecast) as silent:
        bye, code = silent.ends()
    assert (code, bye["reason"], bye["reconnect"]) == (4408, "hello_timeout", True)


def test_more_connections_than_allowed_are_refused_before_the_upgrade(start: Callable[..., Gaugecast]) -> None:
    gaugecast = start("--stream.max-clients=2")
    with bare(gaugecast) as one, bare(gaugecast) as two:
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
        refused = gaugecast.get("/api/v1/stream/ws", **upgrade, **key)
        assert refused.status == 503 and int(refused.headers["Retry-After"]) >= 1
        for connected in (one, two):
            connected.socket.sendall(say(type="ping", id=1))
            assert any(opcode == TEXT and b'"pong"' in payload for opcode, payload in connected.frames())


def memory(gaugecast: Gaugecast) -> int:
    """Bytes of the process."""
    with open(f"/proc/{gaugecast.program.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


ALL = "gaugecast_synthetic_value"


def test_who_reads_slowly_gets_fewer_frames_costs_no_memory_and_delays_nobody(
    start: Callable[..., Gaugecast],
) -> None:
    """Twenty read 1 kB a tick, which is 20 kB/s of some 1.5 MB/s that each of them is due. The kernel tells of room
    in a socket when a third of what it holds was taken, so half a second would be too short for them."""
    server = start(*LIVELY)
    with opened(server) as full:
        full.whole("snapshot", full.subscribe("all", ALL, interval=50)["channel"])
        size = len(json.dumps(full.next("delta")["values"], separators=(",", ":")))
    with watching(server) as witness, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(bare(server, room=8 << 10)) for _ in range(20)]
        for one in slow:
            one.socket.sendall(say(type="subscribe", sub="s", match=[ALL], interval=50))
        eventually(lambda: of_text(server.text())[("gaugecast_stream_subscriptions", ())] >= 21, "all subscribe")
        before, ticks = memory(server), 100
        for _ in range(ticks):
            for one in slow:
                one.rest += one.socket.recv(1024)
            goes_on(witness, 1)
        due = ticks * size
        grown = memory(server) - before
        assert grown < 20 * due / 10, f"{grown} bytes more, of {20 * due} that were due"
        for one in slow:
            kinds = [json.loads(payload)["type"] for opcode, payload in received(one) if opcode == TEXT]
            assert kinds[:2] == ["welcome", "subscribed"] and "bye" not in kinds


def received(one: Bare) -> Iterator[tuple[int, bytes]]:
    """The whole frames among what was read so far."""
    one.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        yield from one.frames()


def test_who_stops_reading_is_cut_off_and_holds_nothing(server: Gaugecast, witness: Client) -> None:
    alone(server)
    before = closed(server, "slow")
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(bare(server, room=8 << 10)) for _ in range(10)]
        for one in stalled:
            one.socket.sendall(say(type="subscribe", sub="s", match=[ALL], interval=50))
        eventually(lambda: closed(server, "slow") == before + 10, "all are cut off")
        goes_on(witness, 5)
        for one in stalled:
            # What the kernel still has for it are whole frames, but for the last; then the end, told or not.
            bye, code = one.ends()
            assert code in (None, 4408) and (bye is None or bye["reason"] == "slow")
    alone(server)


def alone(server: Gaugecast) -> None:
    """Waits until the witness is the only client."""
    eventually(lambda: of_text(server.text())[("gaugecast_stream_clients", ())] == 1, "nobody else is left")


def test_the_kernel_holds_little_for_who_reads_no_server_sent_events(start: Callable[..., Gaugecast]) -> None:
    """Each tick is some 70 kB; left to itself Linux grows the send buffer of a socket to 4 MiB."""
    server = start(*LIVELY)
    with socket.socket() as silent, watching(server) as witness:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 10)
        silent.connect(("127.0.0.1", server.port))
        silent.sendall(f"GET /api/v1/stream/sse?match[]={ALL} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        subscriptions = ("gaugecast_stream_subscriptions", ())
        eventually(lambda: of_text(server.text()).get(subscriptions, 0) >= 2, "it subscribes")
        goes_on(witness, 60)
        waits = unsent(server.port, silent.getsockname()[1])
        assert 0 < waits < 256 << 10, f"{waits} bytes wait in the kernel"


def unsent(local: int, remote: int) -> int:
    """Bytes that the kernel holds of a connection on loopback, from one port to the other."""
    with open("/proc/net/tcp") as table:
        for row in table.readlines()[1:]:
            fields = row.split()
            if [int(fields[n].rsplit(":", 1)[1], 16) for n in (1, 2)] == [local, remote]:
                return int(fields[4].split(":")[0], 16)
    raise AssertionError("there is no such connection")

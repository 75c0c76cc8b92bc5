"""The program as a process: how it starts, takes signals, and gives back what it took."""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from conftest import BINARY, Gaugecast, Program, eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PROTOCOL = "gaugecast.v1.json"


def open_files(gaugecast: Gaugecast) -> int:
    return len(os.listdir(f"/proc/{gaugecast.program.pid}/fd"))


def test_one_command_starts_it_and_says_where(start, record_property) -> None:
    gaugecast = start()
    record_property("seconds_to_ready", gaugecast.seconds_to_ready)
    print(f"ready after {gaugecast.seconds_to_ready * 1000:.0f} ms")
    assert gaugecast.page.startswith("http://127.0.0.1:") and gaugecast.page.endswith("/")
    assert gaugecast.metrics == gaugecast.page + "metrics"
    assert gaugecast.stream == gaugecast.page.replace("http", "ws", 1) + "api/v1/stream/ws"
    # Ready means ready: the first question is answered, with host metrics in it.
    assert "node_load1 " in gaugecast.text()
    for path in ("/-/healthy", "/-/ready"):
        assert gaugecast.get(path).status == 200
        assert gaugecast.get(path, method="HEAD").data == b""
    assert b"<html" in gaugecast.get("/").data.lower()


def test_the_page_works_without_any_other_host(gaugecast: Gaugecast) -> None:
    headers = gaugecast.get("/").headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_it_listens_on_loopback_only(start) -> None:
    gaugecast = start()
    port = f"{gaugecast.port:04X}"
    listening = "0A"
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == listening and local.endswith(":" + port):
                addresses.add(local.split(":")[0])
    assert addresses == {"0100007F"}


def test_a_port_in_use_is_said_with_the_flag_that_helps(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = Program([str(BINARY), f"--web.listen-address=127.0.0.1:{taken.getsockname()[1]}"])
        assert program.wait() == 1
    assert "address in use" in program.output.lower() and "--web.listen-address" in program.output


def test_sigterm_drains_and_exits_with_0(start) -> None:
    gaugecast = start()
    with connect(gaugecast.stream, subprotocols=[PROTOCOL], proxy=None) as viewer:
        viewer.recv()
        gaugecast.program.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                viewer.recv()
        # A close frame, not a torn connection, and before it a `bye` that says the same.
        assert closed.value.rcvd.code in (1001, 1012, 4503)
    assert gaugecast.program.wait() == 0


def test_a_stop_with_many_clients_spreads_the_goodbyes_and_the_times_to_come_back(start) -> None:
    gaugecast = start("--stream.drain=2s")
    clients = 100
    ends: list[tuple[float, int, str]] = []
    byes: list[dict] = []

    def listen(viewer: ClientConnection) -> None:
        try:
            while True:
                message = json.loads(viewer.recv())
                if message["type"] == "bye":
                    byes.append(message)
        except ConnectionClosed as closed:
            ends.append((time.monotonic(), closed.rcvd.code, closed.rcvd.reason))

    with contextlib.ExitStack() as open_ones:
        threads = []
        for _ in range(clients):
            viewer = open_ones.enter_context(connect(gaugecast.stream, subprotocols=[PROTOCOL], proxy=None))
            viewer.send('{"type":"subscribe","sub":"a","match":["node_load1"]}')
            threads.append(threading.Thread(target=listen, args=(viewer,)))
            threads[-1].start()
        begun = time.monotonic()
        gaugecast.program.signal(signal.SIGTERM)
        eventually(lambda: not ready(gaugecast), "not ready while it drains")
        for thread in threads:
            thread.join()
    assert gaugecast.program.wait() == 0
    assert [code for _, code, _ in ends] == [1001] * clients
    assert {reason.partition(":")[0] for _, _, reason in ends} == {"going_away"}
    # Drawn by chance over two seconds: that all of a hundred lie in one half happens once in 2^99.
    moments = sorted(at - begun for at, _, _ in ends)
    assert moments[0] < 1 < moments[-1], moments
    waits = sorted(bye["retry_after_ms"] for bye in byes)
    assert len(waits) == clients and all(bye["reconnect"] and bye["code"] == 1001 for bye in byes)
    assert waits[0] < 5_000 < waits[-1] <= 10_000, waits


def test_performance_is_told_to_those_who_ask_and_agrees_with_the_metrics(start) -> None:
    gaugecast = start("--stream.performance=1s", "--collect.tick=100ms")
    with connect(gaugecast.stream, subprotocols=[PROTOCOL], proxy=None) as viewer:
        viewer.send('{"type":"hello","events":["performance"]}')
        viewer.send('{"type":"subscribe","sub":"a","match":["node_load1"],"interval":"100ms"}')
        told = []
        heard = 0
        while len(told) < 3:
            text = viewer.recv()
            heard += 1
            if (message := json.loads(text))["type"] == "event":
                told.append(message)
    assert {message["kind"] for message in told} == {"performance"} and "seq" not in told[0]
    server, client = told[-1]["server"], told[-1]["client"]
    assert server["connections"] == {"total": 1, "active": 1, "peak": 1}
    assert server["messages"] > 0 and server["bytes"] > 0 and server["errors"] == client["errors"] == 0
    assert 0 < server["latency_ms"]["mean"] <= server["latency_ms"]["max"]
    assert server["latency_ms"]["p50"] <= server["latency_ms"]["p95"] <= server["latency_ms"]["p99"]
    assert told[0]["server"]["uptime_ms"] < told[1]["server"]["uptime_ms"] < server["uptime_ms"]
    # What leaves in one send with it may count already or not yet.
    assert abs(client["messages"] - heard) <= 2
    assert client["bytes_per_second"] > 0 and client["rtt_ms"] > 0 and client["duration_ms"] >= 2_000


def test_a_second_signal_ends_it_at_once(start) -> None:
    gaugecast = start()
    # A client that never answers keeps the drain going.
    with socket.create_connection(("127.0.0.1", gaugecast.port)) as silent:
        request = (
            f"GET /api/v1/stream/ws HTTP/1.1\r\nHost: 127.0.0.1:{gaugecast.port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        silent.sendall(request.encode())
        assert b"101" in silent.recv(4096)
        gaugecast.program.signal(signal.SIGTERM)
        eventually(lambda: not ready(gaugecast), "not ready while it drains")
        gaugecast.program.signal(signal.SIGTERM)
        assert gaugecast.program.wait() == 143


def ready(gaugecast: Gaugecast) -> bool:
    try:
        return gaugecast.get("/-/ready").status == 200
    except Exception:  # no longer listening is not ready either
        return False


def test_sighup_takes_a_good_file_and_keeps_the_old_one_beside_a_bad_one(start, tmp_path: Path) -> None:
    config = tmp_path / "gaugecast.yml"
    config.write_text("")
    gaugecast = start(f"--config.file={config}")

    def last_reload() -> dict[str, float]:
        wanted = "gaugecast_config_last_reload_"
        lines = [line for line in gaugecast.text().splitlines() if line.startswith(wanted)]
        return {line.split()[0]: float(line.split()[1]) for line in lines}

    assert last_reload()["gaugecast_config_last_reload_successful"] == 1

    config.write_text("no_such_key: 1\n")
    gaugecast.program.signal(signal.SIGHUP)
    gaugecast.program.wait_for(r"gaugecast\.yml:1:1.*no_such_key")
    eventually(lambda: last_reload()["gaugecast_config_last_reload_successful"] == 0, "the failed reload is a metric")
    assert "node_load1 " in gaugecast.text()

    config.write_text("")
    gaugecast.program.signal(signal.SIGHUP)
    eventually(lambda: last_reload()["gaugecast_config_last_reload_successful"] == 1, "the good reload is a metric")
    assert gaugecast.program.process.poll() is None


def test_connections_that_come_and_go_leave_no_file_open(start) -> None:
    gaugecast = start()

    def visit() -> None:
        with connect(gaugecast.stream, subprotocols=[PROTOCOL], proxy=None) as viewer:
            viewer.recv()
            viewer.send('{"type":"subscribe","sub":"a","match":["node_load1"]}')
            viewer.recv()
        assert gaugecast.get("/metrics", Connection="close").status == 200

    visit()  # what is opened once and kept
    before = open_files(gaugecast)
    for _ in range(100):
        visit()
    eventually(lambda: open_files(gaugecast) <= before, f"back to {before} open files")

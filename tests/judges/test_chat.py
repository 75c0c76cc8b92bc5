"""The chat server as an application that tells how it does: driven through all it can, its figures are that."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from conftest import DEADLINE, ROOT, Program

CHAT = Path(os.environ.get("CHAT_BIN", ROOT / "target/debug/examples/chat_server"))


class Client:
    """One connection: a command a line, an answer a line."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=DEADLINE)
        self.file = self.socket.makefile("rwb")
        self.commands = self.out = self.back = 0

    def say(self, line: str) -> str:
        self.file.write(line.encode() + b"\n")
        self.file.flush()
        answer = self.file.readline().decode()
        self.commands += 1
        self.out += len(line.encode()) + 1
        self.back += len(answer.encode())
        return answer.rstrip("\n")

    def ok(self, line: str) -> str:
        answer = self.say(line)
        assert answer.startswith("OK"), f"{line}: {answer}"
        return answer[3:]

    def err(self, line: str, kind: str) -> None:
        assert self.say(line) == f"ERR {kind}", line


class Chat:
    def __init__(self, program: Program) -> None:
        host, port = program.wait_for(r"^chat (.*)$", "stdout").group(1).rsplit(":", 1)
        self.address = host, int(port)
        self.live = program.wait_for(r"^live (.*)/$", "stdout").group(1)

    def metrics(self) -> dict[str, float]:
        """Of a tick that began after this was called: one that is younger than 100 ms would be shown again."""
        offset, text = self.page()
        first = offset
        deadline = time.monotonic() + DEADLINE
        while offset == first:
            assert time.monotonic() < deadline, "no tick"
            offset, text = self.page()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
        return {series: float(value) for series, value in lines}

    def page(self) -> tuple[str, str]:
        response = urllib3.request("GET", f"{self.live}/metrics", timeout=DEADLINE)
        return response.headers["X-Gaugecast-Offset"], response.data.decode()


@contextlib.contextmanager
def chatting(*flags: str) -> Iterator[Chat]:
    if not CHAT.exists():
        pytest.fail(f"{CHAT} is missing; cargo build --examples makes it")
    program = Program([str(CHAT), "--faults", "--web.listen-address=127.0.0.1:0", "--log.level=warn", *flags])
    try:
        yield Chat(program)
    finally:
        program.stop()


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chatting() as chat:
        yield chat


def everything(first: Client, second: Client) -> dict[str, int]:
    """Every command at least once; gives how often each operation ran."""
    for client, name in ((first, "ann"), (second, "bob")):
        client.ok(f"REGISTER {name} secret")
        client.ok(f"LOGIN {name} secret")
    first.ok("STATUS busy with tea")
    assert second.ok("WHOIS ann") == "busy with tea"
    assert first.ok("USERS") == "2"
    first.ok("CREATE tea")
    assert first.ok("ROOMS") == "1"
    first.ok("TOPIC tea green or black")
    second.err("SEND tea hello", "not_a_member")
    first.ok("INVITE tea bob")
    second.ok("ACCEPT tea")
    one = second.ok("SEND tea green, please")
    two = first.ok("SEND tea black")
    second.ok(f"EDIT tea {one} white, please")
    first.err(f"EDIT tea {one} no", "not_the_author")
    first.ok(f"REACT tea {one} heart")
    first.ok(f"UNREACT tea {one} heart")
    second.ok(f"REPLY tea {two} why?")
    assert first.ok(f"THREAD tea {two}") == "bob: why?"
    assert first.ok("SEARCH tea please") == "1"
    assert first.ok("HISTORY tea") == f"{two} ann: black | {one} bob: white, please"
    first.ok(f"DELETE tea {two}")
    second.ok("LEAVE tea")
    second.ok("JOIN tea")
    second.ok("LOGOUT")
    twice = dict.fromkeys(["register", "login", "edit_message"], 2)
    once = (
        "set_status whois list_users create_room list_rooms set_topic invite accept_invitation react remove_reaction "
        "reply_in_thread read_thread search history delete_message leave_room join_room logout"
    )
    return twice | {"send_message": 3} | dict.fromkeys(once.split(), 1)


def test_every_operation_is_counted_timed_and_its_errors_told(chat: Chat) -> None:
    first, second = Client(chat.address), Client(chat.address)
    ran = everything(first, second)
    metrics = chat.metrics()
    counted = {
        match[1]: value
        for series, value in metrics.items()
        if (match := re.fullmatch(r'gaugecast_operations_total\{operation="(.*)"\}', series))
    }
    own = {name: value for name, value in counted.items() if not name.startswith("db_")}
    assert own == ran
    assert len(own) == 22
    for name, count in counted.items():
        family = "gaugecast_operation_duration_seconds"
        assert metrics[f'{family}_count{{operation="{name}"}}'] == count
        assert metrics[f'{family}_bucket{{le="+Inf",operation="{name}"}}'] == count
        assert metrics[f'gaugecast_operations_in_flight{{operation="{name}"}}'] == 0
    # Each command is one access to the database, but for LOGOUT.
    assert sum(counted.values()) - sum(ran.values()) == sum(ran.values()) - 1
    errors = {series: value for series, value in metrics.items() if series.startswith("gaugecast_operation_errors")}
    assert errors == {
        'gaugecast_operation_errors_total{kind="not_a_member",operation="send_message"}': 1,
        'gaugecast_operation_errors_total{kind="not_the_author",operation="edit_message"}': 1,
    }
    assert metrics["gaugecast_app_connections"] == 2
    assert metrics["gaugecast_app_connections_peak"] == 2
    assert metrics["gaugecast_app_connections_opened_total"] == 2
    clients = (first, second)
    commands = sum(client.commands for client in clients)
    assert metrics['gaugecast_app_messages_total{direction="in"}'] == commands
    assert metrics['gaugecast_app_bytes_total{direction="in"}'] == sum(client.out for client in clients)
    assert metrics['gaugecast_app_bytes_total{direction="out"}'] == sum(client.back for client in clients)


def security(metrics: dict[str, float], kind: str) -> float:
    return metrics[f'gaugecast_security_events_total{{kind="{kind}"}}']


def test_failed_logins_blocks_and_patterns_are_events_of_security(chat: Chat) -> None:
    client = Client(chat.address)
    client.ok("REGISTER ann secret")
    for _ in range(5):
        client.err("LOGIN ann guess", "wrong_password")
    client.err("LOGIN ann secret", "blocked")
    client.err("SEND tea ' OR '1'='1", "not_logged_in")
    metrics = chat.metrics()
    assert security(metrics, "failed_login") == 5
    assert security(metrics, "blocked") == 1
    assert security(metrics, "suspicious_pattern") == 1
    assert security(metrics, "rate_limited") == 0
    assert metrics["gaugecast_security_response_seconds_count"] == 6
    assert not any(series.startswith("gaugecast_operation_errors_total") and "login" in series for series in metrics)


def test_faults_make_it_slow_and_fail_and_end_again(chat: Chat) -> None:
    client = Client(chat.address)
    for line in ("REGISTER ann secret", "LOGIN ann secret", "CREATE tea"):
        client.ok(line)
    client.ok("FAULT slow 30")
    client.ok("SEND tea slow")
    client.ok("FAULT slow 0")
    client.ok("FAULT errors 50")
    answers = [client.say(f"SEND tea {n}")[:3] for n in range(10)]
    client.ok("FAULT errors 0")
    client.ok("FAULT database 100")
    client.err("ROOMS", "database")
    client.ok("FAULT database 0")
    client.ok("ROOMS")
    metrics = chat.metrics()
    sums = 'gaugecast_operation_duration_seconds_sum{operation="send_message"}'
    assert metrics[sums] >= 0.03
    assert answers.count("ERR") == 5
    assert metrics['gaugecast_operation_errors_total{kind="internal",operation="send_message"}'] == 5
    assert metrics['gaugecast_operation_errors_total{kind="connection_lost",operation="db_select"}'] == 1
    assert metrics['gaugecast_operation_errors_total{kind="database",operation="list_rooms"}'] == 1

"""What the judges share: the real binary, started and stopped, and the helpers to ask it.

Every test runs the program that `GAUGECAST_BIN` names (target/release/gaugecast by default) on a port that the system
chose, and waits for what happens, never for time to pass.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("GAUGECAST_BIN", ROOT / "target/release/gaugecast"))

# Longer than anything here takes on a loaded machine of two cores; only a failure waits so long.
DEADLINE = 30.0


# Files that take long for how many tests they have: begun first, so that none is left over when all others are done.
LONGEST = (
    "test_autobahn",
    "test_remote_write",
    "test_broken_ways",
    "test_rules_test",
    "test_deployment",
    "test_chat_alerts",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


class Program:
    """A child process whose output is kept and can be waited for, line by line."""

    def __init__(
        self,
        argv: list[str],
        endless_stdin: bool = False,
        heard: Callable[[str, str], object] | None = None,
        **options,
    ) -> None:
        """`endless_stdin`: an input that ends only with us, for programs that run as long as they have one. `heard` is
        told every line with its stream, and the lines are not kept then."""
        self.argv = argv
        self._heard = heard
        self.started = time.monotonic()
        stdin = subprocess.PIPE if endless_stdin else subprocess.DEVNULL
        self.process = subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        self.lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._news: queue.Queue[tuple[str, str | None]] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("stdout", self.process.stdout), ("stderr", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, stream) -> None:
        for line in stream:
            if self._heard:
                self._heard(name, line)
                continue
            self.lines[name].append(line.rstrip("\n"))
            self._news.put((name, line.rstrip("\n")))
        self._news.put((name, None))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return "\n".join(f"{name}: {line}" for name, lines in self.lines.items() for line in lines)

    def wait_for(self, pattern: str, stream: str = "stderr") -> re.Match[str]:
        """The next line of `stream` in which `pattern` is found."""
        deadline = time.monotonic() + DEADLINE
        ended: set[str] = set()
        while len(ended) < 2:
            try:
                name, line = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if line is None:
                ended.add(name)
            elif name == stream and (found := re.search(pattern, line)):
                return found
        raise AssertionError(f"{self.argv[0]} never said {pattern!r} on {stream}; it said:\n{self.output}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code; as a shell would say it when a signal ended the process."""
        code = self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        return code if code >= 0 else 128 - code

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                return self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.wait()


@dataclass
class Gaugecast:
    """A running gaugecast and where to find it."""

    program: Program
    page: str
    metrics: str
    stream: str
    seconds_to_ready: float
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(timeout=DEADLINE, retries=False))

    @property
    def origin(self) -> str:
        return self.page.rstrip("/")

    @property
    def port(self) -> int:
        return int(self.origin.rsplit(":", 1)[1])

    def get(self, path: str = "/metrics", method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
        """Asks for `path`; header names with underscores for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, self.origin + path, headers=named)

    def text(self, path: str = "/metrics") -> str:
        """The page of text 0.0.4."""
        response = self.get(path, Accept="text/plain;version=0.0.4")
        assert response.status == 200, response.data
        return response.data.decode()

    def openmetrics(self, path: str = "/metrics") -> str:
        response = self.get(path, Accept="application/openmetrics-text;version=1.0.0")
        assert response.status == 200, response.data
        assert response.headers["Content-Type"].startswith("application/openmetrics-text"), response.headers
        return response.data.decode()


def start_gaugecast(*flags: str, env: dict[str, str] | None = None) -> Gaugecast:
    if not BINARY.exists():
        pytest.fail(f"{BINARY} is not there: cargo build --release, or set GAUGECAST_BIN")
    program = Program(
        [str(BINARY), "--web.listen-address=127.0.0.1:0", *flags], env={**os.environ, **(env or {})}, cwd="/"
    )
    try:
        program.wait_for(r"^gaugecast \S+ is ready$", "stdout")
        seconds = time.monotonic() - program.started
        urls = [program.wait_for(rf"^\s+{word}\s+(\S+)$", "stdout")[1] for word in ("page", "metrics", "stream")]
    except BaseException:
        program.process.kill()
        program.wait()
        raise
    return Gaugecast(program, *urls, seconds)


@pytest.fixture
def start() -> Iterator[Callable[..., Gaugecast]]:
    """Starts gaugecast with flags of the test's own; stopped when the test is over."""
    with contextlib.ExitStack() as running:

        def begin(*flags: str, env: dict[str, str] | None = None) -> Gaugecast:
            gaugecast = start_gaugecast(*flags, env=env)
            running.callback(gaugecast.program.stop)
            return gaugecast

        yield begin


@pytest.fixture(scope="session")
def textfiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the textfile collector that holds every kind of metric and whatever is hard to escape."""
    folder = tmp_path_factory.mktemp("textfile")
    shutil.copy(Path(__file__).with_name("hostile.prom"), folder)
    return folder


@pytest.fixture(scope="session")
def gaugecast(textfiles: Path) -> Iterator[Gaugecast]:
    """One gaugecast for all tests that only ask: the defaults, and the hostile text file."""
    gaugecast = start_gaugecast(f"--collector.textfile.directory={textfiles}")
    yield gaugecast
    gaugecast.program.stop()


class Hook:
    """An HTTP server that keeps what it is sent and answers as it is told to: `answer` takes the number of the request
    and its handler."""

    def __init__(self, answer: Callable[[int, BaseHTTPRequestHandler], object]) -> None:
        self.requests: queue.Queue[tuple[str, Message, bytes]] = queue.Queue()
        self.count = 0
        self.times: list[float] = []
        self.released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.times.append(time.monotonic())
                hook.count += 1
                number = hook.count
                hook.requests.put((self.path, self.headers, body))
                answer(number, self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def next(self) -> tuple[str, Message, bytes]:
        return self.requests.get(timeout=DEADLINE)

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[int, BaseHTTPRequestHandler], None]:
    def answer(_: int, handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

    return answer


def each(*answers: Callable) -> Callable:
    """One after the other; the last for all that come later."""
    return lambda number, handler: answers[min(number, len(answers)) - 1](number, handler)


@pytest.fixture
def hook() -> Iterator[Callable[..., Hook]]:
    with contextlib.ExitStack() as running:

        def begin(*answers: Callable) -> Hook:
            hook = Hook(each(*(answers or (status(200),))))
            running.callback(hook.close)
            return hook

        yield begin


def free_port() -> int:
    """For a peer that cannot be told port 0."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def eventually(question: Callable[[], object], what: str):
    """The first true answer to `question`; asks every 50 ms because those who are asked cannot tell by themselves."""
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        pause.wait(0.05)
    raise AssertionError(f"not within {DEADLINE:.0f} s: {what}")


def offset_of(response: urllib3.BaseHTTPResponse) -> tuple[str, int]:
    """Epoch and offset of the tick that a scrape showed."""
    epoch, _, offset = response.headers["X-Gaugecast-Offset"].rpartition(":")
    return epoch, int(offset)


def tool(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is not installed: run tests/setup"
    return path

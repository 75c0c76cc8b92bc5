"""Queries over HTTP beside a real Prometheus, both with the same samples by remote write; and a start after `kill -9`
with a full history. Prints Markdown tables, and fails where the answers of the two differ.

Both run on this machine at the same time and are asked in turn over kept connections, so that what else the machine
does falls on both. Both are asked for plain JSON; the time is from the request to the last byte of the answer.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

import urllib3

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/judges"))

from remote_write import label_bytes, message, push, varint  # noqa: E402

BINARY = os.environ.get("GAUGECAST_BIN", str(ROOT / "target/release/gaugecast"))
PEER = shutil.which("prometheus") or sys.exit("prometheus is not installed: run tests/setup")

SERIES = int(os.environ.get("QUERY_SERIES", "10000"))
WIDE_SECONDS = 600
LONG_SECONDS = 3600
ROUNDS = int(os.environ.get("QUERY_ROUNDS", "30"))
# Fits into 8 MiB, which is what gaugecast takes at once.
SECONDS_A_PUSH = 20
T0 = 1_700_000_000
END = T0 + LONG_SECONDS
BOUNDS = ("0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "+Inf")

# What is asked for, and what of it is a target of its own, in milliseconds.
INSTANTS = {
    "wide_total": None,
    "rate(wide_total[1m])": 20,
    "sum by (job) (rate(wide_total[1m]))": 20,
    "topk(5, rate(wide_total[1m]))": None,
    "sum by (region) (avg_over_time(wide_total[5m]))": None,
    "count by (job) (wide_total > 1000)": None,
    "sum by (job) (wide_total / on (instance) wide_total)": None,
    "histogram_quantile(0.99, sum by (le, job) (rate(wait_seconds_bucket[5m])))": None,
    'rate(wide_total{instance="host-77:9100"}[1m])': None,
}
# An hour at 1 s, of ten series.
RANGES = {
    "long_total": 2,
    "rate(long_total[1m])": 2,
    "sum by (job) (rate(long_total[1m]))": 2,
    "max_over_time(long_total[1m])": 2,
    "avg_over_time(long_total[1m])": 2,
    "quantile_over_time(0.9, long_total[1m])": None,
}
# Ten minutes at 15 s, of all series: a panel of a dashboard.
PANELS = {"sum by (job) (rate(wide_total[1m]))": None}


# --- the samples


def series() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    def labels(name: str, at: int, jobs: int) -> dict[str, str]:
        job = at % jobs
        return {
            "__name__": name,
            "env": "production",
            "instance": f"host-{at}:9100",
            "job": f"job-{job}",
            "region": f"region-{job % 4}",
        }

    wide = [labels("wide_total", at, 100) for at in range(SERIES)]
    for job in range(25):
        for bound in BOUNDS:
            wide.append({"__name__": "wait_seconds_bucket", "job": f"job-{job}", "instance": "a", "le": bound})
    return wide, [labels("long_total", at, 2) for at in range(10)]


def fill(origins: list[str], wide_seconds: int) -> int:
    """Pushes everything to all of them, in order of time; gives how many samples."""
    client, dice = urllib3.PoolManager(), random.Random(7)
    wide, long = series()
    counts = {"wide": [float(dice.randrange(1_000_000)) for _ in wide], "long": [1e6] * len(long)}
    keys = {"wide": [label_bytes(one) for one in wide], "long": [label_bytes(one) for one in long]}
    steps = [float(dice.randrange(100)) for _ in range(4099)]
    turn, pushed = 0, 0
    number = struct.Struct("<d").pack
    for start in range(T0, END, SECONDS_A_PUSH):
        # A timer of whole milliseconds is late by some of them, and so always past the second.
        stamps = [varint((start + i) * 1000 + dice.randrange(1, 4)) for i in range(SECONDS_A_PUSH)]
        groups = ["long"] if start < END - wide_seconds else ["long", "wide"]
        parts = []
        for group in groups:
            for at, key in enumerate(keys[group]):
                value, out = counts[group][at], []
                for stamp in stamps:
                    turn = (turn + 1) % 4099
                    value += steps[turn]
                    out.append(b"\x12" + bytes((10 + len(stamp),)) + b"\x09" + number(value) + b"\x10" + stamp)
                counts[group][at] = value
                parts.append((key, b"".join(out)))
        content = message(parts)
        pushed += len(parts) * len(stamps)
        for origin in origins:
            push(client, origin, content)
    return pushed


# --- the programs


class Server:
    def __init__(self, argv: list[str], ready: str, stack: ExitStack, stream: str) -> None:
        began = time.perf_counter()
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: subprocess.PIPE}
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, text=True, **pipes)
        stack.callback(self.stop)
        for line in getattr(self.process, stream):
            if found := re.search(ready, line):
                break
        else:
            sys.exit(f"{argv[0]} ended before it was ready")
        self.seconds_to_ready = time.perf_counter() - began
        self.line = found

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait()


def gaugecast(stack: ExitStack, *flags: str) -> tuple[Server, str]:
    argv = [BINARY, "--web.listen-address=127.0.0.1:0", "--collector.disable-defaults"]
    argv += ["--history.retention=100y", "--history.max-size=1GiB", *flags]
    server = Server(argv, r"^\s+metrics\s+(http://[^/]+)/", stack, "stdout")
    return server, server.line[1]


def prometheus(stack: ExitStack, folder: str) -> tuple[Server, str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = Path(folder, "prometheus.yml")
    config.write_text("global: {}\n")
    argv = [PEER, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"]
    return Server(argv, "Server is ready to receive", stack, "stderr"), f"http://127.0.0.1:{port}"


class Client:
    """Asks over one connection."""

    def __init__(self, origin: str) -> None:
        self.connection = http.client.HTTPConnection(origin.removeprefix("http://"))
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str) -> tuple[float, bytes]:
        began = time.perf_counter()
        self.connection.request("GET", path)
        body = self.connection.getresponse().read()
        return (time.perf_counter() - began) * 1000, body


# --- asking


def points(body: bytes) -> dict[str, list]:
    answer = json.loads(body)
    if answer["status"] != "success":
        sys.exit(f"no answer: {body[:300]!r}")
    result = answer["data"]["result"]
    return {json.dumps(one["metric"], sort_keys=True): one.get("values") or [one["value"]] for one in result}


def check(query: str, ours: bytes, theirs: bytes) -> int:
    """Fails unless both answers are the same; gives how many points."""
    ours, theirs = points(ours), points(theirs)
    if ours.keys() != theirs.keys() or not ours:
        sys.exit(f"{query}: {len(ours)} series, Prometheus has {len(theirs)}")
    for key, values in theirs.items():
        for (time_ours, got), (time_theirs, want) in zip(ours[key], values, strict=True):
            got, want = float(got), float(want)
            both_nan = math.isnan(got) and math.isnan(want)
            if time_ours != time_theirs or not (both_nan or math.isclose(got, want, rel_tol=1e-9)):
                sys.exit(f"{query}: {key} at {time_ours}: {got}, Prometheus says {want}")
    return sum(map(len, theirs.values()))


def compare(title: str, paths: dict[str, tuple[str, int | None]], ours: Client, theirs: Client) -> None:
    print(f"\n### {title}\n")
    print("| query | points | gaugecast: median, least | Prometheus: median, least | ratio of medians | target |")
    print("| --- | --- | --- | --- | --- | --- |")
    for query, (path, target) in paths.items():
        count = check(query, ours.ask(path)[1], theirs.ask(path)[1])
        times = [(ours.ask(path)[0], theirs.ask(path)[0]) for _ in range(ROUNDS)]
        mine, other = zip(*times, strict=True)
        medians = statistics.median(mine), statistics.median(other)
        said = [f"{median:.2f}, {min(all_):.2f} ms" for median, all_ in zip(medians, (mine, other), strict=True)]
        goal = f"<= {target} ms and <= 1" if target else "<= 1"
        print(
            f"| `{query}` | {count} | {said[0]} | {said[1]} | {medians[0] / medians[1]:.2f} | {goal} |",
            flush=True,
        )


def queries() -> None:
    def path(kind: str, **fields: object) -> str:
        return f"/api/v1/{kind}?" + urllib.parse.urlencode(fields)

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        (our_server, ours), (their_server, theirs) = gaugecast(stack), prometheus(stack, folder)
        pushed = fill([ours, theirs], WIDE_SECONDS)
        clients = Client(ours), Client(theirs)
        at = END - 0.5
        instants = {query: (path("query", query=query, time=at), target) for query, target in INSTANTS.items()}
        hour = {"start": T0 + 0.5, "end": at, "step": 1}
        ranges = {query: (path("query_range", query=query, **hour), target) for query, target in RANGES.items()}
        panel = {"start": END - WIDE_SECONDS + 0.5, "end": at, "step": 15}
        panels = {query: (path("query_range", query=query, **panel), target) for query, target in PANELS.items()}
        compare(f"Instant queries, {SERIES:,} series at 1 Hz", instants, *clients)
        compare("An hour at 1 s, 10 series at 1 Hz", ranges, *clients)
        compare(f"Ten minutes at 15 s, {SERIES:,} series", panels, *clients)
        print("\n### Memory after that\n\n| | gaugecast | Prometheus |\n| --- | --- | --- |")
        print(f"| resident, {pushed:,} samples | {our_server.resident_mib():.0f} MiB | ", end="")
        print(f"{their_server.resident_mib():.0f} MiB |")


def startup() -> None:
    """Kills a program with an hour of all series in its file, and starts it again."""
    with ExitStack() as stack:
        storage = f"--storage.path={stack.enter_context(tempfile.TemporaryDirectory())}/history"
        server, origin = gaugecast(stack, storage)
        began = time.perf_counter()
        pushed = fill([origin], LONG_SECONDS)
        filled = time.perf_counter() - began
        server.stop(signal.SIGKILL)
        size = sum(file.stat().st_size for file in Path(storage.partition("=")[2]).iterdir()) / 2**20
        server, origin = gaugecast(stack, storage)
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": "count(wide_total)", "time": END - 0.5})
        found = points(Client(origin).ask(path)[1])["{}"][0][1]
        print("\n### Start after `kill -9` with a full history\n\n| | | target |\n| --- | --- | --- |")
        print(
            f"| from exec to ready, {pushed:,} samples of {found} series | {server.seconds_to_ready:.2f} s | seconds |"
        )
        print(f"| file | {size:.0f} MiB | |")
        print(f"| resident then | {server.resident_mib():.0f} MiB | |")
        print(f"| taken by remote write and safe, at this client's pace | {pushed / filled:,.0f} a second | |")


if __name__ == "__main__":
    parts = {"queries": queries, "startup": startup}
    for part in sys.argv[1:] or parts:
        parts[part]()

"""The program as a whole beside Debian's node_exporter: scrape, idle, memory, start. Prints Markdown tables.

Both run on this machine at the same time with the same collectors, and are asked in turn, so that what else the machine
does falls on both. The client is a bare socket: one write, then reads until the body is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GAUGECAST_BIN", str(ROOT / "target/release/gaugecast"))
PEER = shutil.which("prometheus-node-exporter") or sys.exit(
    "prometheus-node-exporter is not installed: run tests/setup"
)

# Names that both know.
COLLECTORS = (
    "conntrack cpu diskstats filefd filesystem hwmon loadavg meminfo netdev netstat os pressure sockstat stat "
    "thermal_zone time uname vmstat"
).split()
SCRAPES = 200
# Longer than the 100 ms within which gaugecast answers from the tick that it has: every scrape here is a collection.
PAUSE = 0.15
# As Prometheus scrapes: at a steady interval.
STEADY_SCRAPES = 60
STEADY_SECONDS = 1
IDLE_SECONDS = 30
STORM_SCRAPERS = 40
STORM_SECONDS = 4
STARTS = 10
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Server:
    """A running exporter, and its figures from /proc."""

    def __init__(self, argv: list[str], ready: str, stack: ExitStack) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        stack.callback(self.stop)
        for line in self.process.stdout:
            if found := re.search(ready, line):
                break
        else:
            sys.exit(f"{argv[0]} ended before it was ready")
        self.seconds_to_ready = time.perf_counter() - began
        self.port = int(found[1])
        # Nothing reads its output from here on; a full pipe would stop it.
        os.set_blocking(self.process.stdout.fileno(), False)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def gaugecast(stack: ExitStack, *flags: str) -> Server:
    argv = [BINARY, "--web.listen-address=127.0.0.1:0", "--log.level=error", *flags]
    return Server(argv, r"page\s+http://127\.0\.0\.1:(\d+)/", stack)


def node_exporter(stack: ExitStack, *flags: str) -> Server:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return Server([PEER, f"--web.listen-address=127.0.0.1:{port}", *flags], r"Listening on.*127\.0\.0\.1:(\d+)", stack)


class Scraper:
    """One kept connection that asks for text 0.0.4, uncompressed. What it reads into it keeps: fresh memory for each
    answer would be a good part of the time of a scrape."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = (
            f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept: text/plain;version=0.0.4\r\n\r\n"
        ).encode()
        self.answer = bytearray(4 << 20)

    def scrape(self) -> tuple[float, bytes]:
        began = time.perf_counter()
        self.socket.sendall(self.request)
        answer, got, whole = self.answer, 0, None
        while whole is None or got < whole:
            more = self.socket.recv_into(memoryview(answer)[got:])
            assert more, "the connection was closed"
            got += more
            if whole is None and (end := answer.find(b"\r\n\r\n", 0, got)) >= 0:
                head = bytes(answer[:end]).lower()
                assert head.startswith(b"http/1.1 200"), head
                if length := re.search(rb"content-length: (\d+)", head):
                    whole = end + 4 + int(length[1])
                else:
                    assert b"chunked" in head, head
            if whole is None and answer.endswith(b"\r\n0\r\n\r\n", 0, got):
                whole = got
        return time.perf_counter() - began, bytes(answer[end + 4 : got])


def count_samples(body: bytes) -> int:
    return sum(1 for line in body.splitlines() if re.match(rb"[a-zA-Z_:][\w:]*[{ ]", line))


def table(title: str, *rows: tuple) -> None:
    print(f"\n**{title}**\n")
    for n, row in enumerate(rows):
        print("| " + " | ".join(str(cell) for cell in row) + " |")
        if n == 0:
            print("| " + " | ".join(["---"] * len(row)) + " |")
    sys.stdout.flush()


def quantile(values: list[float], of_hundred: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[of_hundred - 1]


def scrape_beside_node_exporter() -> None:
    flags = ["--collector.disable-defaults", *(f"--collector.{name}" for name in COLLECTORS)]
    with ExitStack() as stack:
        servers = [gaugecast(stack, *flags), node_exporter(stack, *flags)]
        scrapers = [Scraper(server) for server in servers]
        for scraper in scrapers:
            for _ in range(5):
                scraper.scrape()
                time.sleep(PAUSE)
        times: list[list[float]] = [[], []]
        cpu_before = [server.cpu_seconds() for server in servers]
        bodies = [b"", b""]
        for _ in range(SCRAPES):
            for n in (0, 1):
                seconds, bodies[n] = scrapers[n].scrape()
                times[n].append(seconds * 1000)
            time.sleep(PAUSE)
        cpu = [(server.cpu_seconds() - cpu_before[n]) / SCRAPES * 1000 for n, server in enumerate(servers)]
        steady: list[list[float]] = [[], []]
        steady_before, due = [server.cpu_seconds() for server in servers], time.perf_counter()
        for _ in range(STEADY_SCRAPES):
            for n in (0, 1):
                due += STEADY_SECONDS / 2
                time.sleep(max(0, due - time.perf_counter()))
                steady[n].append(scrapers[n].scrape()[0] * 1000)
        steady_cpu = [
            (server.cpu_seconds() - steady_before[n]) / STEADY_SCRAPES * 1000 for n, server in enumerate(servers)
        ]
        at_once: list[list[float]] = [[], []]
        for n in (0, 1) * SCRAPES:
            at_once[n].append(scrapers[n].scrape()[0] * 1000)
        median = [statistics.median(each) for each in times]
        p99 = [quantile(each, 99) for each in times]

        def row(name: str, ours: float, theirs: float, unit: str, target: str) -> tuple:
            ratio = f"{theirs / ours:.1f}" if ours else "beyond measure"
            return (name, f"{ours:.2f} {unit}", f"{theirs:.2f} {unit}", ratio, target)

        table(
            f"Scrape of this host, {SCRAPES} in turn, the same {len(COLLECTORS)} collectors",
            ("", "gaugecast", "node_exporter", "ratio", "target"),
            row("once a second, median", *(statistics.median(each) for each in steady), "ms", ">= 5"),
            row("once a second, p90", *(quantile(each, 90) for each in steady), "ms", ""),
            row("CPU of it (gaugecast: its own ticks in it)", *steady_cpu, "ms", "> 1"),
            row("at odd times: with a collection, median", median[0], median[1], "ms", ""),
            row("with a collection, fastest", *(min(each) for each in times), "ms", ""),
            row("with a collection, p99", p99[0], p99[1], "ms", ""),
            row("CPU of it (gaugecast: its own ticks in it)", cpu[0], cpu[1], "ms", "> 1"),
            row("without a pause, median", *(statistics.median(each) for each in at_once), "ms", ""),
            row("resident after it", servers[0].resident_mib(), servers[1].resident_mib(), "MiB", ""),
            ("samples", count_samples(bodies[0]), count_samples(bodies[1]), "", ""),
            ("bytes", len(bodies[0]), len(bodies[1]), "", ""),
        )


def idle() -> None:
    with ExitStack() as stack:
        server = gaugecast(stack)
        scraper = Scraper(server)
        _, body = scraper.scrape()
        time.sleep(2)
        cpu, began = server.cpu_seconds(), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        share = (server.cpu_seconds() - cpu) / (time.perf_counter() - began)
        table(
            f"Idle for {IDLE_SECONDS} s: a tick a second, no viewer, default collectors, {count_samples(body)} samples",
            ("", "gaugecast", "target"),
            ("CPU, share of a core", f"{share * 100:.2f} %", "<= 0.3 %"),
            ("resident", f"{server.resident_mib():.1f} MiB", "<= 20 MB (19.1 MiB)"),
        )


def storm() -> None:
    """Many scrapers at once, each asking again as soon as it has its answer."""
    with ExitStack() as stack:
        server = gaugecast(stack)
        scrapers = [Scraper(server) for _ in range(STORM_SCRAPERS)]
        rounds = []
        for _ in range(3):
            counts, cpu, until = [0] * STORM_SCRAPERS, server.cpu_seconds(), time.perf_counter() + STORM_SECONDS

            def ask(n: int, counts: list[int] = counts, until: float = until) -> None:
                while time.perf_counter() < until:
                    scrapers[n].scrape()
                    counts[n] += 1

            threads = [threading.Thread(target=ask, args=(n,)) for n in range(STORM_SCRAPERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            cpu = (server.cpu_seconds() - cpu) / sum(counts) * 1000
            rounds.append((f"{sum(counts) / STORM_SECONDS:.0f}", f"{cpu:.2f} ms", f"{server.resident_mib():.1f} MiB"))
        table(
            f"{STORM_SCRAPERS} scrapers at once without a pause, {len(rounds)} times {STORM_SECONDS} s",
            ("", "scrapes a second (as fast as this client)", "CPU each", "resident after it"),
            *((n + 1, *one) for n, one in enumerate(rounds)),
        )


def start() -> None:
    def times(begin) -> list[float]:
        seconds = []
        for _ in range(STARTS):
            with ExitStack() as stack:
                seconds.append(begin(stack).seconds_to_ready * 1000)
        return seconds

    ours, theirs = times(gaugecast), times(node_exporter)
    table(
        f"From exec to ready, {STARTS} starts",
        ("", "gaugecast", "node_exporter", "target"),
        ("median", f"{statistics.median(ours):.0f} ms", f"{statistics.median(theirs):.0f} ms", "< 200 ms"),
        ("slowest", f"{max(ours):.0f} ms", f"{max(theirs):.0f} ms", ""),
    )


if __name__ == "__main__":
    start()
    idle()
    storm()
    scrape_beside_node_exporter()

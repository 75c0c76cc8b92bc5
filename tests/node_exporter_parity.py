"""Debian's prometheus-node-exporter judges our host metrics: same names, labels, types, help and values.

Both look at this host and at the tree in tests/fixtures/host. node_exporter is scraped before and after us, so a
counter of ours has to lie between its two readings and a gauge near them.

Needs: GAUGECAST_BIN, our program, or target/release/gaugecast; prometheus-node-exporter in the path or in
NODE_EXPORTER_BIN.
"""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests/fixtures/host"
DOCS = ROOT / "docs/host-metrics.md"
COVERED = 0.95

COLLECTORS = """arp conntrack cpu diskstats entropy filefd filesystem hwmon loadavg meminfo netclass netdev netstat
    os pressure sockstat softnet stat thermal_zone time udp_queues uname vmstat""".split()

# Debian patches these two defaults; we have those of the project.
FLAGS = [
    "--collector.netdev.device-exclude=",
    "--collector.filesystem.mount-points-exclude="
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
]

# Gauges that are another number each time one looks.
RESTLESS = re.compile(
    r"node_(procs_.*|disk_io_now|sockstat_.*|filefd_allocated|netstat_Tcp_CurrEstab|load\d+"
    r"|scrape_collector_duration_seconds|entropy_available_bits|udp_queues|arp_entries)"
)
MEMORY_SLACK = 256 << 20  # compilers beside us take and free this much between two scrapes


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text) if is_host(family.name)}


def is_host(name):
    return name.startswith("node_") and not name.startswith(("node_exporter_", "node_textfile_"))


def samples(text):
    """Value by name and labels; an empty label is none."""
    found = {}
    for family in families(text).values():
        for sample in family.samples:
            labels = frozenset((name, value) for name, value in sample.labels.items() if value)
            found[sample.name, labels] = sample.value
    return found


class NodeExporter:
    def __init__(self, paths, without=()):
        program = os.environ.get("NODE_EXPORTER_BIN") or shutil.which("prometheus-node-exporter")
        assert program, "prometheus-node-exporter is not installed"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/metrics"
        collectors = [f"--collector.{name}" for name in COLLECTORS if name not in without]
        self.process = subprocess.Popen(
            [
                program,
                f"--web.listen-address=127.0.0.1:{port}",
                "--collector.disable-defaults",
                *collectors,
                *FLAGS,
                *paths,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stderr:
            if "TLS is disabled" in line:
                return
        raise AssertionError("node_exporter did not start")

    def page(self):
        return fetch(self.url)

    def close(self):
        self.process.terminate()
        self.process.communicate()


class Ours:
    """The program, listening."""

    def __init__(self, paths):
        program = os.environ.get("GAUGECAST_BIN", ROOT / "target/release/gaugecast")
        self.process = subprocess.Popen(
            [program, "--web.listen-address=127.0.0.1:0", *paths], stdout=subprocess.PIPE, text=True
        )
        for line in self.process.stdout:
            if found := re.match(r"\s*metrics\s+(http://\S+)", line):
                self.url = found[1]
                return
        raise AssertionError("gaugecast did not start")

    def page(self):
        """A page collected from now on: a scrape may get values that are 100 ms old."""
        now = time.time()
        for _ in range(10_000):
            page = fetch(self.url)
            if samples(page)["node_time_seconds", frozenset()] >= now:
                return page
        raise AssertionError("the values stay old")

    def close(self):
        self.process.terminate()
        self.process.communicate()


@pytest.fixture(scope="module", params=["host", "fixtures"])
def pages(request):
    paths = []
    theirs = None
    if request.param == "fixtures":
        paths = [f"--path.procfs={FIXTURES}/proc", f"--path.sysfs={FIXTURES}/sys", f"--path.rootfs={FIXTURES}"]
        # It asks the kernel for the traffic, not the files, and has no root for what udev knows.
        udev = f"--path.udev.data={FIXTURES}/run/udev/data"
        theirs = NodeExporter([*paths, udev], without=["netdev"])
    theirs = theirs or NodeExporter(paths)
    try:
        ours = Ours(paths)
        try:
            yield theirs.page(), ours.page(), theirs.page()
        finally:
            ours.close()
    finally:
        theirs.close()


def explained():
    """Patterns of names from the table "Not shown" of the docs, with reasons."""
    section = DOCS.read_text().split("## Not shown", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \|$", section, re.MULTILINE)
    rows = [(pattern.replace("\\|", "|"), reason) for pattern, reason in rows]
    assert rows, "docs/host-metrics.md has no table of what is not shown"
    return rows


def reason_for(name):
    return next((reason for pattern, reason in explained() if re.fullmatch(pattern, name)), None)


def test_our_series_cover_what_node_exporter_shows(pages):
    before, ours, _ = pages
    theirs, have = samples(before), samples(ours)
    missing = sorted(theirs.keys() - have.keys(), key=str)
    covered = 1 - len(missing) / len(theirs)
    print(f"{len(theirs)} series of node_exporter, {covered:.1%} covered")
    for name, labels in missing:
        print(f"missing: {name}{dict(labels)}: {reason_for(name) or 'NO REASON'}")
    assert covered >= COVERED
    assert not [name for name, _ in missing if not reason_for(name)]


def test_types_and_help_are_the_same(pages):
    before, ours, _ = pages
    theirs, have = families(before), families(ours)
    differing = [
        (name, (family.type, family.documentation), (have[name].type, have[name].documentation))
        for name, family in theirs.items()
        if name in have and (family.type, family.documentation) != (have[name].type, have[name].documentation)
    ]
    assert not differing


def test_values_agree(pages):
    before, ours, after = pages
    kinds = {sample.name: family.type for family in families(before).values() for sample in family.samples}
    first, have, last = samples(before), samples(ours), samples(after)
    differing = []
    for key in first.keys() & have.keys() & last.keys():
        name, value = key[0], have[key]
        low, high = sorted((first[key], last[key]))
        slack = 1e-6 * max(abs(low), abs(high), 1)
        if RESTLESS.fullmatch(name):
            continue
        if kinds[name] == "gauge" and low != high:
            slack = max(0.1 * high, MEMORY_SLACK if "bytes" in name else 0)
        elif kinds[name] == "gauge" and "memory" in name:
            slack = MEMORY_SLACK
        if not low - slack <= value <= high + slack:
            differing.append((key, low, value, high))
    assert not differing

"""The Autobahn test suite judges how we speak WebSocket: every case, strictly, but for extensions that we do not offer.

It wants an echo, which the stream is not: tests/judges/echo.rs is one over the very code that serves the stream.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Program

WSTEST = ROOT / "tests/autobahn/wstest"
ECHO = Path(os.environ.get("GAUGECAST_ECHO", ROOT / "target/debug/examples/echo"))
COMPRESSION = ["12.*", "13.*"]
LONGEST = 16 << 20
"""Bytes of the longest message in the suite (9.1.6, 9.2.6). Our own limit is 64 KiB."""
LONG = 900.0
"""Seconds; the suite takes about one minute."""

# What the suite itself gives no verdict on: a close while data is on its way, and close codes from outside of the RFC.
UNJUDGED = {"7.1.6", "7.13.1", "7.13.2"}


@pytest.fixture
def echo() -> Iterator[str]:
    """Where an echo with room for the longest message listens."""
    if not ECHO.exists():
        pytest.fail(f"{ECHO} is not there: cargo build --example echo")
    program = Program([str(ECHO), str(LONGEST)], endless_stdin=True)
    yield program.wait_for(r"^listening on (\S+)$", "stdout")[1]
    program.stop()


def verdicts(address: str, folder: Path, cases: list[str], exclude: list[str]) -> dict[str, tuple[str, str]]:
    """What the suite says of behaviour and of the close, by case."""
    spec = {
        "outdir": str(folder),
        "servers": [{"agent": "gaugecast", "url": f"ws://{address}"}],
        "cases": cases,
        "exclude-cases": exclude,
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    command = [WSTEST, "-m", "fuzzingclient", "-s", folder / "spec.json"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads((folder / "index.json").read_text())["gaugecast"]
    return {case: (one["behavior"], one["behaviorClose"]) for case, one in found.items()}


def test_every_case_passes_strictly(echo: str, tmp_path: Path) -> None:
    found = verdicts(echo, tmp_path, ["*"], COMPRESSION)
    assert len(found) == 301, "as many cases as release 25.10.1 has without those of compression"
    judged = {case: verdict for case, verdict in found.items() if case not in UNJUDGED}
    assert {case: verdict for case, verdict in judged.items() if verdict != ("OK", "OK")} == {}
    assert {found[case] for case in UNJUDGED} == {("INFORMATIONAL", "INFORMATIONAL")}


def test_the_suite_refuses_what_is_no_websocket(gaugecast, tmp_path: Path) -> None:
    """The judge judges: our stream is no echo, and its `welcome` is not what the suite waits for."""
    address = f"{gaugecast.origin.removeprefix('http://')}/api/v1/stream/ws"
    found = verdicts(address, tmp_path, ["1.1.1", "2.2"], [])
    assert {behaviour for behaviour, _ in found.values()} == {"FAILED"}

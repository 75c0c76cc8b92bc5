"""What the documents say is true of the tree and of the binary."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BINARY, ROOT, Gaugecast, Program, eventually, tool

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_document_links_to_what_exists(document: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", document.read_text())
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose)
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert missing == []


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (document.name, target)
        for document in DOCUMENTS
        for target in re.findall(r"(?:^    |`)make ([a-z]+)", document.read_text(), re.MULTILINE)
    }
    assert len(named) > 5
    assert {(where, target) for where, target in named if target not in targets} == set()


def test_the_ready_message_of_the_readme_is_what_the_binary_says(gaugecast: Gaugecast) -> None:
    block = re.search(
        r"(?:^    .*\n)*^    gaugecast \S+ is ready\n(?:^    .*\n)+", (ROOT / "README.md").read_text(), re.M
    )
    shown = [line[4:] for line in block[0].splitlines()]
    said = [line.replace(f":{gaugecast.port}", ":7171") for line in gaugecast.program.lines["stdout"]]
    assert said[: len(shown)] == shown


def test_every_path_of_the_readme_answers(gaugecast: Gaugecast) -> None:
    table = re.search(r"\| --- \| --- \|\n((?:\|.*\n)+)", (ROOT / "README.md").read_text())[1]
    paths = [path for row in table.splitlines() for path in re.findall(r"`(/[^`]*)`", row.split("|")[1])]
    assert len(paths) >= 6
    answers = {path: gaugecast.get(path).status for path in paths}
    # A plain GET is answered by asking for what is needed: the upgrade, a selection, a query, another method.
    asks = {"/api/v1/stream/ws": 426, "/api/v1/stream/sse": 400, "/federate": 400}
    asks |= dict.fromkeys(["/api/v1/query", "/api/v1/query_range", "/api/v1/history", "/api/v1/export"], 400)
    asks |= dict.fromkeys(["/api/v1/write", "/api/v1/push/JOB"], 405)
    assert answers == {path: asks.get(path, 200) for path in paths}


def test_every_flag_that_a_document_or_deployment_file_names_exists() -> None:
    done = subprocess.run([BINARY, "serve", "--help-all"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    known = set(re.findall(r"--[a-z][\w.-]+", done.stdout.replace("--[no-]", "--")))
    ours = re.compile(r"--(?:web|path|collector|log|config)\.[a-z][\w-]*(?:\.[a-z][\w-]*)?")
    files = [*DOCUMENTS, ROOT / "Dockerfile", ROOT / "docker-compose.yml"]
    # Prometheus' flags of the same name are in lines that name Prometheus or its files.
    lines = [
        (file.name, line)
        for file in files
        for line in file.read_text().splitlines()
        if "prometheus" not in line and "9090" not in line
    ]
    unknown = {(name, flag) for name, line in lines for flag in ours.findall(line) if flag not in known}
    # One flag a collector: `--help` lists them by pattern.
    assert {(name, flag) for name, flag in unknown if not flag.startswith("--collector.")} == set()


def examples() -> list[str]:
    """The pieces of configuration in docs/alerting.md."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/alerting.md").read_text(), re.M | re.S)
    keys = ("global:", "route:", "receivers:", "inhibit_rules:", "rule_files:")
    return [block for block in blocks if re.sub(r"^#.*\n", "", block).startswith(keys) and "\ntests:" not in block]


@pytest.mark.parametrize("example", examples(), ids=lambda text: text.split("\n")[0])
def test_an_example_of_alerting_is_a_configuration(example: str, tmp_path: Path) -> None:
    # A piece names receivers that are in another one.
    if "route:" in example and "\nreceivers:" not in example:
        names = sorted(set(re.findall(r"receiver: ([\w-]+)", example)))
        example += "receivers:\n" + "".join(f"- name: {name}\n" for name in names)
    config = tmp_path / "gaugecast.yml"
    config.write_text(example)
    done = subprocess.run([BINARY, "check", "config", f"--config.file={config}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


WALK = ROOT / "docs/getting-started.md"


def walk_files(folder: Path) -> None:
    """Writes the files that getting started shows, each named in its first line."""
    found = re.findall(r"^```(?:yaml|html)\n(?:# |<!-- )(\S+)[^\n]*\n(.*?)^```$", WALK.read_text(), re.M | re.S)
    assert {name for name, _ in found} == {"first.yml", "gaugecast.yml", "status.html"}
    for name, text in found:
        (folder / name).write_text(text)


def walk_commands() -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```$", WALK.read_text(), re.M | re.S)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


# What goes on until it is ended: its first line is waited for.
ENDLESS = re.compile(r"curl -gN |gaugecast watch ")
SERVES = re.compile(r"gaugecast(?: --|$)")
# Not run here: it builds, listens on a port of its own, or is judged by promtool before it.
ELSEWHERE = re.compile(r"cargo install|python3 -m http\.server|prometheus --config\.file=")


def test_the_commands_of_getting_started_do_what_it_says(gaugecast: Gaugecast, tmp_path: Path) -> None:
    walk_files(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gaugecast").symlink_to(BINARY)
    tool("promtool")
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    commands = walk_commands()
    assert len(commands) > 12
    for command in commands:
        if ELSEWHERE.match(command):
            continue
        here = command.replace("localhost:7171", f"127.0.0.1:{gaugecast.port}")
        if SERVES.match(command):
            program = Program([*shlex.split(here), "--web.listen-address=127.0.0.1:0"], env=env, cwd=tmp_path)
            try:
                program.wait_for(r"^gaugecast \S+ is ready$", "stdout")
            finally:
                assert program.stop() == 0, command
        elif ENDLESS.match(command):
            here = here.replace("gaugecast watch ", f"gaugecast watch 127.0.0.1:{gaugecast.port} ")
            program = Program(shlex.split(here), env=env, cwd=tmp_path)
            try:
                program.wait_for("node_load1", "stdout")
            finally:
                program.stop()
        else:
            done = subprocess.run(shlex.split(here), env=env, cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            assert done.stdout, command


def test_the_rule_of_getting_started_fires_and_can_be_taken(start: Callable[..., Gaugecast], tmp_path: Path) -> None:
    walk_files(tmp_path)
    gaugecast = start(f"--config.file={tmp_path / 'gaugecast.yml'}")
    where = "/api/v1/admin/performance/alerts?match[]=%7Balertname%3D%22SomethingRuns%22%7D"
    [alert] = eventually(lambda: gaugecast.get(where).json()["data"]["alerts"], "SomethingRuns fires")
    assert (alert["state"], alert["severity"]) == ("firing", "warning")
    taken = gaugecast.get(f"/api/v1/admin/alerts/{alert['id']}/acknowledge", "POST")
    assert taken.status == 200, taken.data
    [alert] = gaugecast.get(where).json()["data"]["alerts"]
    assert alert["acknowledged"]


def test_a_page_as_getting_started_has_it_may_load_the_element(start: Callable[..., Gaugecast]) -> None:
    [flag] = {flag for command in walk_commands() for flag in re.findall(r"--web\.allowed-origin=\S+", command)}
    origin = flag.partition("=")[2]
    answer = start(flag).get("/gauge-cast.js", Origin=origin)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)


def test_every_picture_is_shown_and_small() -> None:
    shown = {
        (document.parent / target).resolve()
        for document in DOCUMENTS
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", document.read_text())
    }
    pictures = set((ROOT / "docs/images").iterdir())
    assert pictures == shown
    assert {picture.name: size for picture in pictures if (size := picture.stat().st_size) >= 120_000} == {}


def page_table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading of docs/page.md."""
    text = (ROOT / "docs/page.md").read_text().split(f"\n## {heading}\n")[1]
    table = re.search(r"^\|(?: ---)?.*\n\| ---.*\n((?:\|.*\n)+)", text, re.M)[1]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def test_the_pages_and_keys_of_the_document_are_those_of_the_code() -> None:
    pages = re.findall(
        r"view: '(\w+)', label: '([^']+)', place: '\w+', key: '(\w?)'", (ROOT / "web/src/ui/pages.ts").read_text()
    )
    rows = [(row[1].strip("`"), row[0].strip("*")) for row in page_table("The pages")]
    assert sorted(re.sub(r"^#(\w+).*", r"\1", address) + label for address, label in rows) == sorted(
        view + label for view, label, _ in pages
    )
    keyed = [(key, label) for _, label, key in pages if key]
    said = re.findall(r"shown: '([^']+)',\s*does: '([^']+)'", (ROOT / "web/src/ui/keys.tsx").read_text())
    said.append((f"g {' '.join(key for key, _ in keyed)}", ", ".join(label for _, label in keyed)))
    assert len(said) > 12
    assert sorted((row[0].strip("`"), row[1]) for row in page_table("Keys")) == sorted(said)


def test_what_the_page_keeps_in_the_browser_is_in_the_document() -> None:
    sources = [*(ROOT / "web/src").rglob("*.ts"), *(ROOT / "web/src").rglob("*.tsx")]
    kept = {
        name
        for source in sources
        if "Storage" in (text := source.read_text())
        for name in re.findall(r"^const (?:KEY|PREFIX) = '(gaugecast[^']+)'", text, re.M)
    }
    rows = page_table("Settings, and what is kept where")
    assert len(kept) > 4
    assert {row[1].strip("`").removesuffix("TITLE") for row in rows} == kept

"""What the documents say is true of the tree and of the binary."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import BINARY, ROOT, Gaugecast

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

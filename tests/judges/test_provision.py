"""What `gaugecast provision` writes for an address, a job and labels is put to work by the programs it is for."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import urllib3
import yaml
from conftest import BINARY, Gaugecast, Program, eventually, free_port, tool
from test_deployment import DATA_SOURCES, beside_python, run

LABELS = {"site": "it's: #1", "rack": "7"}


@pytest.fixture
def written(start: Callable[..., Gaugecast], tmp_path: Path) -> tuple[Gaugecast, Path]:
    gaugecast = start()
    labels = [f"--label={name}={value}" for name, value in LABELS.items()]
    flags = ["--host=127.0.0.1", f"--port={gaugecast.port}", "--job=edge", *labels]
    subprocess.run([BINARY, "provision", "--out", tmp_path / "set", *flags], check=True, capture_output=True)
    return gaugecast, tmp_path / "set"


def test_prometheus_runs_by_them_and_scrapes_the_address_with_job_and_labels(
    written: tuple[Gaugecast, Path], tmp_path: Path
) -> None:
    _, files = written
    run(tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", files / "prometheus.yml")
    config = (files / "prometheus.yml").read_text()
    (files / "prometheus.yml").write_text(config.replace("_interval: 5s", "_interval: 1s"))
    port = free_port()
    program = Program(
        [
            tool("prometheus"),
            f"--config.file={files}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    )

    def ask(path: str) -> dict:
        return json.loads(urllib3.request("GET", f"http://127.0.0.1:{port}/api/v1/{path}").data)["data"]

    try:
        program.wait_for("Server is ready to receive web requests")
        (up,) = eventually(lambda: ask("query?query=up%3D%3D1")["result"], "the target is up")
        assert {name: up["metric"][name] for name in ("job", *LABELS)} == {"job": "edge", **LABELS}
        texts = [rule["query"] for group in ask("rules")["groups"] for rule in group["rules"]]
        assert any('job="edge"' in text for text in texts)
        assert not any('job="gaugecast"' in text for text in texts)
    finally:
        program.stop()


def test_the_data_source_is_the_address_and_answers(written: tuple[Gaugecast, Path]) -> None:
    _, files = written
    document = yaml.safe_load((files / "grafana/provisioning/datasources/gaugecast.yml").read_text())
    jsonschema.validate(document, DATA_SOURCES)
    (source,) = document["datasources"]
    # As Grafana asks: a form, by POST.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = urllib3.request("POST", f"{source['url']}/api/v1/query", body="query=1", headers=form)
    assert json.loads(answer.data)["status"] == "success"


def test_compose_listens_on_the_port_and_watches_it(written: tuple[Gaugecast, Path]) -> None:
    gaugecast, files = written
    run(beside_python("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", files / "docker-compose.yml")
    service = yaml.safe_load((files / "docker-compose.yml").read_text())["services"]["gaugecast"]
    flag = f"--web.listen-address=127.0.0.1:{gaugecast.port}"
    assert flag in service["command"]
    # The very check that the container runs, against the server that is there.
    check = [BINARY, *service["healthcheck"]["test"][2:]]
    assert flag in check
    assert subprocess.run(check, capture_output=True).returncode == 0

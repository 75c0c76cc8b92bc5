"""The load tester's reports are what they say they are: JSON by the published schema, CSV, JUnit."""

import csv
import json
import subprocess
import xml.etree.ElementTree as ElementTree

import jsonschema
import pytest
from conftest import BINARY, ROOT


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loadtest")
    files = {name: folder / f"report.{name}" for name in ["json", "csv", "junit"]}
    flags = [f"--{name}={path}" for name, path in files.items()]
    ended = subprocess.run(
        [BINARY, "loadtest", "--serve", "--connections=5", "--rate=10", "--duration=8s", "-q", *flags],
        capture_output=True,
        timeout=120,
        check=False,
    )
    # What a busy machine makes of the figures is not judged here, only that they are told.
    assert ended.returncode in (0, 98, 99), ended.stderr
    return {name: path.read_text() for name, path in files.items()}


def schema():
    return json.loads((ROOT / "docs/loadtest.schema.json").read_text())


def test_the_json_report_is_by_the_published_schema(reports):
    report = json.loads(reports["json"])
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(report, schema())
    assert report["measures"]["delivery.count"] > 0


def test_the_schema_refuses_what_is_no_report(reports):
    report = json.loads(reports["json"])
    report["verdict"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, schema())


def test_the_csv_report_has_every_measure_of_every_phase(reports):
    report = json.loads(reports["json"])
    rows = list(csv.DictReader(reports["csv"].splitlines()))
    phases = {phase["name"]: phase["measures"] for phase in report["phases"]}
    for name, measures in [*phases.items(), ("whole test", report["measures"])]:
        told = {row["measure"]: row["value"] for row in rows if row["phase"] == name}
        assert {key: float(value) if value else None for key, value in told.items()} == measures


def test_the_junit_report_has_a_case_for_every_criterion(reports):
    report = json.loads(reports["json"])
    suites = ElementTree.fromstring(reports["junit"]).findall("testsuite")
    assert [suite.get("name") for suite in suites] == [
        *(phase["name"] for phase in report["phases"]),
        "whole test",
    ]
    cases = [case.get("name") for case in suites[-1].findall("testcase")]
    assert cases == [*(criterion["criterion"] for criterion in report["criteria"]), "verdict"]

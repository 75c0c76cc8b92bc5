"""Other people's parsers read our exposition: promtool and the strict OpenMetrics parser of prometheus_client."""

import re
import subprocess

import pytest
from conftest import Gaugecast, tool
from samples import differences, of_openmetrics, of_text, read_openmetrics, without_created

# node_exporter's names of these collectors are in camel case or count bits, which promtool complains about; its own
# tests leave them out in the same way. They are ours to copy, not to correct.
NAMES_FIXED_BY_NODE_EXPORTER = re.compile(r"^node_(entropy|memory|netstat)_")


def promtool_check(page: str) -> tuple[int, list[str]]:
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=page, capture_output=True, text=True)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if line]


def test_promtool_has_nothing_to_say(gaugecast: Gaugecast) -> None:
    page = gaugecast.text("/metrics?exclude[]=meminfo&exclude[]=netstat&exclude[]=entropy")
    assert "node_load1 " in page and "judge_requests_total{" in page
    assert promtool_check(page) == (0, [])


def test_promtool_complains_only_of_names_that_node_exporter_fixed(gaugecast: Gaugecast) -> None:
    code, complaints = promtool_check(gaugecast.text())
    assert [line for line in complaints if not NAMES_FIXED_BY_NODE_EXPORTER.match(line)] == []
    assert code in (0, 3), "3 is promtool's word for complaints, anything else a page that it cannot read"


def test_promtool_does_complain_of_a_bad_page() -> None:
    code, complaints = promtool_check("# TYPE requests counter\nrequests 1\n")
    assert code != 0 and complaints


def test_the_strict_openmetrics_parser_accepts_our_openmetrics(gaugecast: Gaugecast) -> None:
    page = gaugecast.openmetrics()
    assert page.endswith("\n# EOF\n")
    families = list(read_openmetrics(page))
    assert len(families) > 100
    kinds = {family.type for family in families}
    assert {"counter", "gauge", "histogram", "summary", "unknown"} <= kinds


def test_the_strict_openmetrics_parser_does_reject_a_bad_page() -> None:
    with pytest.raises(ValueError):
        list(read_openmetrics("# TYPE requests counter\nrequests 1\n# EOF\n"))


@pytest.mark.parametrize("form", ["text", "openmetrics"])
def test_hostile_labels_and_values_come_through_unchanged(gaugecast: Gaugecast, textfiles, form: str) -> None:
    """What the textfile says, read from the file, is what a parser reads from our page."""
    said = of_text((textfiles / "hostile.prom").read_text())
    shown = of_text(gaugecast.text()) if form == "text" else of_openmetrics(gaugecast.openmetrics())
    assert len(said) > 20
    assert differences(said, shown) == {}


def test_text_and_openmetrics_show_the_same_series(gaugecast: Gaugecast) -> None:
    text = without_created(of_text(gaugecast.text()))
    openmetrics = without_created(of_openmetrics(gaugecast.openmetrics()))
    assert set(text) == set(openmetrics)
    assert len(text) > 200


def test_families_are_contiguous_and_sorted(gaugecast: Gaugecast) -> None:
    names = re.findall(r"^# TYPE (\S+) ", gaugecast.text(), re.MULTILINE)
    assert names == sorted(set(names))

"""Other people's parsers read our exposition: promtool and the strict OpenMetrics parser of prometheus_client."""

import math
import re
import subprocess

import pytest
from conftest import Gaugecast, tool
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

# node_exporter's names of these collectors are in camel case, which promtool complains about; node_exporter's own
# tests leave them out in the same way. They are ours to copy, not to correct.
NAMES_FIXED_BY_NODE_EXPORTER = re.compile(r"^node_(memory|netstat)_")


def promtool_check(page: str) -> tuple[int, list[str]]:
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=page, capture_output=True, text=True)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if line]


def series(families) -> dict[tuple, float]:
    """All samples of parsed families, by name and labels."""
    found = {}
    for family in families:
        for sample in family.samples:
            labels = {k: str(float(v)) if k in ("le", "quantile") else v for k, v in sample.labels.items()}
            key = (sample.name, tuple(sorted(labels.items())))
            assert key not in found, f"twice on one page: {key}"
            found[key] = sample.value
    return found


def same(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or (one == other and math.copysign(1, one) == math.copysign(1, other))


def test_promtool_has_nothing_to_say(gaugecast: Gaugecast) -> None:
    page = gaugecast.text("/metrics?exclude[]=meminfo&exclude[]=netstat")
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
    said = series(read_text((textfiles / "hostile.prom").read_text()))
    if form == "text":
        shown = series(read_text(gaugecast.text()))
    else:
        shown = series(read_openmetrics(gaugecast.openmetrics()))
    # A label with an empty value is no label: Prometheus' data model.
    said = {(name, tuple(pair for pair in labels if pair[1])): value for (name, labels), value in said.items()}
    shown = {(name, tuple(pair for pair in labels if pair[1])): value for (name, labels), value in shown.items()}
    missing = sorted(key for key in said if key not in shown)
    assert missing == []
    different = {key: (value, shown[key]) for key, value in said.items() if not same(value, shown[key])}
    assert different == {}


def test_text_and_openmetrics_show_the_same_series(gaugecast: Gaugecast) -> None:
    text = {key for key in series(read_text(gaugecast.text()))}
    openmetrics = {key for key in series(read_openmetrics(gaugecast.openmetrics()))}
    # `_created` is a sample of OpenMetrics alone.
    openmetrics = {(name, labels) for name, labels in openmetrics if not name.endswith("_created")}
    text = {(name, labels) for name, labels in text if not name.endswith("_created")}
    assert text == openmetrics
    assert len(text) > 200


def test_families_are_contiguous_and_sorted(gaugecast: Gaugecast) -> None:
    names = re.findall(r"^# TYPE (\S+) ", gaugecast.text(), re.MULTILINE)
    assert names == sorted(set(names))

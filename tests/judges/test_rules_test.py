"""Rules checked and tested by gaugecast and by promtool: the same files, the same verdicts.

Not judged here is what the promtool at hand does not know yet, or does otherwise than its successors: `fuzzy_compare`, `interval` that is
left out, and the left end of a range, which is not part of it since Prometheus 3.

Templates have a corpus of their own, tests/fixtures/rules/templates.json, which the unit tests of the engine read; here promtool
says whether what stands in it is true.
"""

# ruff: noqa: E501 (a case is a line)

import json
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from conftest import BINARY, ROOT, tool

RULES = """\
groups:
  - name: first
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: Down
        expr: up == 0
        for: 2m
        labels: {severity: page, team: '{{ $labels.job }}-team'}
        annotations:
          summary: '{{ $labels.instance }} of {{ $labels.job }} is down ({{ $value }}) in {{ $externalLabels.region }}'
      - alert: Kept
        expr: up == 0
        keep_firing_for: 3m
      - alert: TwiceNamed
        expr: up == 0
        labels: {which: a}
  - name: second
    interval: 10m
    rules:
      - record: job:up:double
        expr: job:up:sum * 2
      - alert: TwiceNamed
        expr: up == 0
        labels: {which: b}
      - alert: Query
        expr: job:up:sum < 2
        annotations:
          text: '{{ range query "up" | sortByLabel "instance" }}{{ .Labels.instance }}={{ .Value }} {{ end }}'
      - alert: FromAlerts
        expr: count by (alertname) (ALERTS{alertstate="firing", alertname="Down"}) > 0
        labels: {alertname: FromAlerts}
"""

# A series that goes down after 3 minutes, one that is always up, one that ends.
SERIES = """\
    input_series:
      - {series: 'up{job="a", instance="x"}', values: '1 1 1 0x10'}
      - {series: 'up{job="a", instance="y"}', values: '1x13'}
      - {series: 'up{job="b", instance="z"}', values: '1 0 stale'}
"""

DOWN_X = (
    "{exp_labels: {severity: page, team: a-team, job: a, instance: x}, "
    "exp_annotations: {summary: 'x of a is down (0) in eu'}}"
)


def alert(at: str, name: str, *expected: str, head: str = "") -> str:
    listed = "".join(f"\n          - {one}" for one in expected)
    return (
        f"{head}tests:\n  - interval: 1m\n    name: case\n    external_labels: {{region: eu}}\n{SERIES}"
        f"    alert_rule_test:\n      - eval_time: {at}\n        alertname: {name}\n"
        f"        exp_alerts: {'[]' if not expected else listed}\n"
    )


def expr(text: str, at: str, *expected: str, series: str = SERIES, head: str = "") -> str:
    listed = "".join(f"\n          - {one}" for one in expected)
    return (
        f"{head}tests:\n  - interval: 1m\n{series}    promql_expr_test:\n"
        f"      - expr: {json.dumps(text)}\n        eval_time: {at}\n"
        f"        exp_samples: {'[]' if not expected else listed}\n"
    )


def values(notation: str) -> str:
    return f"    input_series:\n      - {{series: m, values: {json.dumps(notation)}}}\n"


# Name, test file without `rule_files`, and whether it passes. What promtool says decides; the last column keeps the judge awake.
CASES = [
    ("fires", alert("5m", "Down", DOWN_X), True),
    ("for-not-yet-over", alert("4m", "Down"), True),
    ("for-not-yet-over-but-expected", alert("4m", "Down", DOWN_X), False),
    ("just-before-the-step", alert("4m59s", "Down"), True),
    ("between-steps", alert("5m30s", "Down", DOWN_X), True),
    ("missing-alert", alert("5m", "Down"), False),
    ("wrong-annotation", alert("5m", "Down", DOWN_X.replace("(0)", "(1)")), False),
    ("missing-annotation", alert("5m", "Down", DOWN_X.split(", exp_ann")[0] + "}"), False),
    ("wrong-label", alert("5m", "Down", DOWN_X.replace("page", "info")), False),
    ("one-too-many", alert("5m", "Down", DOWN_X, DOWN_X.replace("instance: x", "instance: q")), False),
    ("twice-the-same", alert("5m", "Down", DOWN_X, DOWN_X), False),
    ("unknown-alert", alert("5m", "Nobody"), True),
    ("unknown-alert-expected", alert("5m", "Nobody", "{exp_labels: {}}"), False),
    ("stale-ends-it", alert("2m", "Kept", "{exp_labels: {job: b, instance: z}}"), True),
    ("kept-is-over", alert("5m", "Kept", "{exp_labels: {job: a, instance: x}}"), True),
    (
        "kept-still",
        alert(
            "4m", "Kept", "{exp_labels: {job: a, instance: x}}", "{exp_labels: {job: b, instance: z}}"
        ),
        True,
    ),
    (
        "one-name-in-two-groups",
        alert(
            "3m",
            "TwiceNamed",
            "{exp_labels: {job: a, instance: x, which: b}}",
            "{exp_labels: {job: a, instance: x, which: a}}",
        ),
        True,
    ),
    ("one-of-two-groups", alert("3m", "TwiceNamed", "{exp_labels: {job: a, instance: x, which: b}}"), False),
    (
        "template-asks",
        alert("3m", "Query", "{exp_labels: {job: a}, exp_annotations: {text: 'x=0 y=1 '}}", head="group_eval_order: [first, second]\n"),
        True,
    ),
    (
        "alerts-are-series",
        alert("5m", "FromAlerts", "{exp_labels: {}}", head="group_eval_order: [first, second]\n"),
        True,
    ),
    ("no-alertname", alert("5m", "''"), False),
    ("recording", expr("job:up:sum", "2m", '{labels: \'job:up:sum{job="a"}\', value: 2}'), True),
    (
        "recording-of-recording",
        expr("job:up:double", "2m", '{labels: \'job:up:double{job="a"}\', value: 4}', head="group_eval_order: [first, second]\n"),
        True,
    ),
    (
        "recording-is-stale",
        expr("job:up:sum{job='b'}", "3m"),
        True,
    ),
    ("wrong-value", expr("job:up:sum", "2m", '{labels: \'job:up:sum{job="a"}\', value: 3}'), False),
    ("missing-sample", expr("up", "0m", '{labels: \'up{job="a", instance="x"}\', value: 1}'), False),
    ("scalar", expr("1 + 1", "0m", "{labels: '{}', value: 2}"), True),
    ("scalar-without-labels", expr("1 + 1", "0m", "{value: 2}"), None),
    ("string", expr("'a'", "0m"), False),
    ("range-vector", expr("up[5m]", "0m"), False),
    ("nothing", expr("nothing", "1m"), True),
    ("time", expr("time()", "90s", "{labels: '{}', value: 90}"), True),
    ("nan-is-not-nan", expr("vector(NaN)", "0m", "{labels: '{}', value: .nan}"), None),
    ("infinity", expr("vector(-Inf)", "0m", "{labels: '{}', value: -.inf}"), True),
    ("last-bit", expr("vector(0.1) + 0.2", "0m", "{labels: '{}', value: 0.3}"), False),
    ("hexadecimal", expr("vector(16)", "0m", "{labels: '{}', value: 0x10}"), True),
    ("text-for-a-number", expr("vector(1)", "0m", "{labels: '{}', value: '1'}"), None),
    ("expression-broken", expr("sum(", "0m"), False),
    ("unknown-function-in-test", expr("nope(up)", "0m"), False),
    ("labels-broken", expr("up", "0m", "{labels: 'up{', value: 1}"), False),
    ("labels-with-a-matcher", expr("up", "0m", "{labels: 'up{a=~\"b\"}', value: 1}"), False),
    ("subquery-step", expr("count_over_time(up{instance='y'}[3m15s:])", "4m", '{labels: \'{job="a", instance="y"}\', value: 7}', head="evaluation_interval: 30s\n"), None),
    ("lookback-5m", expr("m", "4m59s", "{labels: m, value: 1}", series=values("1 _x9")), None),
    ("lookback-over", expr("m", "6m", series=values("1 _x9")), True),
    ("stale-marker", expr("m", "1m", series=values("1 stale 3")), True),
    ("notation", expr("sum_over_time(m[1h])", "8m", "{labels: '{}', value: 24}", series=values("1+2x2 5-1x1 2x1 _ 2 _x3")), None),
    ("stale-times", expr("m", "1m", series=values("1 stalex2")), None),
    ("notation-broken", expr("m", "0m", series=values("1 2 a")), False),
    ("notation-without-times", expr("m", "0m", series=values("1+2")), None),
    ("no-values", expr("m", "0m", series=values("")), None),
    ("series-broken", expr("m", "0m", series="    input_series:\n      - {series: 'm{', values: '1'}\n"), False),
    ("same-series-twice", expr("m", "0m", "{labels: m, value: 2}", series=values("1") + values("2").split("\n", 1)[1]), None),
    ("future-is-not-there", expr("m offset -6m", "0m", series=values("1 _ _ _ _ _ 7")), None),
    ("bad-yaml", "tests: [\n", False),
    ("unknown-key", "surprise: 1\ntests: []\n", False),
    ("unknown-key-in-test", "tests:\n  - intervall: 1m\n", False),
    ("unknown-key-in-case", alert("5m", "Down").replace("exp_alerts", "exp_alert"), False),
    ("key-twice", "tests: []\ntests: []\n", False),
    ("order-names-one-twice", "group_eval_order: [first, first]\ntests: []\n", False),
    ("bad-duration", alert("5 minutes", "Down"), False),
    ("bad-interval", "evaluation_interval: x\ntests: []\n", False),
    ("no-tests", "", True),
    ("list-for-a-mapping", "- a\n", False),
    ("evaluation-interval", expr("count_over_time(job:up:sum{job='a'}[1h])", "4m", "{labels: '{job=\"a\"}', value: 9}", head="evaluation_interval: 30s\n"), True),
    ("comments-and-anchors", "x: &x 1\ntests: []\n", False),
]  # fmt: skip

# Rule files that are wrong, or not, each by itself.
RULE_FILES = [
    ("good", RULES, True),
    ("empty", "", True),
    ("no-groups", "groups: []\n", True),
    ("bad-yaml", "groups: [\n", False),
    ("unknown-key", "groups:\n  - name: g\n    rules: []\n    surprise: 1\n", False),
    ("unknown-key-in-rule", "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: up, surprise: 1}\n", False),
    ("broken-expression", "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: 'sum('}\n", False),
    ("unknown-function", "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: 'nope(up)'}\n", False),
    ("alert-and-record", "groups:\n  - name: g\n    rules:\n      - {alert: A, record: b, expr: up}\n", False),
    ("neither", "groups:\n  - name: g\n    rules:\n      - {expr: up}\n", False),
    ("no-expression", "groups:\n  - name: g\n    rules:\n      - {alert: A}\n", False),
    ("group-twice", "groups:\n  - {name: g, rules: []}\n  - {name: g, rules: []}\n", False),
    ("group-without-name", "groups:\n  - {name: '', rules: []}\n", False),
    ("bad-duration", "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: up, for: soon}\n", False),
    ("bad-label", "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: up, labels: {'a-b': c}}\n", False),
    ("record-with-for", "groups:\n  - name: g\n    rules:\n      - {record: a, expr: up, for: 1m}\n", False),
    ("record-with-annotations", "groups:\n  - name: g\n    rules:\n      - {record: a, expr: up, annotations: {a: b}}\n", False),
    ("bad-name", "groups:\n  - name: g\n    rules:\n      - {record: 'a b', expr: up}\n", False),
    ("bad-template", "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: up, annotations: {a: '{{ nope }}'}}\n", False),
    ("bad-template-in-label", "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: up, labels: {a: '{{ if }}'}}\n", False),
    ("template-in-record", "groups:\n  - name: g\n    rules:\n      - {record: a, expr: up, labels: {a: '{{ if }}'}}\n", True),
    ("duplicate-rules", "groups:\n  - name: g\n    rules:\n      - {record: a, expr: up}\n      - {record: a, expr: up}\n", True),
]  # fmt: skip


def judged(program: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)


def both(command: str, *arguments: str | Path) -> tuple[subprocess.CompletedProcess, subprocess.CompletedProcess]:
    """What promtool says, and what gaugecast says."""
    words = [str(word) for word in arguments]
    noun, verb = ("rules", command)
    return judged([tool("promtool"), verb, noun, *words]), judged([str(BINARY), noun, verb, *words])


def told(theirs: subprocess.CompletedProcess, ours: subprocess.CompletedProcess) -> str:
    return (
        f"promtool {theirs.returncode}:\n{theirs.stdout}{theirs.stderr}\n"
        f"gaugecast {ours.returncode}:\n{ours.stdout}{ours.stderr}"
    )


@pytest.mark.parametrize(("name", "text", "passes"), CASES, ids=[case[0] for case in CASES])
def test_a_test_file_gets_promtools_verdict(tmp_path: Path, name: str, text: str, passes: bool | None) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    test = tmp_path / f"{name}.test.yml"
    test.write_text(text if text.startswith("- ") else "rule_files: [rules.yml]\n" + text)
    theirs, ours = both("test", test)
    assert ours.returncode == theirs.returncode, told(theirs, ours)
    if passes is not None:
        assert ours.returncode == (0 if passes else 1), told(theirs, ours)


@pytest.mark.parametrize(("name", "text", "right"), RULE_FILES, ids=[case[0] for case in RULE_FILES])
def test_a_rule_file_gets_promtools_verdict(tmp_path: Path, name: str, text: str, right: bool) -> None:
    rules = tmp_path / f"{name}.yml"
    rules.write_text(text)
    theirs, ours = both("check", rules)
    assert ours.returncode == theirs.returncode == (0 if right else 1), told(theirs, ours)
    if not right and name != "bad-yaml":
        assert re.search(rf"{re.escape(str(rules))}:\d+:\d+: ", ours.stderr), told(theirs, ours)
    # A test that loads it fails with it.
    test = tmp_path / "any.test.yml"
    test.write_text(f"rule_files: ['{name}.yml']\ntests: [{{interval: 1m}}]\n")
    theirs, ours = both("test", test)
    assert ours.returncode == theirs.returncode == (0 if right else 1), told(theirs, ours)


def test_rule_files_are_found_beside_the_test_file_and_by_patterns(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/one.yml").write_text(RULES)
    for pattern, passes in (("rules/*.yml", True), ("rules/missing.yml", False), ("*/o?e.yml", True)):
        test = tmp_path / "a.test.yml"
        test.write_text(f"rule_files: ['{pattern}']\n" + alert("5m", "Down", DOWN_X))
        theirs, ours = both("test", test)
        assert ours.returncode == theirs.returncode == (0 if passes else 1), told(theirs, ours)


def test_a_missing_file_and_one_bad_of_two_fail(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("rule_files: [rules.yml]\n" + alert("5m", "Down", DOWN_X))
    bad.write_text("rule_files: [rules.yml]\n" + alert("5m", "Down"))
    for files, code in (([good, bad], 1), ([bad, good], 1), ([good, good], 0), ([tmp_path / "none.yml"], 1)):
        theirs, ours = both("test", *files)
        assert ours.returncode == theirs.returncode == code, told(theirs, ours)
    theirs, ours = both("check", tmp_path / "rules.yml", tmp_path / "none.yml")
    assert ours.returncode == theirs.returncode == 1, told(theirs, ours)


def test_duplicate_rules_are_fatal_when_asked_for(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(dict((name, text) for name, text, _ in RULE_FILES)["duplicate-rules"])
    for flags, code in ((["--lint-fatal"], 3), (["--lint=none", "--lint-fatal"], 0), (["--lint=all"], 0)):
        theirs, ours = both("check", *flags, rules)
        assert ours.returncode == theirs.returncode == code, told(theirs, ours)


def test_our_own_rules_and_their_tests_pass_with_both() -> None:
    rules = sorted((ROOT / "rules").glob("*.rules.yml"))
    tests = sorted((ROOT / "rules/tests").glob("*.test.yml"))
    assert rules and tests
    for command, files in (("check", rules), ("test", tests)):
        theirs, ours = both(command, *files)
        assert ours.returncode == theirs.returncode == 0, told(theirs, ours)


def test_a_difference_is_shown_and_names_choose_tests(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    test = tmp_path / "a.test.yml"
    test.write_text("rule_files: [rules.yml]\n" + alert("5m", "Down", DOWN_X.replace("(0)", "(1)")))
    report = tmp_path / "junit.xml"
    ours = judged([str(BINARY), "rules", "test", "--junit", str(report), str(test)])
    assert '- expected summary: "x of a is down (1) in eu"' in ours.stdout
    assert '+ got      summary: "x of a is down (0) in eu"' in ours.stdout
    assert '<testsuite name="' in report.read_text() and "<failure>" in report.read_text()
    assert judged([str(BINARY), "rules", "test", "--run", "^other$", str(test)]).returncode == 0
    assert judged([str(BINARY), "rules", "test", "--run", "^ca", str(test)]).returncode == 1
    assert judged([str(BINARY), "rules", "test", "--run", "(", str(test)]).returncode == 2


def test_the_last_bit_may_differ_when_the_file_says_so(tmp_path: Path) -> None:
    """promtool has `fuzzy_compare` in later versions only."""
    test = tmp_path / "a.test.yml"
    test.write_text("fuzzy_compare: true\n" + expr("vector(0.1) + 0.2", "0m", "{labels: '{}', value: 0.3}"))
    ours = judged([str(BINARY), "rules", "test", str(test)])
    assert ours.returncode == 0, ours.stdout


def test_native_histograms_are_refused_by_name(tmp_path: Path) -> None:
    test = tmp_path / "a.test.yml"
    test.write_text(expr("m", "0m", series=values("{{count:1 sum:2}}x2")))
    ours = judged([str(BINARY), "rules", "test", str(test)])
    assert ours.returncode == 1 and re.search(r"a.test.yml:4:\d+: native histograms are not supported", ours.stdout)


def template_files(folder: Path, cases: list[dict]) -> tuple[Path, Path]:
    """A rule for each template, and a test that expects what the corpus says."""
    rules = [{"alert": f"T{i}", "expr": "m", "annotations": {"t": case["template"]}} for i, case in enumerate(cases)]
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    labels = {"instance": "web-1.example.com:9100", "job": "node", "path": "/a b"}
    series = {'m{instance="web-1.example.com:9100", job="node", path="/a b"}': "1234.5678"}
    series |= {'q{a="x"}': "1", 'q{a="y"}': "2.5"}
    expected = [
        {
            "eval_time": "0m",
            "alertname": f"T{i}",
            "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"t": case.get("gives", "never")}}],
        }
        for i, case in enumerate(cases)
    ]
    test = {
        "interval": "1m",
        "external_labels": {"region": "eu"},
        "external_url": "http://prom.example:9090/p/x",
        "input_series": [{"series": name, "values": value} for name, value in series.items()],
        "alert_rule_test": expected,
    }
    path = folder / "test.yml"
    path.write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    return folder / "rules.yml", path


def test_promtool_agrees_with_the_corpus_of_templates(tmp_path: Path) -> None:
    cases = json.loads((ROOT / "tests/fixtures/rules/templates.json").read_text())
    given = [case for case in cases if "gives" in case]
    fails = [case for case in cases if case.get("fails")]
    refused = [case for case in cases if case.get("refused")]
    assert len(given) > 150 and len(fails) > 40 and len(refused) > 60
    _, test = template_files(tmp_path, given)
    theirs, ours = both("test", test)
    assert ours.returncode == theirs.returncode == 0, told(theirs, ours)
    # What cannot be expanded: the text of the alert says so, in both, with words of their own.
    _, test = template_files(tmp_path, fails)
    theirs, ours = both("test", test)
    assert ours.returncode == theirs.returncode == 1
    assert (theirs.stdout + theirs.stderr).count("<error expanding template: ") == len(fails)
    assert ours.stdout.count("<error expanding template: ") == len(fails), told(theirs, ours)
    # What cannot be read: a file each, since promtool ends a file at its first fault.
    files = []
    for i, case in enumerate(refused):
        folder = tmp_path / str(i)
        folder.mkdir()
        files.append(template_files(folder, [case])[0])
    theirs, ours = both("check", *files)
    assert ours.returncode == theirs.returncode == 1
    assert theirs.stdout.count("FAILED") + theirs.stderr.count("FAILED") == len(refused)
    wrong = {line.split(":")[0] for line in ours.stderr.splitlines() if re.match(r"/.*:\d+:\d+: annotation", line)}
    assert wrong == {str(path) for path in files}, told(theirs, ours)


def test_the_help_says_what_the_commands_do() -> None:
    shown = judged([str(BINARY), "rules", "--help"]).stdout
    assert textwrap.dedent(shown).count("Tell everything that is wrong with rule files") == 1
    assert "in promtool's format" in shown

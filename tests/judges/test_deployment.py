"""The files that put gaugecast to work: rules, prometheus.yml, the image, Compose, Grafana.

Each is judged by the tool or the published schema of the program that will read it.
"""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import BINARY, ROOT, Gaugecast, tool

GRAFANA = ROOT / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "rules").glob("*.rules.yml"))
METRICS = ROOT / "docs/metrics.md"

# What Prometheus itself adds to every target.
ADDED_BY_PROMETHEUS = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
}
# Families that a host may lack; each needs a reason, and the others must be there.
NOT_ON_EVERY_HOST = {
    "gaugecast_anomaly_rate": "of the first interval that ends",
    "gaugecast_anomaly_score": "as above",
    "gaugecast_alertmanager_up": "of an Alertmanager that is told, see docs/alerting.md",
    "gaugecast_notifications_failed_total": "of a receiver that could not be told",
    "node_disk_io_time_seconds_total": "a container may have no disk in /proc/diskstats",
    "node_disk_read_bytes_total": "as above",
    "node_disk_read_time_seconds_total": "as above",
    "node_disk_reads_completed_total": "as above",
    "node_disk_write_time_seconds_total": "as above",
    "node_disk_writes_completed_total": "as above",
    "node_disk_written_bytes_total": "as above",
    "node_filesystem_avail_bytes": "a sandbox may mount only what the default excludes leave out",
    "node_filesystem_device_error": "as above",
    "node_filesystem_files": "as above",
    "node_filesystem_files_free": "as above",
    "node_filesystem_size_bytes": "as above",
    "node_filesystem_readonly": "as above",
    "node_hwmon_temp_celsius": "a virtual machine has no sensors",
    "node_hwmon_temp_crit_celsius": "as above",
    "node_netstat_TcpExt_ListenOverflows": "a sandboxed kernel may not count it",
    "node_network_carrier_changes_total": "as above",
    "node_nf_conntrack_entries": "of a kernel that tracks connections",
    "node_nf_conntrack_entries_limit": "as above",
    "node_pressure_memory_stalled_seconds_total": "of a kernel with pressure stall information",
    "node_vmstat_oom_kill": "a sandboxed kernel may not count it",
    "node_vmstat_pswpin": "as above",
    "node_vmstat_pswpout": "as above",
}


def run(*command: str | Path, **options) -> str:
    """Runs a judge; its output when it is content, a failed test when it is not."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{Path(command[0]).name}:\n{output}"
    return output


def beside_python(name: str) -> Path:
    """A program of the same virtual environment."""
    return Path(sys.executable).with_name(name)


def panels(dashboard: dict) -> list[dict]:
    return [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", []))]


# Prometheus


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    run(tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", ROOT / "prometheus.yml")
    run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *RULES)


def rules() -> list[dict]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


# Metric names that rules and panels ask for


def names_in(expression: str) -> set[str]:
    """The metric names of a PromQL expression: words that are neither function, keyword, label nor in a string."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = re.findall(r"(?<![\w.$])([a-zA-Z_:][\w:]*)(?!\s*\()\b(?!\s*\()", bare)
    keywords = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset"}
    return {
        word for word in words if word.lower() not in keywords and not re.fullmatch(r"inf|nan", word, re.IGNORECASE)
    }


def test_names_are_found_in_expressions() -> None:
    expression = (
        'sum by (le, job) (rate(a_bucket{x="b{c"}[5m])) / on (job) group_left () (b_total > 0 and time() - c < 1e3)'
    )
    assert names_in(expression) == {"a_bucket", "b_total", "c"}


def expressions() -> list[tuple[str, str]]:
    """Of rules; what dashboards ask for is in test_dashboards.py."""
    return [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


@pytest.fixture(scope="module")
def exposed(gaugecast: Gaugecast) -> set[str]:
    ours = {re.match(r"[\w:]+", line)[0] for line in gaugecast.text().splitlines() if line and line[0] != "#"}
    return ours | referenced() | {rule["record"] for rule in rules() if "record" in rule}


def referenced() -> set[str]:
    """What is exposed as soon as there is something to count, by the reference, which a Rust test holds true."""
    rows = re.findall(r"^\| `((?:gaugecast|process)_\w+)` \| (\w+) \|", METRICS.read_text(), re.MULTILINE)
    assert len(rows) > 100
    histograms = {f"{name}_{part}" for name, kind in rows if kind == "histogram" for part in ("bucket", "sum", "count")}
    return {name for name, _ in rows} | histograms


@pytest.mark.parametrize("place, expression", expressions(), ids=[place for place, _ in expressions()])
def test_every_metric_asked_for_exists(exposed: set[str], place: str, expression: str) -> None:
    names = names_in(expression)
    assert names, expression
    missing = names - exposed - ADDED_BY_PROMETHEUS - set(NOT_ON_EVERY_HOST)
    assert missing == set(), f"{place}: {expression}"


# Grafana


# What Prometheus' plugin adds to an annotation, for which Grafana publishes no type.
ANNOTATION = {
    "type": "object",
    "required": ["expr", "titleFormat"],
    "additionalProperties": False,
    "properties": {
        **{key: {"type": "string"} for key in ("expr", "titleFormat", "textFormat", "tagKeys")},
        "step": {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"},
        "useValueForTime": {"enum": ["on", "off"]},
    },
}


def as_typescript(dashboard: dict) -> str:
    """A program that compiles if the dashboard has Grafana's types, its panels those of their plugins."""
    dashboard = copy.deepcopy(dashboard)
    for note in dashboard["annotations"]["list"]:
        if not note.get("builtIn"):
            own = {key: note.pop(key) for key in ANNOTATION["properties"] if key in note}
            jsonschema.validate(own, ANNOTATION)
    plugins = {
        "timeseries": "TimeSeries",
        "stat": "Stat",
        "bargauge": "BarGauge",
        "heatmap": "Heatmap",
        "table": "Table",
        "state-timeline": "StateTimeline",
    }
    lines = ["import type { Dashboard } from '@grafana/schema';"]
    for name in plugins.values():
        module = f"@grafana/schema/dist/esm/raw/composable/{name.lower()}/panelcfg/x/{name}PanelCfg_types.gen"
        lines.append(f"import type * as {name} from '{module}';")
    lines += [
        # JSON has the values of enums, not their members.
        "type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[]",
        "  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;",
        f"({json.dumps(dashboard)}) satisfies Json<Dashboard>;",
    ]
    for panel in panels(dashboard):
        if panel["type"] == "row":
            continue
        name = plugins[panel["type"]]
        lines.append(f"// {panel['title']}")
        lines.append(f"({json.dumps(panel['options'])}) satisfies Json<{name}.Options>;")
        if custom := panel["fieldConfig"]["defaults"].get("custom"):
            lines.append(f"({json.dumps(custom)}) satisfies Json<Partial<{name}.FieldConfig>>;")
    return "\n".join(lines) + "\n"


def compile_typescript(program: str, folder: Path) -> subprocess.CompletedProcess:
    packages = ROOT / "tests/grafana/node_modules"
    assert packages.is_dir(), "run tests/setup"
    (folder / "node_modules").symlink_to(packages)
    (folder / "dashboard.ts").write_text(program)
    flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "preserve", "--target", "esnext"]
    command = [ROOT / "tests/node", "npx", "--no-install", "tsc", *flags, "dashboard.ts"]
    return subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_has_the_types_that_grafana_publishes(file: Path, tmp_path: Path) -> None:
    done = compile_typescript(as_typescript(json.loads(file.read_text())), tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "spoil",
    [
        lambda panel: panel["options"].update(legned={}),
        lambda panel: panel["options"]["tooltip"].update(mode="sometimes"),
        lambda panel: panel["fieldConfig"]["defaults"]["custom"].update(drawStyle="crayon"),
        lambda panel: panel.update(gridPos={"x": 0, "y": 0, "w": 1}),
        lambda panel: panel.update(id="one"),
    ],
    ids=["unknown option", "unknown mode", "unknown style", "no height", "id as text"],
)
def test_the_check_of_types_finds_mistakes(spoil, tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARDS[0].read_text())
    spoil(next(panel for panel in dashboard["panels"] if panel["type"] == "timeseries"))
    assert compile_typescript(as_typescript(dashboard), tmp_path).returncode != 0


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_works_wherever_it_is_loaded(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    assert dashboard["id"] is None, "an id belongs to one database"
    assert re.fullmatch(r"gaugecast-[a-z-]{1,30}", dashboard["uid"])
    variables = dashboard["templating"]["list"]
    kinds = {variable["name"]: variable["type"] for variable in variables}
    assert kinds.pop("datasource") == "datasource"
    assert {"job", "instance"} <= set(kinds) and set(kinds.values()) == {"query"}
    every = panels(dashboard)
    assert len({panel["id"] for panel in every}) == len(every)
    # What is under a row that is closed lies where it will be when that is opened.
    for together in (dashboard["panels"], *(panel.get("panels", []) for panel in dashboard["panels"])):
        cells: dict[tuple[int, int], str] = {}
        for panel in together:
            at = panel["gridPos"]
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                assert cell[0] < 24 and cell not in cells, f"{panel['title']} lies on {cells.get(cell, 'the margin')}"
                cells[cell] = panel["title"]
        # Grafana moves panels up into gaps, so there are none.
        for y in {y for _, y in cells}:
            assert {x for x, at in cells if at == y} == set(range(24)), f"line {y} has a gap"
    for variable in variables:
        if variable["type"] == "query":
            assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, variable["name"]
    for panel in every:
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


# Grafana publishes no schema of these files; this is what its documentation lists, for the parts that we use.
DATA_SOURCES = {
    "type": "object",
    "required": ["apiVersion", "datasources"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": 1},
        "prune": {"type": "boolean"},
        "deleteDatasources": {"type": "array"},
        "datasources": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "type", "access", "uid"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
                    "type": {"enum": ["prometheus", "alertmanager"]},
                    "access": {"const": "proxy"},
                    "orgId": {"type": "integer"},
                    "url": {"type": "string"},
                    "isDefault": {"type": "boolean"},
                    "editable": {"type": "boolean"},
                    "jsonData": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "httpMethod": {"enum": ["GET", "POST"]},
                            "timeInterval": {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"},
                            "prometheusType": {"enum": ["Prometheus", "Mimir", "Thanos", "Cortex"]},
                            "manageAlerts": {"type": "boolean"},
                            "implementation": {"enum": ["prometheus", "mimir", "cortex"]},
                            "handleGrafanaManagedAlerts": {"type": "boolean"},
                        },
                    },
                },
                # Without a word Grafana takes an Alertmanager for Mimir's.
                "if": {"properties": {"type": {"const": "alertmanager"}}},
                "then": {"properties": {"jsonData": {"required": ["implementation"]}}, "required": ["jsonData"]},
            },
        },
    },
}
PROVIDERS = {
    "type": "object",
    "required": ["apiVersion", "providers"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": 1},
        "providers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "type", "options"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "orgId": {"type": "integer"},
                    "folder": {"type": "string"},
                    "folderUid": {"type": "string", "maxLength": 40},
                    "type": {"const": "file"},
                    "disableDeletion": {"type": "boolean"},
                    "allowUiUpdates": {"type": "boolean"},
                    "updateIntervalSeconds": {"type": "integer", "minimum": 1},
                    "options": {
                        "type": "object",
                        "required": ["path"],
                        "additionalProperties": False,
                        "properties": {
                            "path": {"type": "string", "pattern": "^/"},
                            "foldersFromFilesStructure": {"type": "boolean"},
                        },
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize("folder, schema", [("datasources", DATA_SOURCES), ("dashboards", PROVIDERS)])
def test_provisioning_files_have_grafanas_keys(folder: str, schema: dict) -> None:
    files = sorted((GRAFANA / "provisioning" / folder).glob("*.yml"))
    assert files
    for file in files:
        jsonschema.validate(yaml.safe_load(file.read_text()), schema)


def test_data_sources_are_distinct_and_gaugecasts_is_where_prometheus_scrapes_it() -> None:
    sources = data_sources()
    assert len({source["uid"] for source in sources}) == len({source["name"] for source in sources}) == len(sources)
    assert [source["name"] for source in sources if source["isDefault"]] == ["Prometheus"]
    (job,) = (job for job in prometheus_jobs() if job["job_name"] == "gaugecast")
    (target,) = job["static_configs"][0]["targets"]
    assert [source["url"] for source in sources if source["name"] == "gaugecast"] == [f"http://{target}"]


def test_a_data_source_named_by_the_environment_is_the_service_of_compose(compose: dict) -> None:
    environment = compose["services"]["grafana"]["environment"]
    named = {}
    for source in data_sources():
        if variable := re.fullmatch(r"\$\{(\w+)\}", source["url"]):
            named[source["type"]] = environment[variable[1]]
    assert set(named) == {"prometheus", "alertmanager"}
    for service, url in named.items():
        assert f"--web.listen-address={url.removeprefix('http://')}" in compose["services"][service]["command"]
    # Prometheus and Grafana tell the Alertmanager that is looked at, and Grafana tells it once.
    address = named["alertmanager"].replace("127.0.0.1", "localhost")
    (told,) = yaml.safe_load((ROOT / "prometheus.yml").read_text())["alerting"]["alertmanagers"]
    assert told["static_configs"] == [{"targets": [address.removeprefix("http://")]}]
    (point,) = yaml.safe_load((GRAFANA / "provisioning/alerting/contact-points.yml").read_text())["contactPoints"]
    assert [receiver["settings"]["url"] for receiver in point["receivers"]] == [address]
    (alertmanager,) = (source for source in data_sources() if source["type"] == "alertmanager")
    assert alertmanager["jsonData"] == {"implementation": "prometheus", "handleGrafanaManagedAlerts": False}


def data_sources() -> list[dict]:
    files = sorted((GRAFANA / "provisioning/datasources").glob("*.yml"))
    return [source for file in files for source in yaml.safe_load(file.read_text())["datasources"]]


def prometheus_jobs() -> list[dict]:
    return yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]


# The image and Compose


def test_the_image_and_the_crate_have_all_that_the_program_is_built_from() -> None:
    """By the list that cargo leaves beside the binary; the texts that are compiled in are in it."""
    listed = BINARY.with_suffix(".d")
    if not listed.exists() or not BINARY.is_relative_to(ROOT):
        pytest.skip(f"{BINARY} was not built from this checkout")
    paths = listed.read_text().split(":", 1)[1].split()
    files = {str(Path(path).relative_to(ROOT)) for path in paths if Path(path).is_relative_to(ROOT)}
    files -= {file for file in files if file.startswith(("target/", ".git/"))}
    assert {"src/main.rs", "prometheus.yml"} <= files
    crate = set(run("cargo", "package", "--list", "--allow-dirty", "--offline", cwd=ROOT).splitlines())
    assert files <= crate, "include in Cargo.toml"
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for places in (let_in, " ".join(copied).split()):
        assert {
            file for file in files if not any(file == place or file.startswith(place + "/") for place in places)
        } == set()


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_the_dockerfile_has_no_lint() -> None:
    assert run(beside_python("hadolint"), ROOT / "Dockerfile") == ""


def test_the_compose_file_has_the_schema_of_compose() -> None:
    run(beside_python("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml")


def test_debians_docker_compose_reads_it() -> None:
    run(tool("docker-compose"), "--file", ROOT / "docker-compose.yml", "config", "--quiet")


def test_every_service_is_pinned_watched_and_confined(compose: dict) -> None:
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), f"{name}: an exact version"
        assert service["healthcheck"]["test"], name
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        # Unquoted, 65534:65534 is a number to base 60.
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name


def test_no_password_is_written_down(compose: dict) -> None:
    for name, service in compose["services"].items():
        for key in service.get("environment", {}):
            assert "PASSWORD" not in key or key.endswith("_FILE"), f"{name}: {key}"


def test_what_compose_mounts_from_here_exists_and_is_where_the_programs_look(compose: dict) -> None:
    mounts = {}
    for service in compose["services"].values():
        for source, target, *_ in (volume.split(":") for volume in service["volumes"]):
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
                mounts[target] = source
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/gaugecast.yml").read_text())["providers"]
    assert mounts[provider["options"]["path"]] == "./grafana/dashboards"
    home = Path(compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / mounts[str(home.parent)] / home.name).exists()


def test_grafanas_schema_is_of_the_version_that_compose_runs(compose: dict) -> None:
    package = json.loads((ROOT / "tests/grafana/package.json").read_text())
    assert compose["services"]["grafana"]["image"].endswith(":" + package["devDependencies"]["@grafana/schema"])

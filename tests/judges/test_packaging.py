"""What gaugecast is handed out as: units of systemd, a Debian package, a Helm chart, a place behind nginx.

Each is judged by the program that will read it: systemd-analyze, helm and the schemas of Kubernetes, promtool, nginx.
"""

import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import urllib3
import yaml
from conftest import BINARY, DEADLINE, ROOT, Gaugecast, Program, free_port, start_gaugecast, tool
from test_sse import EventSource
from test_websocket import PROTOCOL
from websockets.sync.client import connect

PACKAGING = ROOT / "packaging"
UNITS = PACKAGING / "systemd"
CHART = PACKAGING / "helm/gaugecast"


# systemd


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    binary = tmp_path / "gaugecast"
    binary.symlink_to(BINARY)
    for unit in UNITS.glob("gaugecast.[!dy]*"):
        text = unit.read_text().replace("/usr/bin/gaugecast", str(binary))
        (tmp_path / unit.name).write_text(text)
    units = [tmp_path / "gaugecast.service", tmp_path / "gaugecast.socket"]
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "gaugecast" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_service_starts_with_its_own_command_and_configuration(tmp_path: Path) -> None:
    (command,) = re.findall(r"^ExecStart=(.*)$", (UNITS / "gaugecast.service").read_text(), re.MULTILINE)
    _, *flags = command.replace("/etc/gaugecast", str(UNITS)).replace("%S", str(tmp_path)).split()
    (tmp_path / "gaugecast").mkdir()
    with contextlib.closing(Running(start_gaugecast(*flags[1:]))) as running:
        assert running.gaugecast.get("/-/ready").status == 200


def test_sockets_that_systemd_hands_over_are_served(tmp_path: Path) -> None:
    # As sd_listen_fds(3) has it: descriptors from 3 on, LISTEN_FDS how many, LISTEN_PID whose.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        start = f"import os; os.dup2({listening.fileno()}, 3); "
        start += "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
        start += f"os.execv({str(BINARY)!r}, ['gaugecast', '--web.systemd-socket'])"
        program = Program([sys.executable, "-c", start], pass_fds=[listening.fileno()])
        try:
            page = program.wait_for(r"^\s+page\s+(\S+)$", "stdout")[1]
            assert page == f"http://127.0.0.1:{port}/"
            assert urllib3.request("GET", f"{page}-/ready", timeout=DEADLINE).status == 200
        finally:
            program.stop()


def test_without_a_socket_handed_over_it_says_what_to_do() -> None:
    done = subprocess.run(
        [BINARY, "--web.systemd-socket"], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 1
    assert "no socket was handed over" in done.stderr and ".socket unit" in done.stderr


class Running:
    def __init__(self, gaugecast: Gaugecast) -> None:
        self.gaugecast = gaugecast

    def close(self) -> None:
        self.gaugecast.program.stop()


# Debian


def test_the_debian_package_is_made_of_files_that_are_there() -> None:
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["metadata"]["deb"]
    for source, target, mode in package["assets"]:
        assert re.fullmatch(r"0?[67][0-7]{2}", mode), source
        assert source.startswith("target/") or any(ROOT.glob(source)), source
        assert not target.startswith("/"), target
    targets = [
        target + Path(source).name if target.endswith("/") else target for source, target, _ in package["assets"]
    ]
    configuration = {"/" + target for target in targets if target.startswith("etc/")}
    assert configuration == set(package["conf-files"]), "what an administrator changes is kept"
    for unit in package["systemd-units"]:
        assert (ROOT / unit["unit-scripts"]).is_dir()


# Helm


def helm(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [Path(sys.executable).with_name("helm"), *arguments], capture_output=True, text=True, check=False
    )


def rendered(*settings: str) -> list[dict]:
    done = helm("template", "one", CHART, "--namespace", "monitoring", "--set", ",".join(settings))
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


ALL = (
    "networkPolicy.enabled=true",
    "storage.enabled=true",
    "dashboards.enabled=true",
    "serviceMonitor.enabled=true",
    "podMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "tokenSecret=gaugecast-tokens",
    "allowedHosts={metrics.example.org}",
    "config.global.evaluation_interval=10s",
)
VARIANTS = [
    ("mode=daemonset",),
    ("mode=deployment",),
    ("mode=daemonset", *ALL),
    ("mode=deployment", *ALL),
    ("mode=daemonset", "host.network=false", "host.pid=false", "host.root=false", "serviceAccount.create=false"),
]


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    done = helm("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda settings: " ".join(settings)[:60])
def test_what_the_chart_gives_has_the_schemas_of_kubernetes(settings: tuple[str, ...]) -> None:
    kinds = set()
    for found in rendered(*settings):
        kinds.add(found["kind"])
        # Of Prometheus Operator's kinds no schema can be had here; the test below looks at what matters in them.
        if not found["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(found, "1.29", strict=True)
    assert kinds >= {"ConfigMap", "Service", "DaemonSet" if settings[0] == "mode=daemonset" else "Deployment"}


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda settings: " ".join(settings)[:60])
def test_the_pod_has_no_rights_and_its_command_line_is_one_that_gaugecast_takes(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    found = rendered(*settings)
    (workload,) = [one for one in found if one["kind"] in ("DaemonSet", "Deployment")]
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    confined = container["securityContext"]
    assert confined["readOnlyRootFilesystem"] and not confined["allowPrivilegeEscalation"]
    assert confined["capabilities"] == {"drop": ["ALL"]}
    (configuration,) = [one for one in found if one["kind"] == "ConfigMap" and "gaugecast.yml" in one["data"]]
    file = tmp_path / "gaugecast.yml"
    file.write_text(configuration["data"]["gaugecast.yml"])
    create = [BINARY, "token", "create", "prometheus", "--scope=read", f"--web.token-file={tmp_path}/tokens"]
    subprocess.run(create, check=True, capture_output=True)
    folders = {"/etc/gaugecast-tokens": tmp_path, "/etc/gaugecast": tmp_path, "/var/lib/gaugecast": tmp_path}
    flags = [flag.replace("$(POD_IP)", "127.0.0.1") for flag in container["args"]]
    for path, here in folders.items():
        flags = [flag.replace(path, str(here)) for flag in flags]
    # The address is given by the test.
    flags = [flag for flag in flags[1:] if not flag.startswith(("--web.listen-address", "--path.rootfs"))]
    with contextlib.closing(Running(start_gaugecast(*flags))) as running:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert running.gaugecast.get(container[probe]["httpGet"]["path"]).status == 200


def test_the_chart_gives_prometheus_the_rules_and_grafana_the_dashboards_of_this_repository(tmp_path: Path) -> None:
    found = rendered("mode=daemonset", *ALL)
    (rules,) = [one for one in found if one["kind"] == "PrometheusRule"]
    ours = [yaml.safe_load(file.read_text())["groups"] for file in sorted((ROOT / "rules").glob("*.rules.yml"))]
    assert rules["spec"]["groups"] == [group for groups in ours for group in groups]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules["spec"]))
    assert subprocess.run([tool("promtool"), "check", "rules", tmp_path / "rules.yml"], check=False).returncode == 0
    boards = {
        name: json.loads(text)
        for one in found
        if one["kind"] == "ConfigMap" and one["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in one["data"].items()
    }
    files = (ROOT / "grafana/dashboards").glob("*.json")
    assert boards == {file.name: json.loads(file.read_text()) for file in files}
    for kind, key in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        (monitor,) = [one for one in found if one["kind"] == kind]
        (service,) = [one for one in found if one["kind"] == "Service"]
        labels = service["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
        (endpoint,) = monitor["spec"][key]
        assert endpoint["path"] == "/metrics" and endpoint["port"] == service["spec"]["ports"][0]["name"]


@pytest.mark.parametrize(
    "wrong", ["mode=somewhere", "port=70000", "tokenSecrets=x", "serviceMonitor.interval=often", "storage.size=1"]
)
def test_the_chart_refuses_values_that_mean_nothing(wrong: str) -> None:
    done = helm("template", "one", CHART, "--set", wrong)
    assert done.returncode != 0
    assert wrong.split("=")[0].split(".")[-1] in done.stderr


# nginx


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gaugecast, str, Path]]:
    """gaugecast, the address of nginx in front of it by the documented snippet, and the certificate."""
    folder = tmp_path_factory.mktemp("nginx")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    port = free_port()
    gaugecast = start_gaugecast(f"--web.external-url=https://localhost:{port}", "--collect.tick=250ms")
    snippet = (PACKAGING / "nginx/gaugecast.conf").read_text()
    changes = {
        "127.0.0.1:7171": f"127.0.0.1:{gaugecast.port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "metrics.example.org;": "localhost;",
        "/etc/ssl/metrics.example.org.crt": str(certificate),
        "/etc/ssl/metrics.example.org.key": str(key),
    }
    for old, new in changes.items():
        assert old in snippet, old
        snippet = snippet.replace(old, new)
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    head = f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr warn;\nevents {{}}\n"
    file.write_text(f"{head}http {{\naccess_log off;\n{paths}{snippet}}}\n")
    program = Program([tool("nginx"), "-c", str(file), "-p", str(folder), "-e", "stderr"])
    try:
        # It accepts when it listens: there is no line that says so.
        while program.process.poll() is None:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), DEADLINE):
                break
        assert program.process.poll() is None, program.output
        yield gaugecast, f"https://localhost:{port}", certificate
    finally:
        program.stop()
        gaugecast.program.stop()


def test_the_page_and_the_metrics_come_through_nginx_by_tls(nginx: tuple[Gaugecast, str, Path]) -> None:
    _, origin, certificate = nginx
    http = urllib3.PoolManager(ca_certs=str(certificate), timeout=DEADLINE, retries=False)
    assert b"<title>gaugecast" in http.request("GET", origin + "/").data
    assert b"node_load1 " in http.request("GET", origin + "/metrics").data


def test_a_websocket_goes_through_nginx_as_the_page_opens_it(nginx: tuple[Gaugecast, str, Path]) -> None:
    _, origin, certificate = nginx
    trust = ssl.create_default_context(cafile=str(certificate))
    address = origin.replace("https", "wss") + "/api/v1/stream/ws"
    with connect(address, ssl=trust, subprotocols=[PROTOCOL], origin=origin) as client:
        assert json.loads(client.recv(DEADLINE))["type"] == "welcome"
        client.send(json.dumps({"type": "subscribe", "sub": "a", "match": ["node_load1", "node_time_seconds"]}))
        kinds: list[str] = []
        while kinds.count("delta") < 2:
            kinds.append(json.loads(client.recv(DEADLINE))["type"])
        assert kinds[0] == "subscribed" and "snapshot" in kinds


def test_server_sent_events_go_through_nginx_one_by_one(nginx: tuple[Gaugecast, str, Path]) -> None:
    _, origin, certificate = nginx
    source = EventSource(origin, "node_time_seconds", interval="250ms")
    source.http = urllib3.PoolManager(ca_certs=str(certificate), timeout=DEADLINE, retries=False)
    kinds: list[str] = []
    with contextlib.closing(source.connect()) as response:
        for event in (event for event in source.events(response) if event.data):
            kinds.append(event.message["type"])
            # Held back by a buffer they would not come before the buffer is full.
            if kinds.count("delta") == 2:
                break
    assert "snapshot" in kinds


def test_the_documented_snippet_is_the_one_that_is_tested() -> None:
    snippet = (PACKAGING / "nginx/gaugecast.conf").read_text()
    documented = (ROOT / "docs/operations.md").read_text()
    server = snippet[snippet.index("upstream") :]
    indented = "".join(f"    {line}\n" if line else "\n" for line in server.splitlines())
    assert indented in documented

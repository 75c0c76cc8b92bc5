"""Delivery judged by other people's servers: HTTP servers that refuse, hang, send elsewhere and never end; a real SMTP
server; a real Alertmanager beside a real Prometheus with the same rule."""

import contextlib
import hashlib
import hmac
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import urllib3
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from conftest import DEADLINE, ROOT, Hook, Program, eventually, free_port, status, tool

DELIVER = Path(os.environ.get("GAUGECAST_DELIVER", ROOT / "target/debug/examples/deliver"))


def alert(fingerprint: str = "00ff", status: str = "firing", **labels: str) -> dict:
    now = int(time.time() * 1000)
    return {
        "fingerprint": fingerprint,
        "transition": 1 if status == "firing" else 2,
        "origin": "rule",
        "labels": {"alertname": "HighLoad", "severity": "critical", "instance": "web-1", **labels},
        "annotations": {"summary": "load is <high> & rising"},
        "severity": "critical",
        "status": status,
        "value": 2.5,
        "starts_at_ms": now - 5000,
        "ends_at_ms": None if status == "firing" else now,
        "generator": "/#query?expr=node_load1",
    }


def notification(receiver: str, number: int = 1, group: str = "g", *alerts: dict) -> dict:
    return {
        "id": number,
        "receiver": receiver,
        "cause": "firing",
        "at_ms": int(time.time() * 1000),
        "group_key": group,
        "group_labels": {"alertname": "HighLoad"},
        "alerts": list(alerts) or [alert()],
        "suppressed": 0,
    }


class Deliver:
    """The program `deliver` with these receivers."""

    def __init__(self, folder: Path, config: str, *flags: str) -> None:
        if not DELIVER.exists():
            pytest.fail(f"{DELIVER} is not there: cargo build --example deliver")
        self.file = folder / "gaugecast.yml"
        self.file.write_text(config)
        self.said: queue.Queue[dict] = queue.Queue()
        self.log: list[str] = []
        argv = [str(DELIVER), f"--config.file={self.file}", "--web.external-url=http://gauge.example", *flags]
        self.program = Program(argv, endless_stdin=True, heard=self._heard)
        self.until("ready")

    def _heard(self, stream: str, line: str) -> None:
        if stream == "stderr":
            self.log.append(line.rstrip("\n"))
        else:
            self.said.put(json.loads(line) if line.startswith("{") else {"fault": line})

    def do(self, **command: object) -> None:
        self.program.process.stdin.write(json.dumps(command) + "\n")
        self.program.process.stdin.flush()

    def until(self, key: str, wanted: Callable[[object], object] = lambda value: True):
        """The next answer under `key` that is wanted; others before it are passed over."""
        deadline = time.monotonic() + DEADLINE
        passed = []
        while True:
            try:
                said = self.said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"never said {key}; said {passed}, log {self.log}") from None
            if key in said and wanted(said[key]):
                return said[key]
            passed.append(said)

    def result(self, **wanted: object) -> dict:
        return self.until("result", lambda result: all(result[key] == value for key, value in wanted.items()))

    def metric(self, series: str) -> float | None:
        self.do(metrics=None)
        found = [line for line in self.until("metrics").splitlines() if line.startswith(series)]
        return float(found[0].rsplit(" ", 1)[1]) if found else None

    def reload(self, config: str) -> None:
        self.file.write_text(config)
        self.do(reload=None)
        self.until("reloaded")

    def stop(self) -> None:
        self.program.process.stdin.close()
        self.until("stopped")
        assert self.program.wait() == 0

    def kill(self) -> None:
        self.program.signal(signal.SIGKILL)
        self.program.wait()


@pytest.fixture
def deliver(tmp_path: Path) -> Iterator[Callable[..., Deliver]]:
    with contextlib.ExitStack() as running:

        def begin(config: str, *flags: str) -> Deliver:
            deliver = Deliver(tmp_path, config, *flags)
            running.callback(deliver.program.stop)
            return deliver

        yield begin


def webhook(name: str, hook: Hook, more: str = "") -> str:
    return f"- name: {name}\n  webhook_configs:\n  - {{url: '{hook.url}/hook'{more}}}\n"


def test_a_webhook_is_alertmanagers_and_its_signature_verifies(deliver, hook) -> None:
    server = hook()
    program = deliver("receivers:\n" + webhook("team", server, ", secret: hunter2"))
    program.do(send=notification("team", 7, '{}:{alertname="HighLoad"}'))
    path, headers, body = server.next()
    assert path == "/hook" and headers["Idempotency-Key"] == "00ff:1"
    payload = json.loads(body)
    assert payload["version"] == "4" and payload["receiver"] == "team" and payload["status"] == "firing"
    assert payload["externalURL"] == "http://gauge.example" and payload["truncatedAlerts"] == 0
    assert payload["alerts"][0]["generatorURL"] == "http://gauge.example/#query?expr=node_load1"
    # As docs/alerting.md shows it.
    signed = headers["X-Gaugecast-Timestamp"].encode() + b"." + body
    wanted = "sha256=" + hmac.new(b"hunter2", signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(wanted, headers["X-Gaugecast-Signature"])
    assert abs(int(headers["X-Gaugecast-Timestamp"]) - time.time()) < 60
    assert program.result(notification=7)["outcome"] == "delivered"
    program.stop()


def test_what_a_server_says_of_itself_is_tried_again_in_order_and_retry_after_is_kept(deliver, hook) -> None:
    server = hook(status(500), status(429, Retry_After="2"), status(200))
    program = deliver("receivers:\n" + webhook("team", server))
    program.do(send=notification("team", 1))
    program.do(send=notification("team", 2, "g", alert(status="resolved")))
    assert program.result(outcome="retrying")["reason"] == "server_error"
    busy = program.result(outcome="retrying")
    assert busy["reason"] == "rate_limited"
    assert program.result(outcome="delivered")["notification"] == 1
    assert server.times[2] - server.times[1] > 1.9
    assert program.result(outcome="delivered")["notification"] == 2
    told = [json.loads(server.next()[2])["status"] for _ in range(4)]
    assert told == ["firing", "firing", "firing", "resolved"]
    series = 'gaugecast_notifications_total{integration="webhook",receiver="team"}'
    assert program.metric(series) == 2
    program.stop()


def test_what_a_server_says_of_the_request_is_final_and_can_be_sent_again_by_hand(deliver, hook) -> None:
    elsewhere = hook()
    server = hook(status(404, b"no such hook"), status(302, Location=elsewhere.url), status(410), status(200))
    program = deliver("receivers:\n" + webhook("team", server))
    for number in (1, 2, 3):
        program.do(send=notification("team", number))
    reasons = [program.result(outcome="failed")["reason"] for _ in range(3)]
    assert reasons == ["rejected", "redirect", "rejected"] and elsewhere.count == 0
    program.do(dead=None)
    dead = program.until("dead")
    assert [letter["notification"]["id"] for letter in dead] == [1, 2, 3]
    assert "404 Not Found: no such hook" in dead[0]["why"]
    series = 'gaugecast_notifications_failed_total{integration="webhook",reason="rejected",receiver="team"}'
    assert program.metric(series) == 2
    program.do(retry=dead[0]["id"])
    assert program.until("retried") and program.result(outcome="delivered")["notification"] == 1
    program.do(delete=dead[1]["id"])
    assert program.until("deleted")
    program.do(dead=None)
    assert [letter["notification"]["id"] for letter in program.until("dead")] == [3]
    program.stop()


def test_a_server_that_hangs_or_never_ends_is_left_and_delays_no_other(deliver, hook) -> None:
    def hang(_: int, handler: BaseHTTPRequestHandler) -> None:
        slow.released.wait(DEADLINE)

    def endless(_: int, handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            handler.send_response(200)
            handler.end_headers()
            while not flood.released.is_set():
                handler.wfile.write(b"x" * 65536)
                sent.append(65536)

    sent: list[int] = []
    slow, flood, good = hook(hang), hook(endless), hook()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = closed.getsockname()[1]
    config = "receivers:\n" + webhook("slow", slow, ", timeout: 3s") + webhook("flood", flood) + webhook("good", good)
    config += f"- name: gone\n  webhook_configs: [{{url: 'http://127.0.0.1:{refused}/'}}]\n"
    program = deliver(config)
    for receiver in ("slow", "gone", "flood", "good"):
        program.do(send=notification(receiver))
    results = {}
    while len(results) < 4:
        result = program.until("result")
        results.setdefault(result["receiver"], (result["outcome"], result["reason"], len(results)))
    assert results["slow"][:2] == ("retrying", "timeout") and results["slow"][2] == 3
    assert results["gone"][:2] == ("retrying", "refused")
    # The answer is 200; its words are not waited for.
    assert results["flood"][:2] == ("delivered", "") and results["good"][:2] == ("delivered", "")
    eventually(
        lambda: (before := len(sent)) and threading.Event().wait(0.2) is False and len(sent) == before, "it is cut"
    )
    program.program.stop()


def test_a_certificate_that_nobody_vouches_for_is_final(deliver, hook, tmp_path: Path) -> None:
    server = hook()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path)[1:])
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    url = server.url.replace("http://127.0.0.1", "https://localhost")
    ca = tmp_path / "ca.pem"
    program = deliver(
        f"receivers:\n- name: doubted\n  webhook_configs: [{{url: '{url}/'}}]\n- name: trusted\n  webhook_configs:\n"
        f"  - {{url: '{url}/', http_config: {{tls_config: {{ca_file: '{ca}'}}}}}}\n"
    )
    program.do(send=notification("doubted"))
    assert program.result(outcome="failed")["reason"] == "tls"
    program.do(send=notification("trusted"))
    assert program.result(receiver="trusted")["outcome"] == "delivered"
    program.stop()


def test_a_fallback_is_told_and_a_failing_channel_is_reported_until_it_works(deliver, hook) -> None:
    broken, other = hook(status(403), status(200)), hook()
    config = "receivers:\n" + webhook("team", broken).replace("team\n", "team\n  fallback: [other]\n")
    program = deliver(config + webhook("other", other))
    program.do(send=notification("team", 1))
    told = {(one["receiver"], one["outcome"]) for one in (program.until("result"), program.until("result"))}
    assert told == {("team", "failed"), ("other", "delivered")}
    program.do(send=notification("team", 2))
    assert program.result(notification=2)["outcome"] == "delivered"
    program.do(dead=None)
    assert len(program.until("dead")) == 1
    program.stop()


def test_what_fails_is_reported_until_it_works(deliver, hook) -> None:
    server = hook(status(403), status(200))
    program = deliver("receivers:\n" + webhook("team", server))
    program.do(send=notification("team", 1))
    assert program.until("report") == ["team"]
    program.do(send=notification("team", 2))
    assert program.until("report") == []
    # Its log is whole when it has ended.
    program.stop()
    lines = [line for line in program.log if "is refused" in line or "delivered again" in line]
    assert len(lines) == 2, program.log


def test_what_waits_survives_a_kill(deliver, hook, tmp_path: Path) -> None:
    server = hook(status(503), status(503), status(200))
    config = "receivers:\n" + webhook("team", server)
    storage = f"--storage.path={tmp_path}/state"
    program = deliver(config, storage)
    for number in (1, 2):
        program.do(send=notification("team", number))
    assert program.result(outcome="retrying")["notification"] == 1
    saved = tmp_path / "state/receivers.json"

    def waits() -> bool:
        if not saved.exists():
            return False
        lanes = json.loads(saved.read_text())["lanes"]
        return [one["notification"]["id"] for lane in lanes for one in lane["waiting"]] == [1, 2]

    eventually(waits, "both are written down")
    program.kill()
    again = deliver(config, storage)
    assert [again.result(outcome="delivered")["notification"] for _ in range(2)] == [1, 2]
    again.stop()
    assert json.loads(saved.read_text())["lanes"] == []
    saved.write_text('{"version": 1, "lanes": [')
    deliver(config, storage).stop()
    assert len(list(saved.parent.glob("receivers.json.corrupt-*"))) == 1


def test_a_reload_keeps_what_waits_tries_it_by_new_settings_and_buries_what_has_no_channel(deliver, hook) -> None:
    down, fixed, other, fresh = hook(status(503, Retry_After="3000")), hook(), hook(status(503)), hook()
    gone = hook(status(503, Retry_After="3000"))
    stays = webhook("stays", other)
    program = deliver("receivers:\n" + webhook("team", down) + webhook("gone", gone, ", secret: s") + stays)
    for receiver in ("team", "gone", "stays"):
        program.do(send=notification(receiver, 1, receiver))
        assert program.result(receiver=receiver)["outcome"] == "retrying"
    # Another place in the file, another address of a receiver, one less and one more.
    program.reload("receivers:\n" + stays + webhook("fresh", fresh) + webhook("team", fixed))
    ends = [program.until("result", lambda one: one["receiver"] != "stays") for _ in range(2)]
    assert {(one["receiver"], one["outcome"]) for one in ends} == {("team", "delivered"), ("gone", "failed")}
    assert fixed.count == 1 and down.count == 1 and gone.count == 1
    program.do(dead=None)
    dead = program.until("dead")
    assert [(one["receiver"], one["reason"], one["notification"]["id"]) for one in dead] == [("gone", "removed", 1)]
    program.do(send=notification("fresh", 2, "f"))
    assert program.result(receiver="fresh")["outcome"] == "delivered"
    program.do(send=notification("gone", 3, "g"))
    series = "gaugecast_notifications_without_receiver_total"
    assert program.metric(series) == 1
    assert program.metric('gaugecast_notification_queue_length{integration="webhook",receiver="stays"}') == 1
    assert program.metric('gaugecast_notification_queue_length{integration="webhook",receiver="gone"}') is None
    program.stop()


def test_what_a_removed_channel_could_not_tell_its_fallback_tells(deliver, hook) -> None:
    down, other = hook(status(503, Retry_After="3000")), hook()
    team = webhook("team", down).replace("team\n", "team\n  fallback: [other]\n")
    program = deliver("receivers:\n" + team + webhook("other", other))
    program.do(send=notification("team", 1))
    assert program.result(receiver="team")["outcome"] == "retrying"
    program.reload("receivers:\n" + webhook("other", other))
    assert program.result(receiver="other")["outcome"] == "delivered"
    program.stop()


def test_the_route_and_the_receivers_change_together_in_a_reload(start, tmp_path: Path, hook) -> None:
    before, after = hook(), hook()
    config = tmp_path / "gaugecast.yml"

    def route(name: str, server: Hook) -> str:
        return (
            f"route: {{receiver: {name}, group_by: [alertname], group_wait: 0s}}\nreceivers:\n{webhook(name, server)}"
        )

    config.write_text(route("before", before))
    gaugecast = start(f"--config.file={config}", "--rules.built-in=false")

    def happens(name: str) -> None:
        alerts = [{"labels": {"alertname": name}}]
        assert gaugecast.http.request("POST", f"{gaugecast.origin}/api/v2/alerts", json=alerts).status == 200

    happens("First")
    assert json.loads(before.next()[2])["receiver"] == "before"
    config.write_text(route("after", after))
    gaugecast.program.signal(signal.SIGHUP)
    # What still fires is told to whoever is responsible now.
    told = json.loads(after.next()[2])
    assert (told["receiver"], told["commonLabels"]["alertname"]) == ("after", "First")
    happens("Second")
    assert json.loads(after.next()[2])["commonLabels"]["alertname"] == "Second"
    assert before.count == 1


def test_slack_and_pagerduty_get_what_they_ask_for(deliver, hook) -> None:
    server = hook(status(200, b"ok"), status(202), status(202))
    program = deliver(
        f"global: {{slack_api_url: '{server.url}/services/T/B/x', pagerduty_url: '{server.url}/v2/enqueue'}}\n"
        "receivers:\n- name: slack\n  slack_configs: [{channel: '#ops'}]\n"
        "- name: pager\n  pagerduty_configs: [{routing_key: k}]\n"
    )
    program.do(send=notification("slack"))
    path, _, body = server.next()
    attachment = json.loads(body)["attachments"][0]
    assert path == "/services/T/B/x" and attachment["title"] == "[FIRING:1] HighLoad (web-1)"
    assert "load is &lt;high&gt; &amp; rising" in attachment["text"]
    program.do(send=notification("pager"))
    program.do(send=notification("pager", 2, "g", alert(status="resolved")))
    events = [json.loads(server.next()[2]) for _ in range(2)]
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert events[0]["dedup_key"] == events[1]["dedup_key"] and events[0]["payload"]["severity"] == "critical"
    program.stop()


TEMPLATES = [
    "[{{ .Status | toUpper }}:{{ .Alerts.Firing | len }}] {{ .GroupLabels.alertname }} for {{ .CommonLabels.team }}",
    "{{ range .Alerts }}{{ .Annotations.summary | title }} {{ .Labels.instance }} {{ .Status }};{{ end }}",
    "{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }} {{ end }}{{ .CommonLabels.none }}.",
    "{{ .CommonAnnotations.summary }} {{ len .CommonLabels.Names }} {{ .CommonLabels.Values }} {{ .Receiver }}",
    "{{ if gt (len .Alerts.Resolved) 0 }}over{{ else }}{{ with index .Alerts 0 }}{{ .StartsAt.Unix }}"
    " {{ .GeneratorURL }}{{ end }}{{ end }}",
    '{{ define "line" }}<{{ .GeneratorURL }}|{{ .Labels.instance }}>{{ end }}{{ range .Alerts.Firing }}'
    '{{ template "line" . }}{{ end }}',
    '{{- range $i, $alert := .Alerts -}} {{ $i }} {{ match "^web" $alert.Labels.instance }} '
    '{{ reReplaceAll "-.*" "" $alert.Labels.instance }} {{- end }}',
]


def test_templates_of_messages_say_what_alertmanager_says(deliver, hook, tmp_path: Path) -> None:
    theirs, ours, port = hook(), hook(), free_port()

    def receivers(url: str) -> str:
        configs = [{"api_url": url, "title": text, "text": text, "channel": "#ops"} for text in TEMPLATES]
        return json.dumps([{"name": "team", "slack_configs": configs}])

    config = tmp_path / "alertmanager.yml"
    config.write_text(
        "route: {receiver: team, group_by: [alertname], group_wait: 0s}\n" + f"receivers: {receivers(theirs.url)}\n"
    )
    flags = [f"--config.file={config}", f"--storage.path={tmp_path}/am", "--cluster.listen-address="]
    flags += [f"--web.listen-address=127.0.0.1:{port}", "--web.external-url=http://gauge.example"]
    judge = Program([tool("prometheus-alertmanager"), *flags])
    url = f"http://127.0.0.1:{port}"
    one = alert(instance="web-1", team="a")
    starts = one["starts_at_ms"] = one["starts_at_ms"] // 1000 * 1000
    one["annotations"] = {"summary": "the load is high"}
    try:
        eventually(lambda: ready(url), "Alertmanager is ready")
        posted = {
            "labels": one["labels"],
            "annotations": one["annotations"],
            "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(starts // 1000)),
            "generatorURL": "http://gauge.example" + one["generator"],
        }
        assert urllib3.request("POST", f"{url}/api/v2/alerts", json=[posted]).status == 200
        program = deliver(f"receivers: {receivers(ours.url)}\n")
        program.do(send=notification("team", 1, "g", one))

        def said(server: Hook) -> list[tuple[str, str]]:
            attachments = [json.loads(server.next()[2])["attachments"][0] for _ in TEMPLATES]
            return sorted((attachment["title"], attachment["text"]) for attachment in attachments)

        # Alertmanager's data have the text of the template as it is; it cuts the white space around it off.
        assert said(ours) == said(theirs)
        program.stop()
    finally:
        judge.stop()


def test_a_body_of_ones_own_is_json_whatever_a_label_says_and_a_template_that_fails_keeps_nobody_ignorant(
    deliver, hook
) -> None:
    server = hook()
    body = '{"text": "{{ .CommonLabels.instance }} {{ .Status }}"}'
    config = "receivers:\n" + webhook("team", server, f", body: {json.dumps(body)}")
    program = deliver(config + webhook("odd", server, ", body: '{{ .Nothing }}'"))
    program.do(send=notification("team", 1, "g", alert(instance='a"b\\')))
    assert json.loads(server.next()[2]) == {"text": 'a"b\\ firing'}
    program.do(send=notification("odd", 2))
    assert json.loads(server.next()[2])["version"] == "4"
    eventually(
        lambda: any("a template of a message fails" in line for line in program.log), "the fault of the template"
    )
    program.stop()


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of its for localhost with its key."""
    ca, ca_key, cert, key, request = (folder / name for name in ("ca.pem", "ca.key", "cert.pem", "key.pem", "request"))
    extension = folder / "extension"
    extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    sign = ["openssl", "x509", "-req", "-CAcreateserial", "-days", "2"]
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", ca_key, "-out", ca],
        [*new, "-subj", "/CN=localhost", "-keyout", key, "-out", request],
        [*sign, "-in", request, "-CA", ca, "-CAkey", ca_key, "-extfile", extension, "-out", cert],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return ca, cert, key


class Mails:
    """Keeps what comes, after refusing the first `busy` of them for now."""

    def __init__(self, busy: int = 0) -> None:
        self.queue: queue.Queue = queue.Queue()
        self.busy = busy

    async def handle_DATA(self, _server, session, envelope) -> str:
        if self.busy:
            self.busy -= 1
            return "451 4.3.0 come back later"
        self.queue.put((session, envelope))
        return "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@contextlib.contextmanager
def mail_server(handler: Mails, **options) -> Iterator[int]:
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def test_mail_goes_encrypted_and_authenticated_in_two_parts(deliver, tmp_path: Path) -> None:
    ca, *pair = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)

    def known(_server, _session, _envelope, _mechanism, data) -> AuthResult:
        right = (data.login, data.password) == (b"gauge", b"hunter2")
        return AuthResult(success=right, handled=False)

    mails = Mails(busy=1)
    options = {"tls_context": context, "require_starttls": True, "authenticator": known, "auth_required": True}
    with mail_server(mails, **options) as port:
        program = deliver(
            f"global: {{smtp_smarthost: 'localhost:{port}', smtp_from: 'gaugecast@example.org', "
            f"smtp_auth_username: gauge, smtp_auth_password: hunter2}}\nreceivers:\n- name: team\n  email_configs:\n"
            f"  - {{to: 'ops@example.org, B <b@example.org>', tls_config: {{ca_file: '{ca}'}}}}\n"
            f"- name: wrong\n  email_configs:\n"
            f"  - {{to: 'ops@example.org', auth_password: no, tls_config: {{ca_file: '{ca}'}}}}\n"
            f"- name: doubted\n  email_configs: [{{to: 'ops@example.org'}}]\n"
            f"- name: nobody\n  email_configs: [{{to: 'nobody@example.org', tls_config: {{ca_file: '{ca}'}}}}]\n"
        )
        program.do(send=notification("team"))
        assert program.result(receiver="team")["reason"] == "server_error"
        assert program.result(receiver="team")["outcome"] == "delivered"
        session, envelope = mails.queue.get(timeout=DEADLINE)
        assert session.ssl and envelope.rcpt_tos == ["ops@example.org", "b@example.org"]
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert mail["Subject"] == "[FIRING:1] HighLoad (web-1)" and mail["Auto-Submitted"] == "auto-generated"
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        assert "load is <high> & rising" in parts["text/plain"]
        assert "load is &lt;high&gt; &amp; rising" in parts["text/html"]
        assert mail["References"] == mail["In-Reply-To"] != mail["Message-ID"]
        for receiver, reason in (("wrong", "rejected"), ("doubted", "tls"), ("nobody", "rejected")):
            program.do(send=notification(receiver))
            result = program.until("result", lambda result, name=receiver: result["receiver"] == name)
            assert (result["outcome"], result["reason"]) == ("failed", reason), result
        program.stop()


def test_mail_without_encryption_is_sent_only_where_that_is_said(deliver) -> None:
    mails = Mails()
    with mail_server(mails) as port:
        program = deliver(
            f"global: {{smtp_smarthost: '127.0.0.1:{port}', smtp_from: 'gaugecast@example.org'}}\nreceivers:\n"
            "- name: strict\n  email_configs: [{to: 'ops@example.org'}]\n"
            "- name: plain\n  email_configs: [{to: 'ops@example.org', require_tls: false}]\n"
        )
        program.do(send=notification("strict"))
        assert program.result(receiver="strict")["outcome"] == "failed" and mails.queue.empty()
        program.do(send=notification("plain"))
        assert program.result(receiver="plain")["outcome"] == "delivered"
        assert mails.queue.get(timeout=DEADLINE)[1].rcpt_tos == ["ops@example.org"]
        program.stop()


@contextlib.contextmanager
def alertmanager(folder: Path, hook: Hook, port: int) -> Iterator[str]:
    """An Alertmanager that tells a webhook."""
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers:\n- name: hook\n  webhook_configs: [{{url: '{hook.url}/'}}]\n"
    )
    flags = [f"--config.file={config}", f"--storage.path={folder}/alertmanager", "--cluster.listen-address="]
    program = Program([tool("prometheus-alertmanager"), *flags, f"--web.listen-address=127.0.0.1:{port}"])
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: ready(url), "Alertmanager is ready")
        yield url
    finally:
        program.stop()


def ready(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/-/ready", retries=False, timeout=DEADLINE).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def alerts(url: str) -> list[dict]:
    return json.loads(urllib3.request("GET", f"{url}/api/v2/alerts", retries=False, timeout=DEADLINE).data)


def stands(**more: object) -> dict:
    now = int(time.time() * 1000)
    labels = {"alertname": "Always", "severity": "critical", "team": "a"}
    alert = {"labels": labels, "starts_at_ms": now - 1000, "generator": "/#query?expr=vector(1)"}
    return {**alert, "annotations": {"summary": "always"}, **more}


def test_an_alertmanager_joins_our_alert_with_prometheus_own_and_ends_it(deliver, hook, tmp_path: Path) -> None:
    server = hook()
    port = free_port()
    with alertmanager(tmp_path, server, port) as url:
        rules = tmp_path / "rules.yml"
        rules.write_text(
            "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Always\n    expr: vector(1)\n"
            "    labels: {severity: critical, team: a}\n    annotations: {summary: always}\n"
        )
        config = tmp_path / "prometheus.yml"
        config.write_text(
            f"global: {{external_labels: {{region: eu}}}}\nrule_files: ['{rules}']\nalerting:\n  alertmanagers:\n"
            f"  - static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        )
        ours = deliver(config.read_text().replace(f"rule_files: ['{rules}']\n", ""))
        ours.do(standing=[stands()])
        [first] = eventually(lambda: alerts(url), "Alertmanager has our alert")
        assert first["labels"] == {"alertname": "Always", "severity": "critical", "team": "a", "region": "eu"}
        assert first["generatorURL"] == "http://gauge.example/#query?expr=vector(1)"
        argv = [tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data"]
        # What it tells before it has found the Alertmanager is lost, and told again after this.
        argv.append("--rules.alert.resend-delay=1s")
        prometheus = Program([*argv, f"--web.listen-address=127.0.0.1:{free_port()}"])
        try:
            eventually(lambda: "gauge.example" not in alerts(url)[0]["generatorURL"], "Prometheus tells it too")
            [both] = alerts(url)
            assert both["fingerprint"] == first["fingerprint"]
        finally:
            prometheus.stop()
        ours.do(standing=[stands(ends_at_ms=int(time.time() * 1000))])
        eventually(lambda: not alerts(url), "it is over")
        told = []
        while not told or told[-1]["status"] == "firing":
            told.append(json.loads(server.next()[2]))
        assert {len(one["alerts"]) for one in told} == {1}
        assert ours.metric(f'gaugecast_alertmanager_up{{alertmanager="{url}/api/v2/alerts"}}') == 1
        ours.stop()


def test_an_alertmanager_that_was_away_is_told_what_stands_and_what_has_ended(deliver, hook, tmp_path: Path) -> None:
    server, port = hook(), free_port()
    other = {"labels": {"alertname": "Other"}}
    ours = deliver(f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]}}\n")
    ours.do(standing=[stands(), stands(**other)])
    assert ours.until("report") == [f"http://127.0.0.1:{port}/api/v2/alerts"]
    with alertmanager(tmp_path, server, port) as url:
        eventually(lambda: len(alerts(url)) == 2, "both came with its start")
        assert ours.until("report") == []
        told: set[str] = set()
        while told != {"Always", "Other"}:
            told |= {one["labels"]["alertname"] for one in json.loads(server.next()[2])["alerts"]}
    # While it is away one ends. Its storage has both, as they were.
    ended = int(time.time() * 1000)
    ours.do(standing=[stands(), stands(**other, ends_at_ms=ended)])
    assert ours.until("report")
    with alertmanager(tmp_path, server, port) as url:
        eventually(lambda: [one["labels"]["alertname"] for one in alerts(url)] == ["Always"], "only one stands")
        eventually(
            lambda: any(
                one["status"] == "resolved" and one["labels"]["alertname"] == "Other"
                for one in json.loads(server.next()[2])["alerts"]
            ),
            "its end is told",
        )
    ours.program.stop()


def test_an_alert_that_an_alertmanager_refuses_keeps_no_other_back(deliver, hook, tmp_path: Path) -> None:
    server, port = hook(), free_port()
    with alertmanager(tmp_path, server, port) as url:
        ours = deliver(
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]}}\n",
        )
        many = [stands(labels={"alertname": f"A{n}", "severity": "info"}) for n in range(600)]
        # It ends before it begins, which no Alertmanager takes.
        now = int(time.time() * 1000)
        bad = stands(labels={"alertname": "Bad"}, starts_at_ms=now + 60_000, ends_at_ms=now)
        ours.do(standing=[*many[:300], bad, *many[300:]])
        eventually(lambda: len(alerts(url)) == 600, "all others are there")
        refused = f'gaugecast_alertmanager_alerts_refused_total{{alertmanager="{url}/api/v2/alerts"}}'
        eventually(lambda: ours.metric(refused) == 1, "one is refused")
        lines = eventually(lambda: [line for line in ours.log if "refuses an alert" in line], "it is told")
        assert len(lines) == 1 and "Bad" in lines[0]
        ours.stop()


def test_alertmanagers_are_found_in_files(deliver, hook, tmp_path: Path) -> None:
    first, second = hook(), hook()
    listed = tmp_path / "alertmanagers.json"

    def name(*hooks: Hook) -> None:
        new = tmp_path / "new"
        new.write_text(json.dumps([{"targets": [hook.url.removeprefix("http://") for hook in hooks]}]))
        new.rename(listed)

    name(first)
    ours = deliver(
        f"alerting: {{alertmanagers: [{{path_prefix: /am, file_sd_configs: [{{files: ['{listed}'], "
        "refresh_interval: 1s}]}]}\n"
    )
    ours.do(standing=[stands()])
    path, _, body = first.next()
    assert path == "/am/api/v2/alerts" and json.loads(body)[0]["labels"]["alertname"] == "Always"
    name(first, second)
    assert second.next()[0] == "/am/api/v2/alerts"
    ours.stop()

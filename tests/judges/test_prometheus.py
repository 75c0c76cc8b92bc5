"""A real Prometheus scrapes us by our own prometheus.yml and must hold the very values that we served.

Between the two stands a recorder: it hands each scrape on with its headers, keeps what was answered, and when that was
protobuf asks for the text of the same tick beside it, so that every scrape is known as text.
"""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3
from conftest import ROOT, Gaugecast, Program, eventually, free_port, offset_of, tool
from samples import Samples, differences, identity, of_openmetrics, of_text

TEXT = "text/plain;version=0.0.4"


@dataclass
class Scrape:
    content_type: str
    page: bytes | None
    """The scrape as text; none if another tick came between a protobuf scrape and its text."""

    def samples(self) -> Samples:
        assert self.page is not None
        openmetrics = self.content_type.startswith("application/openmetrics-text")
        return (of_openmetrics if openmetrics else of_text)(self.page.decode())


@dataclass
class Recorder:
    gaugecast: Gaugecast
    scrapes: list[Scrape] = field(default_factory=list)

    def scrape(self, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        passed_on = {name: value for name, value in headers.items() if name.lower() in ("accept", "user-agent")}
        answer = self.gaugecast.http.request("GET", self.gaugecast.origin + "/metrics", headers=passed_on)
        content_type, page = answer.headers["Content-Type"], answer.data
        if "protobuf" in content_type:
            text = self.gaugecast.get("/metrics", Accept=TEXT)
            page = text.data if offset_of(text) == offset_of(answer) else None
        self.scrapes.append(Scrape(content_type, page))
        return answer


@contextlib.contextmanager
def recording(gaugecast: Gaugecast) -> Iterator[tuple[Recorder, int]]:
    recorder = Recorder(gaugecast)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = recorder.scrape(dict(self.headers))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def log_message(self, *_) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield recorder, server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Prometheus:
    url: str
    http: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    def query(self, query: str) -> list[dict]:
        answer = json.loads(self.http.request("GET", self.url + "/api/v1/query", fields={"query": query}).data)
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def get(self, path: str) -> dict:
        return json.loads(self.http.request("GET", self.url + path).data)["data"]


@contextlib.contextmanager
def prometheus(folder: Path, target_port: int, *flags: str) -> Iterator[Prometheus]:
    """Prometheus with our prometheus.yml, but for the target's port and the intervals."""
    ours = (ROOT / "prometheus.yml").read_text()
    assert "localhost:7171" in ours
    theirs = ours.replace("localhost:7171", f"127.0.0.1:{target_port}").replace("rules/", f"{ROOT}/rules/")
    theirs = theirs.replace("_interval: 5s", "_interval: 1s")
    config = folder / "prometheus.yml"
    config.write_text(theirs)
    port = free_port()
    program = Program(
        [
            tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            *flags,
        ]
    )
    try:
        program.wait_for("Server is ready to receive web requests")
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        program.stop()


def stored_series(metric: dict[str, str]) -> tuple:
    """A series as we named it: without what Prometheus adds."""
    labels = {name: value for name, value in metric.items() if name not in ("__name__", "job", "instance")}
    return identity(metric["__name__"], labels)


FORMATS = {
    "text": ([], "text"),
    "protobuf": (["--enable-feature=native-histograms"], "protobuf"),
}


@pytest.mark.parametrize("form", FORMATS)
def test_prometheus_stores_the_values_that_we_served(gaugecast: Gaugecast, tmp_path: Path, form: str) -> None:
    flags, word = FORMATS[form]
    with recording(gaugecast) as (recorder, port), prometheus(tmp_path, port, *flags) as peer:

        def scraped() -> list[list]:
            found = peer.query('up{job="gaugecast"}[5m]')
            ups = found[0]["values"] if found else []
            enough = len(ups) >= 3 and any(scrape.page for scrape in recorder.scrapes[1 : len(ups)])
            return ups if enough else []

        ups = eventually(scraped, "three scrapes by Prometheus")
        assert {value for _, value in ups} == {"1"}, peer.get("/api/v1/targets")["activeTargets"]

        # The last of those scrapes whose text is known; n-th scrape, n-th `up`.
        number = max(n for n in range(len(ups)) if recorder.scrapes[n].page)
        scrape, at = recorder.scrapes[number], ups[number][0]
        assert word in scrape.content_type
        served = scrape.samples()

        stored, native = {}, set()
        for result in peer.query('{job="gaugecast"}[5m]'):
            key = stored_series(result["metric"])
            if "histograms" in result:
                native.add(result["metric"]["__name__"])
            for time, value in result.get("values", []):
                if time == at:
                    stored[key] = float(value)
        (samples,) = peer.query(f'scrape_samples_scraped{{job="gaugecast"}} @ {at}')
        assert float(samples["value"][1]) > 200

        if form == "protobuf":
            # Prometheus keeps a histogram that has a native form in that form alone.
            assert native, "no native histogram in our protobuf exposition"
            parts = {name + suffix for name in native for suffix in ("_bucket", "_sum", "_count")}
            served = {key: value for key, value in served.items() if key[0] not in parts}
        else:
            assert native == set()

        # Our prometheus.yml leaves these to its own rules.
        served = {key: value for key, value in served.items() if key[0] not in ("ALERTS", "ALERTS_FOR_STATE")}
        assert len(served) > 200
        assert differences(served, stored) == {}


def test_native_histograms_count_what_the_classic_ones_count(gaugecast: Gaugecast, tmp_path: Path) -> None:
    with (
        recording(gaugecast) as (recorder, port),
        prometheus(tmp_path, port, "--enable-feature=native-histograms") as peer,
    ):

        def known() -> list[list]:
            found = peer.query('up{job="gaugecast"}[5m]')
            ups = found[0]["values"] if found else []
            return ups if any(scrape.page for scrape in recorder.scrapes[: len(ups)]) else []

        ups = eventually(known, "a scrape by Prometheus whose text is known")
        number = max(n for n in range(len(ups)) if recorder.scrapes[n].page)
        served, at = recorder.scrapes[number].samples(), ups[number][0]
        compared = 0
        for result in peer.query('{job="gaugecast"}[5m]'):
            name, labels = stored_series(result["metric"])
            for time, histogram in result.get("histograms", []):
                if time == at:
                    compared += 1
                    count = served[name + "_count", labels]
                    total = served[name + "_sum", labels]
                    assert (float(histogram["count"]), float(histogram["sum"])) == (count, total), name
        assert compared, "no native histogram in our protobuf exposition"


def test_our_rules_are_loaded_and_healthy(gaugecast: Gaugecast, tmp_path: Path) -> None:
    with prometheus(tmp_path, gaugecast.port) as peer:

        def evaluated() -> list[dict]:
            rules = [rule for group in peer.get("/api/v1/rules")["groups"] for rule in group["rules"]]
            return rules if rules and all(rule["health"] != "unknown" for rule in rules) else []

        rules = eventually(evaluated, "all rules evaluated once")
        assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}

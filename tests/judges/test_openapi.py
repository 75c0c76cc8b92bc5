"""The description of the API judged by other people's validators: as OpenAPI 3.1 and against real answers; a fuzzer."""

import json
import random
import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import jsonschema
import pytest
import urllib3
from conftest import DEADLINE, Gaugecast, eventually, start_gaugecast
from openapi_spec_validator import OpenAPIV31SpecValidator
from test_chat import Client, chatting

# How long the fuzzer may ask.
FUZZING = 20.0


# Something of everything: a rule that fires, receivers that fail for good, targets, remote write, all at once.
CONFIG = """
web: {enable_lifecycle: true}
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs: [{job_name: nobody, static_configs: [{targets: ['127.0.0.1:1']}]}]
route: {receiver: nobody, group_wait: 0s}
receivers: [{name: nobody, webhook_configs: [{url: 'http://127.0.0.1:1/hook'}]}]
"""
RULES = """
groups:
  - name: judged
    interval: 1s
    rules:
      - {alert: Always, expr: vector(1), labels: {severity: critical}, annotations: {summary: it is so}}
      - {record: judged:one, expr: vector(1)}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("described")
    (folder / "gaugecast.yml").write_text(CONFIG)
    (folder / "rules.yml").write_text(RULES)
    gaugecast = start_gaugecast(f"--config.file={folder / 'gaugecast.yml'}")
    gaugecast.alert = eventually(lambda: firing(gaugecast), "the alert fires")
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    for path, wish in {
        "/api/v1/admin/silences": {"matchers": ['a="b"'], "for": "1h", "comment": "judged"},
        f"/api/v1/admin/alerts/{gaugecast.alert}/acknowledge": {},
        "/api/v2/silences": {
            "matchers": [{"name": "a", "value": "b", "isRegex": False, "isEqual": True}],
            "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "endsAt": end,
            "createdBy": "judge",
            "comment": "judged",
        },
    }.items():
        response = gaugecast.http.request("POST", gaugecast.origin + path, json=wish)
        assert response.status == 200, (path, response.data)
    gaugecast.silence = response.json()["silenceID"]
    yield gaugecast
    gaugecast.program.process.terminate()
    gaugecast.program.process.wait()


@pytest.fixture(scope="module")
def runs_of_an_application() -> Iterator[str]:
    """Where the runs of an operation are, one of which failed. Operations are an application's: gaugecast has none."""
    with chatting() as chat:
        client = Client(chat.address)
        client.ok("REGISTER ann secret")
        client.ok("LOGIN ann secret")
        client.ok("CREATE tea")
        client.ok("SEND tea hello")
        client.err("EDIT tea 99 hello", "no_such_message")
        yield f"{chat.live}/api/v1/admin/performance/operations/edit_message"


def firing(server: Gaugecast) -> str | None:
    alerts = json.loads(server.get("/api/v1/admin/performance/alerts?state=firing").data)["data"]["alerts"]
    return next((alert["id"] for alert in alerts if alert["labels"]["alertname"] == "Always"), None)


@pytest.fixture(scope="module")
def described(server: Gaugecast) -> dict:
    return json.loads(server.get("/api/v1/openapi.json").data)


def check(described: dict, schema: dict, answer: object) -> None:
    whole = {**schema, "components": described["components"]}
    jsonschema.Draft202012Validator(whole).validate(answer)


def test_f121_it_is_openapi_3_1(described: dict) -> None:
    OpenAPIV31SpecValidator(described).validate()
    assert len(described["paths"]) > 25


ASKED = {
    "/api/v1/query": {"query": "node_load1"},
    "/api/v1/query_range": {"query": "node_load1", "start": "0", "end": "10", "step": "1"},
    "/api/v1/series": {"match[]": "node_load1"},
    "/api/v1/history": {"match[]": "node_load1"},
    "/api/v1/export": {"match[]": "node_load1", "format": "json"},
    "/api/v1/trend": {"match[]": "node_load1"},
    "/federate": {"match[]": "node_load1"},
}


def test_f121_real_answers_are_what_it_says(server: Gaugecast, described: dict, runs_of_an_application: str) -> None:
    save = "/api/v1/baselines/b?" + urlencode({"match[]": "node_load1", "last": "1m"})
    while server.get(save, "PUT").status not in (200, 201):
        server.get("/metrics")
    seen = 0
    for path, item in described["paths"].items():
        operation = item.get("get")
        if not operation or path.startswith("/api/v1/stream"):
            continue
        concrete = path.replace("{name}", "b" if "baselines" in path else "job").replace("{id}", server.silence)
        if path == "/api/v1/admin/performance/operations/{name}":
            response = urllib3.request("GET", runs_of_an_application, timeout=DEADLINE)
            assert b"no_such_message" in response.data, "the run that failed is told"
        else:
            response = server.get(concrete + "?" + urlencode(ASKED.get(path, {})))
        contents = operation["responses"].get(str(response.status), {}).get("content", {})
        assert response.status == 200, (path, response.data)
        kind = response.headers["Content-Type"].split(";")[0]
        assert kind in contents or "*/*" in contents, (path, kind)
        if kind == "application/json":
            check(described, contents[kind]["schema"], json.loads(response.data))
            seen += 1
    assert seen > 30
    for path in (
        "/api/v1/alerts",
        "/api/v2/alerts",
        "/api/v2/silences",
        "/api/v1/admin/silences",
        "/api/v1/admin/alerts/history",
    ):
        assert b"judged" in server.get(path).data or b"Always" in server.get(path).data, f"{path} was judged empty"


def test_errors_are_what_it_says(server: Gaugecast, described: dict) -> None:
    for path in ["/api/v1/nothing", "/api/v1/query", "/api/v1/baselines/none", "/api/v1/query?query=)"]:
        response = server.get(path)
        assert response.status in (400, 404), path
        check(described, {"$ref": "#/components/schemas/Error"}, json.loads(response.data))


def test_whatever_is_asked_of_it_it_never_fails(server: Gaugecast, described: dict) -> None:
    """Asks every operation with values that its schema allows and with such that it does not, for a bounded time."""
    chance = random.Random(7)
    texts = [
        "",
        "a",
        "\0",
        "é\u202e",
        "{",
        '{__name__=~".*"}',
        "node_load1[5m]",
        "-1",
        "1e309",
        "NaN",
        "9" * 40,
        "up" * 500,
    ]
    operations = [
        (path, method, operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if not path.startswith("/api/v1/stream") and not path.endswith(("/drain", "/reload"))
    ]
    end, asked = time.monotonic() + FUZZING, 0
    while time.monotonic() < end and asked < 5000:
        path, method, operation = chance.choice(operations)
        query = []
        for parameter in operation.get("parameters", []):
            words = parameter["schema"].get("enum", texts)
            value = chance.choice([*words, *texts])
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", quote(value or "x", safe=""))
            elif chance.random() < 0.7:
                query.append((parameter["name"], value))
        body, headers = None, {}
        for kind in operation.get("requestBody", {}).get("content", {}):
            headers["Content-Type"] = kind
            body = chance.choice(
                ["", "{}", "[]", "null", '{"level":1}', "a=b&c", "\xff", "query=" + quote(chance.choice(texts))]
            )
        url = server.origin + path + "?" + urlencode(query)
        response = server.http.request(method.upper(), url, body=body, headers=headers)
        assert response.status != 500, (method, url, body, response.data)
        asked += 1
    assert asked > 100
    assert server.get("/-/ready").status == 200

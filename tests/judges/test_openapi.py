"""The description of the API, judged by other people's validators: as OpenAPI 3.1, against real answers, and by a fuzzer."""

import json
import random
import time
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from conftest import Gaugecast, start_gaugecast
from openapi_spec_validator import OpenAPIV31SpecValidator

# How long the fuzzer may ask.
FUZZING = 20.0


@pytest.fixture(scope="module")
def server():
    gaugecast = start_gaugecast()
    yield gaugecast
    gaugecast.program.process.terminate()
    gaugecast.program.process.wait()


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


def test_f121_real_answers_are_what_it_says(server: Gaugecast, described: dict) -> None:
    save = "/api/v1/baselines/b?" + urlencode({"match[]": "node_load1", "last": "1m"})
    while server.get(save, "PUT").status not in (200, 201):
        server.get("/metrics")
    seen = 0
    for path, item in described["paths"].items():
        operation = item.get("get")
        if not operation or path.startswith("/api/v1/stream"):
            continue
        concrete = path.replace("{name}", "b" if "baselines" in path else "job")
        response = server.get(concrete + "?" + urlencode(ASKED.get(path, {})))
        contents = operation["responses"].get(str(response.status), {}).get("content", {})
        assert response.status == 200, (path, response.data)
        kind = response.headers["Content-Type"].split(";")[0]
        assert kind in contents or "*/*" in contents, (path, kind)
        if kind == "application/json":
            check(described, contents[kind]["schema"], json.loads(response.data))
            seen += 1
    assert seen > 15


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

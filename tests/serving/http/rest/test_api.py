"""Paths, codes and texts, as a client of the real server would see them."""

import json
import socket
import threading
import time

import numpy as np
import pytest

from tests.support import served
from tests.support.asking import SECONDS
from tests.support.rest_client import Client
from tf_tokenrl.serving import Flags, Server


def test_rows(client):
    assert client.ask(
        "POST", "/v1/models/half:predict", '{"instances": [[1], [2.5], [-4]]}'
    ) == (200, b'{\n    "predictions": [[2.5], [3.25], [0.0]\n    ]\n}')
    assert client.headers["content-type"] == "application/json"


def test_rows_of_several_tensors(client):
    request = {
        "signature_name": "subtract",
        "instances": [{"a": 1, "b": 2}, {"b": 0.5, "a": 4}],
    }
    assert client.post("half:predict", request) == (
        200,
        {
            "predictions": [
                {"difference": -1.0, "sum": 3.0},
                {"difference": 3.5, "sum": 4.5},
            ]
        },
    )


def test_one_named_input_in_rows(client):
    request = {"instances": [{"x": [1.0]}, {"x": [2.0]}]}
    assert client.post("half:predict", request) == (
        200,
        {"predictions": [[2.5], [3.0]]},
    )


@pytest.mark.parametrize("inputs", [[[1.0], [2.0]], {"x": [[1.0], [2.0]]}])
def test_columns(client, inputs):
    assert client.post("half:predict", {"inputs": inputs}) == (
        200,
        {"outputs": [[2.5], [3.0]]},
    )


def test_columns_of_several_tensors(client):
    request = {
        "signature_name": "subtract",
        "inputs": {"a": [1, 4], "b": [2, 0.5]},
    }
    assert client.post("half:predict", request) == (
        200,
        {"outputs": {"difference": [-1.0, 3.5], "sum": [3.0, 4.5]}},
    )


def test_columns_may_hold_a_scalar(client):
    request = {"signature_name": "join", "inputs": ["a", "b"]}
    assert client.post("half:predict", request) == (200, {"outputs": "ab"})


def test_nan_and_infinity_come_and_go(client):
    body = b'{"instances": [[NaN], [Infinity], [-Infinity], [-Inf]]}'
    code, text = client.ask("POST", "/v1/models/half:predict", body)
    assert code == 200
    assert b"[[NaN], [Infinity], [-Infinity], [-Infinity]" in text


def test_bytes(client):
    request = {
        "signature_name": "shout",
        "instances": [{"b64": "YWJj"}, "é", {"b64": "/wB6"}],
    }
    code, text = client.ask("POST", "/v1/models/half:predict", request)
    assert code == 200
    assert text == (
        b'{\n    "predictions": ["ABC", "\xc3\xa9", "\xff\\u0000Z"\n    ]\n}'
    )


def test_outputs_that_are_called_bytes_come_as_base64(client):
    request = {"signature_name": "raw", "instances": ["abc"]}
    assert client.post("half:predict", request) == (
        200,
        {"predictions": [{"b64": "YWJj"}]},
    )


def test_floats_keep_their_point_and_what_follows_is_ignored(client):
    body = '{"inputs": [[0]]} and more'
    code, text = client.ask("POST", "/v1/models/half:predict", body)
    assert (code, b"2.0" in text) == (200, True)


def test_half_a_million_levels(client):
    """More dimensions than a tensor can have, but no harm."""
    depth = 500_000
    body = b'{"instances": ' + b"[" * depth + b"]" * depth + b"}"
    code, text = client.ask("POST", "/v1/models/half:predict", body)
    assert (code, json.loads(text)) == (
        400,
        {"error": "tensor parsing error: x"},
    )
    assert client.get("half")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/half:predict",
        "/V1/MODELS/half:predict",
        "/v1/models/half/versions/7:predict",
        "/v1/Models/half/Versions/0007:predict",
        "/v1/models/half/labels/steady:predict",
        "/v1/models/h%61lf/labels/stead%79:predict",
        "/v1/models/half:predict?pretty=1",
    ],
)
def test_paths(client, path):
    code, text = client.ask("POST", path, '{"instances": [[1]]}')
    assert (code, json.loads(text)) == (200, {"predictions": [[2.5]]})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/half:PREDICT"),
        ("POST", "/v1/models/half:explain"),
        ("POST", "/v1/models/half"),
        ("POST", "/v1/models/half/versions/x:predict"),
        ("POST", "/v1/models/half/versions/-1:predict"),
        ("POST", "/v1/models/half/versions/7/labels/steady:predict"),
        ("POST", "/v1/models/half:predict/"),
        ("POST", "/v1/completions/"),
        ("GET", "/v1/models/half:predict"),
        ("GET", "/v1/models/half/"),
        ("GET", "/v1/"),
        ("PUT", "/v1/models/half:predict"),
        ("DELETE", "/v1/models/half"),
        ("OPTIONS", "/v1/models/half:predict"),
    ],
)
def test_what_no_path_names_is_malformed(client, method, path):
    code, text = client.ask(method, path, "{}")
    assert (code, json.loads(text)) == (
        400,
        {"error": f"Malformed request: {method} {path}"},
    )


@pytest.mark.parametrize("path", ["/", "/v2/models/half", "/v1", "/metrics"])
def test_other_paths_are_not_found(client, path):
    assert client.ask("GET", path) == (404, b"")


@pytest.mark.parametrize("number", ["9223372036854775808", "1" * 5000])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_version_of_more_than_64_bits_has_no_text(client, method, number):
    end = ":predict" if method == "POST" else ""
    path = f"/v1/models/half/versions/{number}{end}"
    assert client.ask(method, path, "{}") == (400, b"")


ERRORS = [
    ("", "JSON Parse error: The document is empty"),
    ("{", "JSON Parse error: Missing a name for object member. at offset: 1"),
    ("[]", "JSON Value: [] Is not object"),
    (
        '{"signature_name": 5}',
        'JSON Value: {"signature_name": 5} not formatted correctly. '
        "'signature_name' key must be a string value.",
    ),
    (
        {"signature_name": "nosuch"},
        'Serving signature name: "nosuch" not found in signature def',
    ),
    (
        {"signature_name": "__saved_model_init_op"},
        "Failed to get input map for signature: __saved_model_init_op",
    ),
    ({}, "Missing 'inputs' or 'instances' key"),
    (
        '{"inputs": 1, "instances": [1]}',
        'JSON Value: {"inputs": 1, "instances": [1]} '
        "Not formatted correctly expecting only one of 'inputs' or "
        "'instances' keys to exist ",
    ),
    (
        {"instances": 1},
        "JSON Value: {\"instances\": 1} Expecting 'instances' to be "
        "an list/array",
    ),
    (
        {"instances": []},
        "JSON Value: {\"instances\": []} No values in 'instances' array",
    ),
    (
        {"instances": ["a"]},
        "Failed to process element: 0 of 'instances' list. Error: "
        'INVALID_ARGUMENT: JSON Value: "a" Type: String is not of expected '
        "type: float",
    ),
    (
        {"inputs": "a"},
        'JSON Value: "a" Type: String is not of expected type: float',
    ),
    (
        {"signature_name": "subtract", "inputs": [1]},
        "inputs is a plain value/list, but expecting an object as multiple "
        "input tensors required as per tensorinfo_map",
    ),
    (
        {"signature_name": "subtract", "inputs": {"a": [1]}},
        "Missing named input: b in 'inputs' object.",
    ),
]


@pytest.mark.parametrize(("body", "text"), ERRORS)
def test_predict_errors(client, body, text):
    assert client.post("half:predict", body) == (400, {"error": text})


def test_json_and_its_signature_are_judged_before_the_model(client):
    assert client.post("whole:predict", "{")[0] == 400
    assert client.post("whole:predict", {"signature_name": 5})[0] == 400
    assert client.post("whole:predict", {"signature_name": "nosuch"}) == (
        404,
        {"error": "Servable not found for request: Latest(whole)"},
    )
    assert client.post("half/versions/8:predict", {"instances": 5}) == (
        404,
        {"error": "Servable not found for request: Specific(half, 8)"},
    )
    assert client.post("half/labels/canary:predict", {"instances": 5}) == (
        400,
        {"error": "Unrecognized servable version label: canary"},
    )


def test_errors_of_the_runtime(client):
    request = {
        "signature_name": "subtract",
        "inputs": {"a": [1, 2], "b": [1, 2, 3]},
    }
    code, answer = client.post("half:predict", request)
    assert code == 400
    assert "{{node" in answer["error"]
    request = {"signature_name": "shrink", "inputs": [0.5]}
    assert client.post("half:predict", request) == (
        501,
        {"error": "Output y cannot be sent: no field for dtype float8_e5m2"},
    )


def test_a_long_text_is_cut(client):
    request = {"signature_name": "s" * 2000}
    code, answer = client.post("half:predict", request)
    assert code == 400
    assert len(answer["error"]) == 1024 + len("...TRUNCATED")


def test_a_request_that_takes_too_long(client):
    request = {"signature_name": "spin", "inputs": [2**31 - 1]}
    assert client.post("half:predict", request)[0] == 504
    assert client.post("half:predict", {"inputs": [[1]]})[0] == 200


def test_classify(client):
    request = {"examples": [{"x": 0.25}, {}], "context": {"x": 0.5}}
    assert client.post("judge:classify", request) == (
        200,
        {
            "results": [
                [["yes", 0.25], ["no", 0.75]],
                [["yes", 0.5], ["no", 0.5]],
            ]
        },
    )


def test_regress(client):
    request = {"signature_name": "regress", "examples": [{"x": 1.0}, {}]}
    assert client.ask("POST", "/v1/models/judge:regress", request) == (
        200,
        b'{\n    "results": [2.5, 2.0]\n}',
    )


@pytest.mark.parametrize("method", ["classify", "regress"])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"signature_name": [], "examples": 5}, "key must be a string value."),
        (
            {},
            "JSON Value: {} When method is classify, key 'examples' is "
            "expected and was not found",
        ),
        ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"context": [], "examples": 5}, "but got JSON Array"),
        (
            {"examples": [{"x": None}]},
            "Feature: x has element with unexpected JSON type: Null",
        ),
        (
            {"examples": [{"x": [[1]]}]},
            "Feature: x has element with unexpected JSON type: Array",
        ),
        (
            {"examples": [{"x": {}}]},
            "Feature: x has element with unexpected JSON type: Object",
        ),
        (
            {"examples": [{"x": [1.0, 1]}]},
            "Unexpected element type in feature: x expecting type: float",
        ),
        (
            {"examples": [{"x": [1, "a"]}]},
            "Unexpected element type in feature: x expecting type: int64",
        ),
        (
            {"examples": [{"x": [{"b64": "YQ=="}, False]}]},
            "Unexpected element type in feature: x expecting type: bytes",
        ),
        ({"examples": [{"x": {"b64": "?"}}]}, "Unable to base64 decode"),
        (
            {"examples": [{"x": 2**63}]},
            "Feature: x has uint64_t element. Only int64_t is supported.",
        ),
        (
            {"signature_name": "nosuch", "examples": [{}]},
            "No signature was found with the name: nosuch",
        ),
    ],
)
def test_classify_and_regress_errors(client, method, body, text):
    code, answer = client.post(f"judge:{method}", body)
    assert code == 400
    assert answer["error"].endswith(text)


@pytest.mark.parametrize("path", ["half", "half/versions/7", "half/METADATA"])
def test_status(client, path):
    """A resource in capitals is none, and the model itself is meant."""
    assert client.get(path) == (
        200,
        {
            "model_version_status": [
                {
                    "version": "7",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/metadata", 404, None),
        ("/v1/models/whole", 404, None),
        (
            "/v1/models/half/versions/8",
            404,
            "Could not find version 8 of model half",
        ),
        (
            "/v1/models/whole/metadata",
            404,
            "Servable not found for request: Latest(whole)",
        ),
    ],
)
def test_status_and_metadata_errors(client, path, code, text):
    name = path.rsplit("/", 1)[-1]
    text = text or f"Could not find any versions of model {name}"
    found, body = client.ask("GET", path)
    assert (found, json.loads(body)) == (code, {"error": text})


def test_metadata(client):
    code, answer = client.get("half/labels/steady/metadata")
    assert code == 200
    assert answer["model_spec"] == {
        "name": "half",
        "signature_name": "",
        "version": "7",
    }
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in x["tensor_shape"]["dim"]] == ["-1", "1"]
    assert not x["tensor_shape"]["unknown_rank"]


def test_sixteen_megabytes(client):
    text = "é" * 8_000_000
    request = {"signature_name": "shout", "instances": [text]}
    body = json.dumps(request, ensure_ascii=False)
    code, answer = client.ask("POST", "/v1/models/half:predict", body)
    assert code == 200
    assert json.loads(answer) == {"predictions": [text]}


def test_many_numbers(client):
    values = np.arange(20_000, dtype=np.float64) / 8
    body = {"instances": values[:, None].tolist()}
    code, answer = client.post("half:predict", body)
    assert code == 200
    np.testing.assert_array_equal(
        np.squeeze(answer["predictions"]), values / 2 + 2
    )


def test_what_a_stranger_sends_harms_nobody(server, client):
    with socket.create_connection(
        ("127.0.0.1", server.http_port), SECONDS
    ) as stranger:
        stranger.sendall(b"\x00\x01\x02 HTTP\r\n\r\n")
        assert stranger.recv(100).startswith(b"HTTP/1.1 400")
    for body in (b"\xff" * 100, b'{"instances": [[1]]', b"\x00"):
        assert client.post("half:predict", body)[0] == 400
    name = "..%2f..%2fetc%2fpasswd%00%ff"
    assert client.post(f"{name}:predict", {"instances": [1]})[0] == 404
    assert client.post("half:predict", {"instances": [[1]]})[0] == 200


def test_a_client_that_goes_away_ends_its_run(tmp_path):
    flags = Flags(
        model_base_path=str(served.put(tmp_path, 1)),
        port=0,
        rest_api_port=-1,
        rest_api_timeout_in_ms=0,
    )
    with Server(flags) as server:
        (version,) = server._repository.versions("default")
        body = b'{"signature_name": "spin", "inputs": [2147483647]}'
        head = b"POST /v1/models/default:predict HTTP/1.1\r\nHost: a\r\n"
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(
            ("127.0.0.1", server.http_port), SECONDS
        ) as connection:
            connection.sendall(head + length + body)
            while not version.users:
                threading.Event().wait(0.001)
        deadline = time.monotonic() + SECONDS
        while version.users and time.monotonic() < deadline:
            threading.Event().wait(0.001)
        assert not version.users


def test_scripts_of_other_sites_may_read_if_told_so(client, tmp_path):
    client.ask("POST", "/v1/models/half:predict", '{"instances": [[1]]}')
    assert not [n for n in client.headers if "access-control" in n.lower()]
    flags = Flags(
        model_base_path=str(served.put(tmp_path, 1)),
        port=0,
        rest_api_port=-1,
        rest_api_enable_cors_support=True,
    )
    with Server(flags) as server:
        other = Client(server.http_port)
        path = "/v1/models/default:predict"
        page = {"Origin": "http://localhost:3000"}
        assert other.ask("OPTIONS", path, headers=page) == (200, b"")
        assert other.headers["access-control-allow-methods"] == "POST, GET"
        assert other.headers["access-control-allow-headers"] == "Content-Type"
        assert other.ask("POST", path, '{"instances": [[1]]}')[0] == 200
        assert other.headers["access-control-allow-origin"] == "*"
        assert other.ask("OPTIONS", "/nowhere")[0] == 404
        assert other.headers["access-control-allow-origin"] == "*"
        other.close()


def test_a_kept_connection_answers_again(client):
    for _ in range(3):
        assert client.post("half:predict", {"inputs": [[1]]})[0] == 200
        assert client.post("half:predict", "?")[0] == 400

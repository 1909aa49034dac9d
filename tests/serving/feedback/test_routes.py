"""Records over HTTP: what becomes of each, and who may send them."""

import json
import socket
import sqlite3
import threading

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, Judgement
from tf_tokenrl.feedback.remote import RemoteStore
from tf_tokenrl.serving.feedback.openapi import description
from tf_tokenrl.serving.feedback.routes import Limits

ANSWER = {"key": "a", "model": "m", "prompt": "p", "text": "one two"}


def thumb(key, answer="a", score=1):
    return {"key": key, "answer": answer, "kind": "thumb", "score": score}


def statuses(body):
    return [result["status"] for result in body["results"]]


def test_each_record_has_its_receipt(store, serving, send):
    port = serving(store)
    assert send(port, ANSWER)[0] == 200
    batch = [
        thumb("k1"),
        thumb("k2"),
        thumb("k1"),
        thumb("k2", score=-1),
        thumb("k3", "unknown"),
    ]
    code, body, _ = send(port, batch)
    assert code == 207
    wanted = ["stored", "stored", "duplicate", "conflict", "refused"]
    assert statuses(body) == wanted
    code, again, _ = send(port, batch)
    assert statuses(again) == ["duplicate"] * 3 + ["conflict", "refused"]
    assert store.counts() == {"answers": 1, "judgements": 2}
    assert send(port, [thumb("k2", score=-1)])[0] == 409
    code, body, _ = send(port, thumb("k4", score=5))
    assert code == 422 and "thumb is 1" in body["results"][0]["reason"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
        {"Origin": "https://evil.example", "Content_Type": "text/plain"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},  # another name, another page
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(store, serving, send, headers):
    port = serving(store)
    given = {name: value.format(port=port) for name, value in headers.items()}
    code, body, found = send(port, ANSWER, **given)
    assert code == 403 and body["error"]
    assert not any(n.lower().startswith("access-control") for n in found)
    if "Content_Type" not in given:
        path = "/v1/feedback/openapi.json"
        assert send(port, None, "GET", path, **given)[0] == 403
    assert store.counts() == {"answers": 0, "judgements": 0}


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", ""]
)
def test_what_a_form_can_send_is_refused(store, serving, send, kind):
    port = serving(store)
    assert send(port, ANSWER, Content_Type=kind)[0] == 415
    assert store.counts()["answers"] == 0


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_names_of_the_loopback_pass(store, serving, send, name):
    port = serving(store)
    host = f"{name}:{port}"
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert send(port, ANSWER, **headers)[0] == 200


def test_a_name_of_the_server_passes_when_it_is_told(store, serving, send):
    port = serving(store, hosts=["feedback.example"])
    headers = {
        "Host": "feedback.example",
        "Origin": "https://feedback.example",
        "Sec_Fetch_Site": "same-origin",
    }
    assert send(port, ANSWER, **headers)[0] == 200


def test_the_token_is_asked_for(store, serving, send):
    port = serving(store, token="s" * 16)
    for given in ("", "Bearer x", "Basic " + "s" * 16, "Bearer"):
        code, body, headers = send(port, ANSWER, Authorization=given)
        assert code == 401 and "API token" in body["error"]
        assert headers["www-authenticate"] == "Bearer"
    assert store.counts()["answers"] == 0
    right = "Bearer " + "s" * 16
    assert send(port, ANSWER, Authorization=right)[0] == 200


def test_sizes_and_rates_are_limited(store, serving, send):
    limits = Limits(
        body_bytes=2000, records=5, records_per_second=0.001, burst=6
    )
    port = serving(store, limits=limits)
    long = ANSWER | {"text": "x" * 3000}
    assert send(port, long)[0] == 413
    assert send(port, [thumb(str(n)) for n in range(6)])[0] == 413
    assert send(port, [ANSWER, *(thumb(str(n)) for n in range(4))])[0] == 200
    code, body, headers = send(port, [thumb("8"), thumb("9")])
    assert code == 429 and int(headers["retry-after"]) > 1
    assert send(port, thumb("8"))[0] == 200
    assert store.counts() == {"answers": 1, "judgements": 5}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_said(store, serving, send, body):
    code, answer, _ = send(serving(store), body)
    assert code == 400 and "not JSON" in answer["error"]


def test_records_that_are_no_objects_are_refused_one_by_one(
    store, serving, send
):
    code, body, _ = send(serving(store), [1, "a", None, ANSWER, []])
    assert code == 207
    assert statuses(body) == ["refused"] * 3 + ["stored", "refused"]


def test_a_key_that_has_no_utf8_is_refused(store, serving, send):
    code, body, _ = send(serving(store), ANSWER | {"key": "\ud800"})
    assert code == 422 and statuses(body) == ["refused"]


def test_odd_texts_and_numbers_arrive_as_they_are(store, serving, send):
    given = ANSWER | {
        "text": "a\x00b\ud800💩",
        "token_ids": [1, 2],
        "log_probs": [float("-inf"), float("nan")],
    }
    assert send(serving(store), given)[0] == 200
    found = store.get("a")
    assert found.text == given["text"]
    assert found.log_probs[0] == float("-inf")
    assert found.log_probs[1] != found.log_probs[1]


def test_a_store_that_fails_is_not_thanked_for(store, serving, send, tmp_path):
    """Its table is gone: nothing was stored, and the answer says so."""
    port = serving(store)
    with sqlite3.connect(tmp_path / "feedback.db") as connection:
        connection.execute("ALTER TABLE answers RENAME TO elsewhere")
    connection.close()
    code, body, _ = send(port, ANSWER)
    assert code == 503 and "nothing of this call was stored" in body["error"]


def test_the_description_is_that_of_the_records(store, serving, send):
    port = serving(store, token="s" * 16)
    code, body, _ = send(port, None, "GET", "/v1/feedback/openapi.json")
    assert code == 200 and body == json.loads(
        json.dumps(description(1000, True))
    )
    schemas = body["components"]["schemas"]
    assert set(schemas["Answer"]["properties"]) == set(Answer.model_fields)
    assert set(schemas["Judgement"]["properties"]) == set(
        Judgement.model_fields
    )
    post = body["paths"]["/v1/feedback/records"]["post"]
    assert post["security"] == [{"token": []}]
    text = json.dumps(body)
    for part in text.split('"$ref": "')[1:]:
        *_, name = part.partition('"')[0].split("/")
        assert name in schemas


def test_a_remote_store_is_a_store(store, serving):
    port = serving(store, token="s" * 16)
    remote = RemoteStore(f"http://127.0.0.1:{port}", token="s" * 16)
    answer = Answer(key="a", model="m", prompt="p", text="t\ud800")
    said = Judgement(answer="a", kind="edit", edit="better")
    receipts = remote.append([answer, said])
    assert [r.status for r in receipts] == ["stored", "stored"]
    (judged,) = store.read()
    assert (judged.judgement, judged.answer) == (said, answer)
    stranger = RemoteStore(f"http://127.0.0.1:{port}", token="wrong")
    with pytest.raises(TokenRLError, match="API token"):
        stranger.append([answer])
    with pytest.raises(TokenRLError, match="http://HOST:PORT"):
        RemoteStore("ftp://127.0.0.1")


def test_a_call_that_breaks_off_is_sent_again(store, serving):
    """The server stores, and hangs up before it answers."""
    port = serving(store)
    listener = socket.create_server(("127.0.0.1", 0))

    def relay():
        # The first call: forward it, read the answer, tell nobody.
        with listener.accept()[0] as client:
            data = client.recv(65536)
            while b"\r\n\r\n" not in data or not data.endswith(b"]"):
                data += client.recv(65536)
            there = data.replace(
                str(listener.getsockname()[1]).encode(), str(port).encode()
            )
            with socket.create_connection(("127.0.0.1", port)) as server:
                server.sendall(there)
                server.recv(65536)
        listener.close()
        # The second finds the real server in its place.
        remote._parts = remote._parts._replace(netloc=f"127.0.0.1:{port}")

    remote = RemoteStore(f"http://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=relay)
    thread.start()
    answer = Answer(key="a", model="m", prompt="p", text="t")
    receipts = remote.append([answer])
    thread.join()
    assert receipts[0].safe
    assert store.counts()["answers"] == 1


def test_a_server_that_is_not_there_is_one_sentence():
    remote = RemoteStore("http://127.0.0.1:1", timeout=0.5)
    with pytest.raises(TokenRLError, match="did not store the records"):
        remote.append([ANSWER])

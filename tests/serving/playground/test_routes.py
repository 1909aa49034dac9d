"""What the page asks, as any program could."""

import contextlib
import http.client
import json
import re

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server


@pytest.fixture
def ask(server):
    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection(
            "127.0.0.1", server.http_port, timeout=60
        )
        with contextlib.closing(connection):
            given = {"Content-Type": "application/json", **headers}
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, f"/playground{path}", data, given)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    return ask


def events(text):
    return [json.loads(part[6:]) for part in text.split("\n\n") if part]


def test_the_page_and_its_files_need_nothing_else(ask):
    code, page, headers = ask("GET", "/")
    assert code == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|style=|\son\w+=", page)
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        if not name.startswith("data:"):
            code, text, headers = ask("GET", f"/{name}")
            assert code == 200 and "innerHTML" not in text
            assert headers["x-content-type-options"] == "nosniff"
    assert ask("GET", "/../server.py")[0] == 404
    assert ask("GET", "/nothing")[0] == 404
    assert ask("GET", "", None)[0] == 307


def test_an_answer_is_stored_before_its_end_is_told(ask, store):
    question = {"prompt": "€ 💩!", "temperature": 0.5, "seed": 3, "user": "u"}
    code, text, _ = ask("POST", "/api/answers", question)
    *told, last = events(text)
    assert code == 200 and told[-1]["text"] == "€ 💩!"
    answer = store.get(last["key"])
    assert answer.text == "€ 💩!" and answer.user_hash == "u"
    assert bytes(answer.token_ids) == answer.text.encode()
    assert answer.ends == (0, 0, 1, 2, 2, 2, 2, 3, 4)
    assert (answer.temperature, answer.seed) == (0.5, 3)
    assert (answer.version, answer.label, last["version"]) == (8, "", 8)
    assert answer.finish == last["finish"] == "stop"


def test_a_comparison_hides_who_wrote_what_until_the_vote(ask, store):
    question = {"prompt": "abc", "compare": True, "seed": 1}
    _, text, _ = ask("POST", "/api/answers", question)
    found = events(text)
    assert {event["side"] for event in found} == {"left", "right"}
    assert not re.search("version|label|stable|canary", text)
    left, right = (
        next(e["key"] for e in found if e["side"] == side and "key" in e)
        for side in ("left", "right")
    )
    labels = {key: store.get(key).label for key in (left, right)}
    assert set(labels.values()) == {"stable", "canary"}
    vote = {"answer": right, "other": left, "kind": "pair", "rater": "r"}
    code, body, _ = ask("POST", "/api/judgements", [vote])
    told = json.loads(body)
    assert code == 200 and told["results"][0]["status"] == "stored"
    versions = {"stable": 7, "canary": 8}
    for key, label in labels.items():
        assert told["written_by"][key] == {
            "label": label,
            "version": versions[label],
        }
    ask("POST", "/api/judgements", [vote])
    said = [judged.judgement for judged in store.read(store.first)]
    assert [(j.side, j.blind) for j in said] == [("right", True), ("", False)]


@pytest.mark.parametrize(
    ("question", "code", "message"),
    [
        ({"prompt": ""}, 400, "prompt"),
        ({"prompt": 3}, 400, "prompt"),
        ({"prompt": "a", "temperature": -1}, 400, "temperature"),
        ({"prompt": "a", "more": 1}, 400, "more"),
        ([], 400, "JSON object"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    ask, question, code, message
):
    found, text, _ = ask("POST", "/api/answers", question)
    assert found == code and message in json.loads(text)["error"]


def test_a_model_that_fails_says_so(ask):
    _, text, _ = ask("POST", "/api/answers", {"prompt": "fail"})
    (event,) = events(text)
    assert "told to fail" in event["error"]


@pytest.mark.parametrize("path", ["/api/answers", "/api/judgements"])
def test_other_sites_are_refused(ask, store, path):
    before = store.counts()
    evil = {"Origin": "https://evil.example"}
    assert ask("POST", path, {"prompt": "a"}, **evil)[0] == 403
    assert ask("POST", path, {"prompt": "a"}, Host="evil.example")[0] == 403
    plain = {"Content-Type": "text/plain"}
    assert ask("POST", path, {"prompt": "a"}, **plain)[0] == 415
    assert ask("GET", "/", Host="evil.example")[0] == 403
    assert ask("GET", "/api/settings", Host="evil.example")[0] == 403
    assert store.counts() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"playground": True}, "needs a store"),
        ({"feedback": "sqlite:///{}/f.db"}, "rest_api_port"),
        (
            {
                "feedback": "sqlite:///{}/f.db",
                "rest_api_port": -1,
                "host": "0.0.0.0",
            },
            "needs a token",
        ),
        (
            {
                "feedback": "sqlite:///{}/f.db",
                "rest_api_port": -1,
                "playground": True,
                "playground_labels": "one",
            },
            "two labels",
        ),
        ({"feedback": "nonsense", "rest_api_port": -1}, "sqlite:///FILE"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    flags, message, tmp_path, server
):
    base = str(tmp_path)
    if "feedback" in flags:
        flags = flags | {"feedback": flags["feedback"].format(base)}
    with pytest.raises(TokenRLError, match=message):
        Server(Flags(model_base_path=base, **flags))

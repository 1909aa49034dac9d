"""Errors of grammar on the tokens that hold them."""

import http.server
import json
import threading
import urllib.parse

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

EXAMPLE = Example("x")


def test_an_error_lies_on_the_token_that_made_it(make_response):
    """ "a" before "error": one error in seven words."""
    pieces = ["This", " is", " an", " example", " of", " a", " error", "."]
    scores = rewards.get("grammar").score(EXAMPLE, make_response(pieces))
    expected = np.zeros(9)
    expected[5] = 1 / 7
    np.testing.assert_allclose(scores, expected)


def test_the_tokens_of_an_error_share_it(make_response):
    pieces = ["I have T", "e", "h", " cat."]
    scores = rewards.get("grammar", rate=False).score(
        EXAMPLE, make_response(pieces)
    )
    np.testing.assert_allclose(scores, [1 / 3, 1 / 3, 1 / 3, 0, 0])


def test_characters_outside_the_plane_shift_nothing(make_response):
    pieces = ["😀 It is", " a", " error", "."]
    scores = rewards.get("grammar", rate=False).score(
        EXAMPLE, make_response(pieces)
    )
    assert scores[1] == 1


def test_dialects_differ(make_response):
    response = make_response(["The colour is nice."])
    wrong = [
        sum(rewards.get("grammar", dialect=name).score(EXAMPLE, response)) > 0
        for name in ("american", "british")
    ]
    assert wrong == [True, False]


@pytest.mark.parametrize("text", ["", " \n ", "The cat sat on the mat."])
def test_no_words_or_no_errors(make_response, text):
    scores = rewards.get("grammar").score(EXAMPLE, make_response([text]))
    assert scores == [0, 0]


def test_unknown_options_are_named():
    with pytest.raises(TokenRLError, match='Did you mean "harper"'):
        rewards.get("grammar", checker="harpar")
    with pytest.raises(TokenRLError, match='dialect "english"'):
        rewards.get("grammar", dialect="english")


class LanguageTool(http.server.BaseHTTPRequestHandler):
    """Speaks as much of LanguageTool's protocol as its client needs.

    It takes every "teh" for an error, and counts in UTF-16 as Java does.
    """

    def do_GET(self):
        self.reply([{"name": "English", "code": "en", "longCode": "en-US"}])

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        form = urllib.parse.parse_qs(self.rfile.read(size).decode())
        text = form["text"][0]
        place = len(text[: text.index("teh")].encode("utf-16-le")) // 2
        match = {
            "message": "Possible spelling mistake found.",
            "replacements": [{"value": "the"}],
            "offset": place,
            "length": 3,
            "context": {"text": text, "offset": place, "length": 3},
            "sentence": text,
            "rule": {
                "id": "MORFOLOGIK_RULE_EN_US",
                "issueType": "misspelling",
                "category": {"id": "TYPOS", "name": "Possible Typo"},
            },
        }
        self.reply({"matches": [match]})

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), LanguageTool
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_language_tool_counts_characters_alike(make_response, server):
    pytest.importorskip("language_tool_python")
    reward = rewards.get("grammar", checker="language_tool", server=server)
    scores = reward.score(EXAMPLE, make_response(["😀 It is", " teh", " cat."]))
    np.testing.assert_allclose(scores, [0, 1 / 5, 0, 0])


def test_a_server_that_does_not_answer_is_named(make_response):
    pytest.importorskip("language_tool_python")
    reward = rewards.get(
        "grammar", checker="language_tool", server="http://127.0.0.1:1"
    )
    with pytest.raises(TokenRLError, match="does not answer"):
        reward.score(EXAMPLE, make_response(["teh"]))

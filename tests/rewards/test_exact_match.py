"""Equal answers."""

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.flow import Example


@pytest.mark.parametrize(
    ("answer", "normalized", "plain"),
    [
        ("The Eiffel Tower.", 1, 0),
        (" a cat\n", 1, 1),
        ("cat", 1, 0),
        ("cats", 0, 0),
        ("", 0, 0),
        ("another cat", 0, 0),
    ],
)
def test_any_reference_will_do(make_response, answer, normalized, plain):
    example = Example("x", ("eiffel tower", "a cat"))
    response = make_response([answer])
    assert rewards.get("exact_match").score(example, response) == normalized
    strict = rewards.get("exact_match", normalize=False)
    assert strict.score(example, response) == plain


def test_without_references_nothing_matches(make_response):
    response = make_response([""])
    assert rewards.get("exact_match").score(Example("x"), response) == 0
    empty = Example("x", ("",))
    assert rewards.get("exact_match").score(empty, response) == 1

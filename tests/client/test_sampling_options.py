"""Numbers that are none never leave the client."""

import numpy as np
import pytest

from tf_tokenrl.client.calls import Calls
from tf_tokenrl.errors import TokenRLError

CALLS = Calls("m")
WRONG = [
    {"temperature": float("nan")},
    {"temperature": float("inf")},
    {"temperature": 1e39},
    {"temperature": None},
    {"temperature": "0.5"},
    {"top_p": float("nan")},
    {"top_p": -0.1},
    {"top_p": 1.1},
    {"top_k": 1.5},
    {"top_k": 2**31},
    {"top_k": None},
    {"seed": 0.5},
    {"seed": 2**63},
    {"max_new_tokens": 8.0},
]


@pytest.mark.parametrize("options", [*WRONG, {"seed": True}], ids=str)
@pytest.mark.parametrize("call", [CALLS.generate, CALLS.stream])
def test_what_is_no_number_is_refused_by_name(call, options):
    (name,) = options
    with pytest.raises(TokenRLError, match=f"^{name}=.* must be "):
        call("prompt", **options)


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_one_of_several_is_enough(options):
    ((name, value),) = options.items()
    with pytest.raises(TokenRLError, match=f"^{name}="):
        CALLS.generate(["a", "b"], **{name: [1, value]})


def test_what_is_a_number_travels_as_it_is():
    options = {
        "seed": np.int64(-(2**63)),
        "temperature": 1,
        "top_k": np.int16(3),
        "top_p": 0,
        "max_new_tokens": None,
    }
    request = CALLS.stream("a", **options).request
    assert (request.seed, request.temperature) == (-(2**63), 1.0)
    assert (request.top_k, request.top_p) == (3, 0.0)
    assert request.HasField("top_p") and request.max_new_tokens == 0


def test_there_is_one_for_all_or_one_for_each():
    CALLS.generate(["a", "b"], seed=[1, 2])
    CALLS.generate([], seed=[])
    for seeds in ([1], [1, 2, 3], [[1, 2]]):
        with pytest.raises(TokenRLError, match="for 2 prompts"):
            CALLS.generate(["a", "b"], seed=seeds)
    with pytest.raises(TokenRLError, match="give one value as seed"):
        CALLS.stream("a", seed=[1])


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "1"])
def test_a_time_to_wait_has_an_end(kind, timeout):
    with pytest.raises(TokenRLError, match="must be a number of seconds"):
        kind("localhost:1", timeout=timeout)


def test_half_a_surrogate_pair_is_no_text():
    for call in (CALLS.generate, CALLS.stream):
        with pytest.raises(TokenRLError, match="surrogate pair at character 1"):
            call("a\ud800")
    with pytest.raises(TokenRLError, match="surrogate pair at character 0"):
        CALLS.stream("a", stop="\ud800")

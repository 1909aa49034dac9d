import grpc
import numpy as np
import pytest

from tests.support import spelled
from tf_tokenrl.serving.generation.convention import (
    GenerationRequest,
    Generator,
    join,
    row_count,
    take,
)
from tf_tokenrl.serving.status import StatusError


def texts(chunk):
    last = chunk.counts - 1
    return [row[i] for row, i in zip(chunk.texts, last, strict=True)]


def test_rows_join_and_leave_without_a_change(generator):
    first = generator.begin(
        [GenerationRequest(b"abc"), GenerationRequest(b"defghi")]
    )
    assert texts(first.chunk) == [b"a", b"d"]
    state, chunk = generator.advance(first.state, 1)
    assert texts(chunk) == [b"ab", b"de"]
    second = generator.begin([GenerationRequest(b"jklmnopqrst", seed=2)])
    assert second.prompt_tokens.tolist() == [11]
    np.testing.assert_allclose(second.chunk.log_probs, [[-2.0]])
    state = join(state, second.state)
    assert row_count(state) == 3
    state, chunk = generator.advance(state, 1)
    assert texts(chunk) == [b"abc", b"def", b"jk"]
    assert (
        chunk.ended.tolist() == chunk.stopped.tolist() == [True, False, False]
    )
    _, chunk = generator.advance(take(state, [2, 1]), 8)
    assert texts(chunk) == [b"jklmnopqrs", b"defghi"]
    assert chunk.counts.tolist() == [8, 3]


@pytest.mark.parametrize("order", [("short", "long"), ("long", "short")])
def test_the_shorter_state_is_padded(order):
    states = {
        "short": {"x": np.ones([1, 2, 1]), "y": np.array([True])},
        "long": {"x": np.full([2, 3, 2], 2.0), "y": np.array([False, True])},
    }
    joined = join(*(states[name] for name in order))
    assert joined["x"].shape == (3, 3, 2)
    place = 0 if order[0] == "short" else 2
    expected = np.zeros([3, 2])
    expected[1:, 1:] = 1.0
    np.testing.assert_array_equal(joined["x"][place], expected)
    assert joined["y"].sum() == 2


def test_a_model_without_the_signatures_says_so(load, tmp_path):
    base = spelled.put(tmp_path, streams=False)
    with pytest.raises(StatusError) as caught:
        Generator(load(base / "1"))
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "no signature stream_advance and no stream_begin" in str(
        caught.value
    )

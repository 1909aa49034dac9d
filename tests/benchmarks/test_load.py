"""Many clients while versions come and go; see benchmarks/load.py."""

import pytest

from benchmarks import load

TINY = dict(layers=1, heads=2, width=16, vocabulary=50, prompt=6, new=6)


def test_steps_back_are_counted_but_for_the_rollback():
    assert load.backward([1, 1, 2, 3, 3, 2, 2]) == 0
    assert load.backward([1, 2, 1]) == 1
    assert load.backward([3, 2, 3, 2]) == 1
    assert load.backward([3, 1]) == 1
    assert load.backward([]) == 0


@pytest.mark.slow
def test_no_request_fails_and_no_memory_is_lost():
    found = load.measure(
        load.Load(seconds=12.0, questions=20, words=1000, swaps=20, **TINY)
    )
    assert found["versions_seen"] == [1, 2, 3]
    assert found["failed"] == found["wrong_answers"] == 0
    assert found["backward_steps"] == 0
    assert found["requests"] >= 64
    assert found["memory_mb_after_words"] > 0
    assert found["memory_mb_after_words"] < found["memory_mb_before_words"] + 20
    # A version's memory is some tens of MB, and ten are kept if one is.
    _, tenth, twentieth = found["memory_mb_at_each_tenth"]
    assert twentieth < tenth + 100

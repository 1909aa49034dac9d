"""MIXER: how many tokens are given at which step, and what each counts."""

import numpy as np
import pytest

from tf_tokenrl import algorithms
from tf_tokenrl.errors import TokenRLError

LENGTHS = np.array([5, 1, 3])


def test_the_last_k_are_handed_over_and_k_grows():
    algorithm = algorithms.get(
        "mixer", supervised_steps=3, grow_every=2, grow_by=2
    )
    expected = {
        0: [5, 1, 3],
        2: [5, 1, 3],
        3: [3, 0, 1],
        4: [3, 0, 1],
        5: [1, 0, 0],
        7: [0, 0, 0],
        99: [0, 0, 0],
    }
    for step, counts in expected.items():
        given = algorithm.prefix_lengths(LENGTHS, step)
        np.testing.assert_array_equal(given, counts)
    handed = [algorithm.settings(s)["handed_over"] for s in range(8)]
    assert handed == [0, 0, 0, 2, 2, 4, 4, 6]


def test_every_token_counts_the_same(make_batch, complete):
    algorithm = algorithms.get("mixer")
    rollout, rewards, _ = make_batch()
    given = np.zeros_like(rollout.mask)
    given[:, :2] = True
    batch = complete(algorithm, rollout, rewards)
    batch = batch._replace(teacher=rollout._replace(mask=given))
    count = rollout.mask.sum() + given.sum()
    chosen, taught = algorithm.loss_weights(batch, longest=5)
    np.testing.assert_allclose(chosen, rollout.mask / count, rtol=1e-6)
    np.testing.assert_allclose(taught, given / count, rtol=1e-6)


@pytest.mark.parametrize("nothing", ["chosen", "taught"])
def test_one_part_alone_counts_all(make_batch, complete, nothing):
    algorithm = algorithms.get("mixer")
    rollout, rewards, _ = make_batch()
    batch = complete(algorithm, rollout, rewards)
    empty = rollout._replace(mask=np.zeros_like(rollout.mask))
    place = "rollout" if nothing == "chosen" else "teacher"
    weights = algorithm.loss_weights(batch._replace(**{place: empty}), 5)
    sums = [w.numpy().sum() for w in weights]
    wanted = [0, 1] if nothing == "chosen" else [1, 0]
    np.testing.assert_allclose(sums, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("option", "value"),
    [("grow_by", 0), ("grow_every", 1.5), ("supervised_steps", -1)],
)
def test_impossible_options_are_named(option, value):
    with pytest.raises(TokenRLError, match=option):
        algorithms.get("mixer", **{option: value})

"""Rewards of one half while the other is sampled: the same numbers."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.support import toy
from tests.training.test_trainer import Numbered
from tf_tokenrl.decoding.prefix import Prefix
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout
from tf_tokenrl.rewards import Reward
from tf_tokenrl.rewards.normalize import Normalize as normalize
from tf_tokenrl.training.rollouts.prompts import Prompts
from tf_tokenrl.training.rollouts.sampled import Sampled
from tf_tokenrl.training.rollouts.scorer import Scorer

WIDTHS = {0: 2, 3: 4}  # of the answers, by the first row of the half


class Echo:
    """In place of a sampler: row r holds r in every column."""

    strategy = tf.distribute.get_strategy()

    def __call__(self, ids, mask, step, sampling, prefix, part):
        rows = np.arange(part.start, part.stop)
        table = np.repeat(rows[:, None], WIDTHS.get(part.start, 3), axis=1)
        floats = table.astype(np.float32)
        return Rollout(table, table >= 0, table, table >= 0, floats, floats)


class Twice(Reward):
    """Twice the number of the row, on each token."""

    def score(self, example, response):
        return [2.0 * example] * response


def decode(rollout):
    """As responses the lengths of answers."""
    return rollout.mask.sum(-1)


def scored(sampler, reward, rows, group, decode=decode):
    """What scorer and source make of `rows` prompts, their own numbers."""
    ids = np.zeros((rows, 1), np.int32)
    prompts = Prompts(range(rows), ids, ids == 0, group=group, version=7)
    source = Sampled(sampler, halves=True)
    return Scorer(reward, decode, overlap=True)(prompts, source(prompts))


def test_halves_are_put_together_in_order():
    rollout, rewards, terms, _ = scored(Echo(), Twice(), rows=8, group=3)
    assert rollout.mask.shape == (8, 4)
    rows = np.arange(8)
    np.testing.assert_array_equal(rollout.actions.max(axis=1), rows)
    np.testing.assert_array_equal(terms["Twice"].max(axis=1), 2 * rows)
    np.testing.assert_array_equal(rewards, terms["Twice"])
    np.testing.assert_array_equal(rollout.mask[:, 2], rows >= 3)
    np.testing.assert_array_equal(rollout.version, [7] * 8)
    assert rollout.reference_log_probs is None


def test_a_group_is_never_divided():
    rollout, _, terms, _ = scored(Echo(), Twice(), rows=4, group=4)
    assert rollout.actions.shape == terms["Twice"].shape == (4, 2)


def test_the_first_half_is_scored_while_the_second_is_sampled():
    """Each waits for the other to have begun."""
    scoring, sampling = threading.Event(), threading.Event()

    class SecondWaits(Echo):
        def __call__(self, *asked):
            if asked[-1].start:
                sampling.set()
                assert scoring.wait(60)
            return super().__call__(*asked)

    def first_waits(rollout):
        if not rollout.actions[0, 0]:
            scoring.set()
            assert sampling.wait(60)
        return decode(rollout)

    scored(SecondWaits(), Twice(), rows=6, group=3, decode=first_waits)


class Fails(Reward):
    """Raises for one prompt."""

    def __init__(self, prompt: str = ""):
        self.prompt = prompt

    def score(self, example, response):
        if example.prompt == self.prompt:
            raise KeyError("nothing")
        return 0.5


def collected(overlap: bool):
    """A batch of eight prompts, and the weights after it was learned."""
    trainer = toy.trainer(
        "gru",
        "reinforce",
        reward=toy.Count() + 0.1 * Numbered(),
        policy={"stop_ids": (3, 9, 17, 31)},
        overlap=overlap,
    )
    batch, terms = trainer.collect(toy.EXAMPLES, step=3)
    return trainer, batch, terms


@pytest.fixture(scope="module")
def both():
    return collected(False), collected(True)


def test_the_batch_is_that_without_overlap(both):
    """A reward of the whole batch, which numbers its rows, is no exception."""
    (_, batch, terms), (_, other, others) = both
    rollout, again = batch.rollout, other.rollout
    assert not (rollout.mask[:4].any(0) == rollout.mask[4:].any(0)).all()
    for name in ("actions", "mask", "prompt_ids"):
        one, two = getattr(rollout, name), getattr(again, name)
        np.testing.assert_array_equal(one, two)
    for name in ("log_probs", "values", "reference_log_probs"):
        one, two = getattr(rollout, name), getattr(again, name)
        np.testing.assert_allclose(one, two, atol=1e-5)
    np.testing.assert_array_equal(batch.rewards, other.rewards)
    assert list(terms) == list(others)
    for name in terms:
        np.testing.assert_array_equal(terms[name], others[name])


def test_rewards_see_by_whom_they_are_scored(both):
    trainer, seen = both[1][0], []

    def scorer(reward, examples, responses):
        seen.append((threading.current_thread().name, len(examples)))
        return reward.score_batch(examples, responses)

    with trainer.reward.scored_by(scorer):
        trainer.collect(toy.EXAMPLES, step=3)
    assert [rows for _, rows in seen] == [4, 4]
    assert seen[0][0] == seen[1][0] != threading.main_thread().name


@pytest.mark.parametrize("row", [1, 6])
def test_an_error_names_itself(both, row):
    trainer = both[1][0]
    before, example = trainer.reward, toy.EXAMPLES[row]
    trainer.scorer.reward = Fails(example.prompt)
    with pytest.raises(TokenRLError, match=f'KeyError.*"{example.key}"'):
        trainer.collect(toy.EXAMPLES, step=3)
    trainer.scorer.reward = before


def test_a_row_that_was_dictated_is_no_answer_to_reward():
    """It enters no mean of a reward that is normalised, and earns 0."""
    mask = np.array([[True], [False], [True]])
    ids = np.zeros((3, 1), np.int32)
    floats = np.zeros((3, 1), np.float32)
    rollout = Rollout(ids, mask, ids, mask, floats, floats)
    prefix = Prefix(ids, np.array([0, 1, 0], np.int32), mask[:, 0])
    prompts = Prompts([1, 50, 2], ids, mask, prefix=prefix)
    reward = normalize(Twice())
    reward.begin(0)
    earned = Scorer(reward, decode)(prompts, [rollout]).rewards
    np.testing.assert_allclose(earned[:, 0], [-1, 0, 1], rtol=1e-5)

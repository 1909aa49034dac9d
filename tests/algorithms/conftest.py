"""A batch of four rows, two answers to each of two prompts."""

import numpy as np
import pytest

from tf_tokenrl.flow import Batch, Context, Rollout, Scores

MASK = np.array(
    [
        [True, True, True, True, False],
        [True, True, False, False, False],
        [True, False, True, False, False],  # a forced token inside
        [True, True, True, True, True],
    ]
)


def collect(junk=0.0, columns=5):
    """`(rollout, rewards, scores)`; `junk` fills the masked slots."""
    random = np.random.default_rng(5)

    def tensor(low, high):
        inside = np.where(MASK, random.uniform(low, high, MASK.shape), junk)
        wide = ((0, 0), (0, columns - 5))
        padded = np.pad(inside, wide, constant_values=junk)
        return padded.astype(np.float32)

    mask = np.pad(MASK, ((0, 0), (0, columns - 5)))
    rollout = Rollout(
        prompt_ids=np.ones((4, 2), np.int32),
        prompt_mask=np.ones((4, 2), bool),
        actions=np.zeros(mask.shape, np.int32),
        mask=mask,
        log_probs=tensor(-2, 0),
        values=tensor(-1, 1),
        reference_log_probs=tensor(-2, 0),
    )
    rewards = tensor(-1, 1)
    scores = Scores(tensor(-2, 0), tensor(-1, 1), tensor(0, 1))
    return rollout, rewards, scores


def company(rollout) -> Context:
    """Greedy answers with the masks of the rollout, and a memory."""
    memory = {"return_sum": np.float32(1.5), "return_weight": np.float32(2)}
    return Context(rollout.mask, rollout.values, memory)


def whole_batch(algorithm, rollout, rewards) -> Batch:
    """A batch of step 3 whose teacher gave what was sampled."""
    targets = algorithm.targets(rollout, rewards, company(rollout))
    settings = algorithm.settings(3)
    batch = Batch(rollout, rewards, targets, rollout, settings)
    return batch._replace(targets=algorithm.minibatch_targets(batch))


def update(algorithm, rollout, rewards, scores):
    """`(targets, loss, metrics)` of one pass through an algorithm."""
    batch = whole_batch(algorithm, rollout, rewards)
    return batch.targets, *algorithm.loss(batch, scores)


@pytest.fixture
def make_batch():
    return collect


@pytest.fixture
def learn():
    return update


@pytest.fixture
def complete():
    return whole_batch

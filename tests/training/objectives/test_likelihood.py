import collections

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.updates.adam import Adam

EXAMPLES = [
    Example(" ".join(tiny.WORDS[: i % 4]), (" ".join(tiny.WORDS[i % 3 : 3]),))
    for i in range(23)
]


@pytest.fixture(scope="module")
def policy():
    return tiny.shared_policy("gru")


@pytest.fixture(scope="module")
def learner(policy):
    return Learner(policy, Likelihood(), Adam(0.02))


def rows_of(batch):
    """The rows of a batch as they would stand alone, without padding."""
    for i in np.flatnonzero(batch["present"]):
        prompt = batch["prompt"][i][batch["prompt_mask"][i]]
        answer = batch["actions"][i][batch["actions_mask"][i]]
        yield tuple(prompt), tuple(answer)


def expected_rows(policy):
    pairs = policy.encode_pairs(
        [example.prompt for example in EXAMPLES],
        [example.reference for example in EXAMPLES],
    )
    return [
        (
            tuple(pairs.prompt_ids[i][pairs.prompt_mask[i]]),
            tuple(pairs.actions[i][pairs.mask[i]]),
        )
        for i in range(len(EXAMPLES))
    ]


def test_an_epoch_has_every_row_once(policy):
    rows = Likelihood().rows(policy, EXAMPLES)
    due = collections.Counter(expected_rows(policy))
    for epoch in range(2):
        taken = rows.epoch(0, epoch, 4)
        assert len(taken) == 6 and max(map(len, taken)) == 4
        found = [r for t in taken for r in rows_of(rows.batch(t, 4))]
        assert collections.Counter(found) == due


def test_nothing_cannot_be_learned(policy):
    with pytest.raises(TokenRLError, match="no examples"):
        Likelihood().rows(policy, [])


def log_probs(policy, prompt, answer):
    """Of one pair alone: of the prompt's tokens, then of the answer's."""
    pairs = policy.encode_pairs([prompt], [answer])
    kept = pairs.prompt_ids[0][pairs.prompt_mask[0]]
    actions = np.concatenate([kept[1:], pairs.actions[0]])[None]
    alone = pairs._replace(
        prompt_ids=kept[None, :1],
        prompt_mask=np.ones((1, 1), bool),
        actions=actions,
        mask=np.ones(actions.shape, bool),
    )
    found = policy.score(alone).log_probs[0].numpy()
    return found[: len(kept) - 1], found[len(kept) - 1 :]


def test_nll_is_the_mean_over_all_tokens_of_the_answers(policy, learner):
    """However the rows are cut into batches, and whatever fills them up."""
    found = [log_probs(policy, e.prompt, e.reference)[1] for e in EXAMPLES]
    expected = -np.concatenate(found).mean()
    rows = learner.objective.rows(policy, EXAMPLES)
    for size in (1, 5, 128):
        figures = learner._update.measure(rows, rows.in_order(size))
        assert figures["nll"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_prompts_are_learned_at_their_weight(policy, weight):
    found = [log_probs(policy, e.prompt, e.reference) for e in EXAMPLES]
    prompts, answers = map(np.concatenate, zip(*found, strict=True))
    total = weight * len(prompts) + len(answers)
    expected = -(weight * prompts.sum() + answers.sum()) / total
    objective = Likelihood(prompt_weight=weight)
    figures = Learner(policy, objective, Adam(0.02)).measure(EXAMPLES)
    assert figures["loss"] == pytest.approx(expected, abs=1e-5)
    assert figures["nll"] == pytest.approx(-answers.mean(), abs=1e-5)


def test_gold_weighs_tokens_by_their_probability_and_not_its_gradient():
    """At p = 0.1 the gradient on the target's logit is -p (1 - p)."""
    logits = tf.Variable(np.log([[[0.1, 0.9]]]).astype(np.float32))

    class Told:
        """A policy that says one distribution, whatever it is asked."""

        def __call__(self, inputs, training):
            log_probs = tf.nn.log_softmax(logits)
            return {"log_probs": log_probs[:, :, 0]}

    batch = {
        name: tf.zeros([1, 1], tf.int32)
        for name in ("prompt", "prompt_mask", "actions", "actions_mask")
    }
    with tf.GradientTape() as tape:
        terms = Likelihood(weighting="gold").terms(Told(), batch, None, {})
    assert float(terms["loss"][0, 0]) == pytest.approx(0.230259, abs=1e-6)
    gradient = tape.gradient(terms["loss"], logits)[0, 0]
    np.testing.assert_allclose(gradient, [-0.09, 0.09], atol=1e-6)


def test_an_unknown_weighting_is_named():
    with pytest.raises(TokenRLError, match='"silver".*none, gold'):
        Likelihood(weighting="silver")


def test_training_computes_what_measuring_does():
    policy = tiny.shared_policy("gpt2")
    rows = Likelihood().rows(policy, EXAMPLES)
    batch = rows.batch(np.arange(8), 1)
    given = {
        "prompt_ids": batch["prompt"],
        "prompt_mask": batch["prompt_mask"],
        "actions": batch["actions"],
        "mask": batch["actions_mask"],
    }
    one = policy(given, training=True)
    other = policy(given, training=False)
    for name in one:
        np.testing.assert_allclose(
            np.where(given["mask"], one[name], 0.0),
            np.where(given["mask"], other[name], 0.0),
            atol=1e-5,
        )

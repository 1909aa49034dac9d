"""Q is what the policy itself says, told in another way."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tests.training.q_learning.seen import observations
from tf_tokenrl.training.q_learning.q_values import q_values

PROMPTS = ["the name", "open a given file", "return"]


@pytest.fixture(scope="module", params=["gru", "gpt2"])
def made(request):
    return tiny.shared_policy(request.param)


@pytest.fixture(scope="module")
def q(made):
    """`q_values` of the policy, traced once."""
    signature = [tf.TensorSpec([None, None], tf.int32)]
    return tf.function(
        lambda seen: q_values(made, seen), input_signature=signature
    )


def test_the_greedy_policy_takes_the_largest_q(made, q):
    rollout = tiny.sample(made, PROMPTS, temperature=0.0)
    for t in range(rollout.mask.shape[1]):
        here = rollout.mask[:, t]
        worth = q(observations(made, rollout, t)).numpy()[here]
        assert worth.shape[1] == tiny.tokenizer().vocabulary_size()
        assert worth.argmax(-1).tolist() == rollout.actions[here, t].tolist()
        values = rollout.values[here, t]
        np.testing.assert_allclose(worth.max(-1), values, atol=1e-5)


def test_log_probs_are_those_of_a_softmax_of_q(made, q):
    rollout = tiny.sample(made, PROMPTS, seed=3)
    log_probs = made.score(rollout, temperature=1.0).log_probs.numpy()
    for t in range(rollout.mask.shape[1]):
        here = rollout.mask[:, t]
        worth = q(observations(made, rollout, t))
        found = tf.nn.log_softmax(worth).numpy()[here]
        chosen = np.take_along_axis(found, rollout.actions[here, t, None], 1)
        np.testing.assert_allclose(chosen[:, 0], log_probs[here, t], atol=1e-5)


def test_every_weight_is_learned(made, q):
    rollout = tiny.sample(made, PROMPTS)
    seen = observations(made, rollout, 2)
    with tf.GradientTape() as tape:
        worth = q(seen)[:, 5]
    variables = [v.value for v in made.trainable_variables]
    assert None not in tape.gradient(worth, variables)


def test_the_end_of_an_answer_has_finite_values(made, q):
    rollout = tiny.sample(made, PROMPTS)
    seen = observations(made, rollout, 0)
    seen[:, made.max_prompt_tokens :] = 5
    assert np.isfinite(q(seen)).all()


@pytest.mark.parametrize("unit", ["word", "text"])
def test_labels_have_values_too(unit):
    """Q of the next word's labels is the policy's own of that word."""
    policy = tiny.shared_label_policy(unit=unit)
    rollout = tiny.sample(policy, PROMPTS)
    scores = policy.score(rollout)
    for t in range(rollout.mask.shape[1]):
        here = rollout.mask[:, t]
        worth = q_values(policy, observations(policy, rollout, t))
        assert worth.shape[1] == len(policy.labels)
        values = scores.values.numpy()[here, t]
        np.testing.assert_allclose(
            worth.numpy().max(-1)[here], values, atol=1e-5
        )
        found = tf.nn.log_softmax(worth).numpy()[here]
        chosen = np.take_along_axis(found, rollout.actions[here, t, None], 1)
        np.testing.assert_allclose(
            chosen[:, 0], scores.log_probs.numpy()[here, t], atol=1e-5
        )

import keras
import numpy as np
import pytest

from tests.support import tiny, toy
from tf_tokenrl import algorithms
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout
from tf_tokenrl.training import preflight


@pytest.fixture(scope="module")
def policy():
    return tiny.policy("gru")


@pytest.fixture
def adam():
    return keras.optimizers.Adam(1e-3)


@pytest.mark.parametrize("name", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_an_optimizer_that_clips_by_itself(policy, name):
    with pytest.raises(TokenRLError, match=f"{name}.*gradient_clip"):
        preflight.check_parts(
            policy, keras.optimizers.Adam(**{name: 1.0}), None
        )


def test_a_policy_that_cannot_learn(policy, adam):
    with pytest.raises(TokenRLError, match="policy.trainable = True"):
        preflight.check_parts(policy.frozen_copy(), adam, None)


def test_the_policy_as_its_own_reference(policy, adam):
    with pytest.raises(TokenRLError, match="frozen_copy"):
        preflight.check_parts(policy, adam, policy)


def test_a_reference_of_another_temperature(policy, adam):
    reference = policy.frozen_copy()
    reference.temperature = 0.7
    with pytest.raises(TokenRLError, match="0.7 and the policy 1.0"):
        preflight.check_parts(policy, adam, reference)


def test_parts_that_fit(policy, adam):
    preflight.check_parts(policy, adam, policy.frozen_copy())
    preflight.check_parts(policy, adam, None)


@pytest.mark.parametrize(
    ("options", "settings", "batch_size", "words"),
    [
        ({"minibatches": 3}, {}, 8, "minibatches.*3"),
        ({"minibatches": 2}, {"accumulation": 4}, 12, "accumulation.*8"),
        ({"samples_per_prompt": 3}, {}, 8, "samples_per_prompt.*3"),
        ({}, {}, 0, "batch_size is 0"),
    ],
)
def test_a_batch_that_cannot_be_split(options, settings, batch_size, words):
    trainer = toy.trainer("gru", options=options, **settings)
    with pytest.raises(TokenRLError, match=words):
        trainer.fit(toy.EXAMPLES, 1, batch_size)
    assert trainer.finished_steps == 0


def test_no_examples_and_prompts_that_do_not_fit():
    """A prompt late in the data is found before the first step."""
    trainer = toy.trainer("gru")
    with pytest.raises(TokenRLError, match="no examples"):
        trainer.fit([], 1, 8)
    long = Example("the name of the open list " * 9)
    with pytest.raises(TokenRLError, match="Prompt 8 is longer than 12"):
        trainer.fit([*toy.EXAMPLES, long], 1, 4)
    assert trainer.finished_steps == 0


def test_leave_one_out_needs_company():
    with pytest.raises(TokenRLError, match="samples_per_prompt to 2"):
        algorithms.get("reinforce", baseline="leave_one_out")


def test_a_run_that_learned_nothing_says_so():
    trainer = toy.trainer("gru", "reinforce", reward=toy.Count(worth=0.0))
    before = trainer.policy.get_weights()
    with pytest.raises(TokenRLError, match="gradient was 0 in all 10 steps"):
        trainer.fit(toy.EXAMPLES, 10, 4)
    for a, b in zip(before, trainer.policy.get_weights(), strict=True):
        assert (a == b).all()
    preflight.check_learned(
        [{"gradient_norm": 0.0}] * 20 + [{"gradient_norm": 1}]
    )


@pytest.mark.parametrize(
    ("algorithm", "rows", "tokens", "refused"),
    [
        ("ppo", 1, 1, True),
        ("ppo(whiten=False)", 1, 1, False),
        ("ppo", 1, 2, False),
        ("ppo(whiten='minibatch', minibatches=4)", 4, 1, True),
        ("ppo(whiten='minibatch', minibatches=4)", 8, 1, False),
        ("ppo(minibatches=4)", 4, 1, False),
        ("mixed(algorithm=actor_critic)", 1, 1, True),
        ("grpo", 1, 1, False),
    ],
)
def test_one_action_by_itself_cannot_be_whitened(
    algorithm, rows, tokens, refused
):
    mask = np.ones((rows, tokens), bool)
    rollout = Rollout(None, None, None, mask, None, None)
    algorithm = algorithms.parse(algorithm)
    if refused:
        with pytest.raises(TokenRLError, match="one action at a time"):
            preflight.check_whitening(algorithm, rollout)
    else:
        preflight.check_whitening(algorithm, rollout)

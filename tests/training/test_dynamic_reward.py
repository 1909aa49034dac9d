"""Rewards that change while the trainer runs."""

import shutil

import numpy as np
import pytest

from tests.support import table, toy
from tf_tokenrl import algorithms, rewards
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.training import preflight

COUNT = "'tests.support.toy:Count'(token=5)"
CHANGING = (
    f"normalize({COUNT}, center=False) "
    "+ linear(0.0, 0.5, steps=4) * clip(length, high=6) "
    "+ multiplier(at_most=0.5, rate=0.5) * unfinished "
    f"+ ramp(0, 0.1, steps=2, metric='entropy', above=0) * {COUNT} "
    "- adaptive(0.1, target=0.001, horizon=8) * kl"
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Six steps without a stop, a checkpoint after three, and the logs."""
    trainer = toy.trainer("gpt2", "reinforce", reward=rewards.parse(CHANGING))
    folder = tmp_path_factory.mktemp("straight")
    checkpoint = Checkpoint(trainer, folder, every=3, keep=9)
    logs = trainer.fit(toy.EXAMPLES, 6, batch_size=8, callbacks=[checkpoint])
    return trainer, logs, checkpoint


def untimed(logs):
    clock = ("seconds", "tokens_per_second")
    return [{k: v for k, v in log.items() if k not in clock} for log in logs]


def test_what_changes_is_logged_and_learned_from(straight):
    logs = straight[1]
    weights = [log["weights/clip_length"] for log in logs]
    np.testing.assert_allclose(weights, [0, 0.125, 0.25, 0.375, 0.5, 0.5])
    for before, after in zip(logs, logs[1:], strict=False):
        violation = before["rewards/unfinished"] - 0.5
        multiplier = max(before["multiplier/unfinished"] + violation / 2, 0)
        assert after["multiplier/unfinished"] == pytest.approx(multiplier)
        error = np.clip(before["rewards/kl"] / 0.001 - 1, -0.2, 0.2)
        factor = after["weights/kl"] / before["weights/kl"]
        assert factor == pytest.approx(1 + error)
    for log in logs:
        total = log["rewards/normalize_Count"] + sum(
            log[f"weights/{name}"] * log[f"rewards/{name}"]
            for name in ("clip_length", "unfinished", "Count", "kl")
        )
        assert log["reward"] == pytest.approx(total, abs=1e-4)
    assert logs[0]["rewards/kl"] == pytest.approx(logs[0]["kl"], abs=1e-5)


def test_a_resumed_run_ends_bit_for_bit_alike(straight):
    """Last but one: it takes the trainer back to step 3 and on to 6."""
    trainer, logs, checkpoint = straight
    ended = trainer.policy.get_weights(), trainer.reward.state()
    shutil.rmtree(checkpoint.folder / "step-00000006")
    trainer.scorer.reward = rewards.parse(CHANGING)
    assert checkpoint.restore() == 3
    resumed = trainer.fit(toy.EXAMPLES, 6, batch_size=8)
    assert untimed(resumed) == untimed(logs[3:])
    assert trainer.reward.state() == ended[1]
    for one, other in zip(trainer.policy.get_weights(), ended[0], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_with_another_schedule_is_refused(straight):
    trainer, _, checkpoint = straight
    trainer.scorer.reward = rewards.parse(
        CHANGING.replace("steps=4", "steps=5")
    )
    with pytest.raises(TokenRLError, match="steps=4.*steps=5"):
        checkpoint.restore()


def test_a_weight_that_follows_an_inner_term_is_refused():
    reward = rewards.parse("length + clip(length - adaptive(1, 6) * kl, low=0)")
    with pytest.raises(TokenRLError, match="within another reward.*outside"):
        preflight.check_reward(reward)
    preflight.check_reward(rewards.parse(CHANGING))


@pytest.mark.slow
def test_a_policy_learns_to_hold_a_constraint():
    """Token 5 is paid for, yet two of token 7 are wanted in an answer."""
    seven = "'tests.support.toy:Count'(token=7)"
    wanted = f"multiplier(at_least=2.0, rate=0.01) * {seven}"
    trainer = toy.trainer(
        algorithm=algorithms.get("reinforce", entropy_weight=0.5),
        policy=table.policy(),
        learning_rate=0.05,
        reference=None,
        reward=rewards.parse(f"{COUNT} + {wanted}"),
    )
    logs = trainer.fit(toy.EXAMPLES * 4, 450, batch_size=32)
    held = np.array([log["rewards/Count_2"] for log in logs])
    assert held[:20].mean() < 0.6
    assert held[200:].mean() == pytest.approx(2.0, abs=0.25)
    multiplier = np.array([log["multiplier/Count_2"] for log in logs])
    assert np.ptp(multiplier[200:]) < 0.5 < multiplier[200:].min()

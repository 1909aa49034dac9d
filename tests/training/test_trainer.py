"""The loop: what is sampled, rewarded and learned, and that it is learned."""

import dataclasses
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import toy
from tf_tokenrl.algorithms.ppo import Ppo
from tf_tokenrl.rewards import Reward

STEPS, BATCH, EPOCHS, MINIBATCHES = 4, 8, 2, 2


class Numbered(Reward):
    """Answer number n of the batch earns n + 0.7 on its last token."""

    def __call__(self, examples, responses, rollout):
        rewards = np.zeros(rollout.mask.shape, np.float32)
        for row, length in enumerate(rollout.mask.sum(-1)):
            rewards[row, length - 1] = row + 0.7
        return rewards


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watched(Ppo):
    """PPO that notes each trace, and what each update learns from."""

    traces: list = dataclasses.field(default_factory=list)
    updates: list = dataclasses.field(default_factory=list)

    def targets(self, *given):
        self.traces.append("targets")
        return super().targets(*given)

    def loss(self, batch, scores):
        self.traces.append("loss")
        names = ("actions", "mask", "rewards", "old", "new")
        tf.numpy_function(
            lambda *values: self.updates.append(
                dict(zip(names, values, strict=True))
            ),
            [
                batch.rollout.actions,
                batch.rollout.mask,
                batch.rewards,
                batch.rollout.log_probs,
                scores.log_probs,
            ],
            [],
        )
        return super().loss(batch, scores)


class Run:
    """Four steps of PPO at temperature 0.7, two answers to each prompt."""

    def __init__(self):
        self.algorithm = Watched(
            epochs=EPOCHS, minibatches=MINIBATCHES, samples_per_prompt=2
        )
        self.schedule = keras.optimizers.schedules.PolynomialDecay(
            1e-2, STEPS * EPOCHS * MINIBATCHES, 1e-4
        )
        self.trainer = trainer = toy.trainer(
            algorithm=self.algorithm,
            reward=2.0 * Numbered(),
            learning_rate=self.schedule,
            policy={"temperature": 0.7, "stop_ids": (3, 9, 17, 31)},
        )
        act = trainer.policy.act
        trainer.policy.act = lambda *given: self._act(act, *given)
        self.seen = toy.Recorder(trainer)
        self.before = trainer.policy.get_weights()
        self.traces = []
        self.logs = trainer.fit(
            toy.EXAMPLES, STEPS, BATCH, callbacks=[_Traces(self)]
        )

    def _act(self, act, *given):
        self.algorithm.traces.append("act")
        return act(*given)

    def updates(self, step: int) -> np.ndarray:
        """What step `step` learned from, `[epoch][minibatch]`."""
        size = EPOCHS * MINIBATCHES
        taken = self.algorithm.updates[step * size : (step + 1) * size]
        return np.reshape(np.array(taken, object), (EPOCHS, MINIBATCHES))


class _Traces(keras.callbacks.Callback):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch, logs=None):
        self.run.traces.append(sorted(self.run.algorithm.traces))


@pytest.fixture(scope="module")
def run():
    return Run()


def rows(update) -> np.ndarray:
    """Which rows of the batch an update learned from, by their rewards."""
    return np.rint(update["rewards"].sum(-1) / 2 - 0.7).astype(int)


def test_the_first_update_sees_the_ratio_1_and_no_kl(run):
    update, rollout = run.updates(0)[0, 0], run.seen.rollouts[0]
    chosen = update["mask"]
    ratio = np.exp(update["new"] - update["old"])[chosen]
    assert np.abs(ratio - 1).max() < 1e-5
    gap = rollout.log_probs - rollout.reference_log_probs
    assert np.abs(gap[rollout.mask]).max() < 1e-5
    assert abs(run.logs[0]["kl"]) < 1e-5
    assert abs(run.logs[-1]["kl"]) > 1e-3


def test_what_was_sampled_is_what_is_rewarded_and_trained(run):
    for step, rollout in enumerate(run.seen.rollouts):
        for row, response in enumerate(run.seen.responses[step]):
            kept = rollout.actions[row][rollout.mask[row]]
            assert response.token_ids == tuple(kept)
        for update in run.updates(step).flat:
            taken = rows(update)
            for name in ("actions", "mask"):
                given = getattr(rollout, name)[taken]
                np.testing.assert_array_equal(update[name], given)
            np.testing.assert_array_equal(
                update["old"], rollout.log_probs[taken]
            )


def test_rewards_keep_their_fractions_and_their_weights(run):
    for update in run.updates(0).flat:
        totals = update["rewards"].sum(-1)
        wanted = 2 * (rows(update) + np.float32(0.7))
        np.testing.assert_allclose(totals, wanted, rtol=1e-6)
    mean = 2 * (np.arange(BATCH).mean() + 0.7)
    assert run.logs[0]["reward"] == pytest.approx(mean, rel=1e-6)


def test_each_epoch_takes_every_row_once_in_a_fresh_order(run):
    orders = [
        np.concatenate([rows(update) for update in epoch])
        for step in range(STEPS)
        for epoch in run.updates(step)
    ]
    for order in orders:
        assert sorted(order) == list(range(BATCH))
    assert len({tuple(order) for order in orders}) == len(orders)


def test_answers_to_one_prompt_are_adjacent_and_differ(run):
    for examples, rollout in zip(
        run.seen.examples, run.seen.rollouts, strict=True
    ):
        assert examples[0::2] == examples[1::2]
        assert len({e.prompt for e in examples}) == BATCH // 2
        answers = rollout.actions * rollout.mask
        assert (answers[0::2] != answers[1::2]).any(-1).mean() > 0.5


def test_every_prompt_is_asked_once_before_any_comes_again(run):
    asked = [e.prompt for step in run.seen.examples for e in step[::2]]
    half = len(toy.EXAMPLES)
    all_of_them = {e.prompt for e in toy.EXAMPLES}
    assert set(asked[:half]) == set(asked[half:]) == all_of_them
    assert asked[:half] != asked[half:]


def test_nothing_is_traced_after_the_first_step(run):
    shapes = {
        (r.prompt_ids.shape[1], r.actions.shape[1]) for r in run.seen.rollouts
    }
    assert len(shapes) > 1
    assert {"act", "loss", "targets"} == set(run.traces[0])
    assert run.traces[0] == run.traces[-1]


def test_the_policy_moved_and_the_reference_did_not(run):
    after = run.trainer.policy.get_weights()
    reference = run.trainer.reference.get_weights()
    assert any((a != b).any() for a, b in zip(after, run.before, strict=True))
    for a, b in zip(reference, run.before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_learning_rate_ends_with_the_run(run):
    updates = STEPS * EPOCHS * MINIBATCHES
    assert int(run.trainer.optimizer.iterations) == updates
    assert run.logs[-1]["learning_rate"] == pytest.approx(1e-4)
    middle = float(run.schedule(updates // 2))
    assert run.logs[STEPS // 2 - 1]["learning_rate"] == pytest.approx(middle)


def test_the_logs_tell_what_happened(run):
    for log, rollout in zip(run.logs, run.seen.rollouts, strict=True):
        assert all(np.isfinite(list(log.values())))
        assert log["length"] == rollout.mask.sum() / BATCH
        assert log["entropy"] > 0 and log["gradient_norm"] > 0
        assert log["approximate_kl"] >= 0
        last = rollout.actions[np.arange(BATCH), rollout.mask.sum(-1) - 1]
        stopped = np.isin(last, run.trainer.policy.stop_ids).mean()
        assert log["stopped"] == pytest.approx(stopped)


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C as a step begins; notes what comes after."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        signal.raise_signal(signal.SIGINT)

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(batch)

    def on_train_end(self, logs=None):
        self.seen.append("end")


def test_ctrl_c_finishes_the_step(run):
    """Last of the tests of `run`, which it takes a step further."""
    callback = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        run.trainer.fit(toy.EXAMPLES, 99, BATCH, callbacks=[callback])
    assert callback.seen == [STEPS, "end"]
    assert run.trainer.finished_steps == STEPS + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "name", "options"),
    [
        ("reinforce", "gpt2", {}),
        ("actor_critic", "gru", {}),
        ("ppo", "gpt2", {"epochs": 2, "minibatches": 2}),
        ("ppo", "bart", {"epochs": 2, "minibatches": 2}),
    ],
)
def test_a_token_task_is_learned(algorithm, name, options):
    """Four tokens, one point for each of the right kind: the best is 4."""
    trainer = toy.trainer(
        name,
        algorithm,
        learning_rate=2e-2,
        options=options,
        policy={"max_new_tokens": 4},
        reference=None,
    )
    logs = trainer.fit(toy.EXAMPLES, steps=40, batch_size=32)
    assert logs[0]["reward"] < 1
    assert np.mean([log["reward"] for log in logs[-5:]]) >= 0.95 * 4
    assert "kl" not in logs[0]


def test_reward_and_algorithm_may_be_expressions():
    trainer = toy.trainer(
        "gru", "reinforce", reward="length - 0.1 * repetition"
    )
    assert [name for name, _, _ in trainer.scorer.reward.terms()] == [
        "length",
        "repetition",
    ]

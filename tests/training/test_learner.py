"""Learning from data takes the same exact steps as learning from rewards."""

import csv
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny, toy
from tests.support.processes import learner_check
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.updates.adam import Adam


def made(**settings):
    settings.setdefault("optimizer", keras.optimizers.SGD(1.0))
    return Learner(
        tiny.policy("gru"), Likelihood(prompt_weight=0.2), **settings
    )


def by_hand(rows):
    """The gradient of the loss of some rows, each scored alone."""
    policy = tiny.policy("gru")
    weights = [v.value for v in policy.trainable_variables]
    with tf.GradientTape() as tape:
        total, count = 0.0, 0.0
        for row in rows:
            example = toy.EXAMPLES[row]
            pairs = policy.encode_pairs([example.prompt], [example.reference])
            learned = pairs.prompt_ids[:, 1:]
            given = pairs._replace(
                prompt_ids=pairs.prompt_ids[:, :1],
                prompt_mask=pairs.prompt_mask[:, :1],
                actions=np.concatenate([learned, pairs.actions], 1),
                mask=np.concatenate([learned > -1, pairs.mask], 1),
            )
            weight = np.ones(given.mask.shape[1], np.float32)
            weight[: learned.shape[1]] = 0.2
            total -= tf.reduce_sum(policy.score(given).log_probs[0] * weight)
            count += weight.sum()
        loss = total / count
    found = tape.gradient(loss, weights, unconnected_gradients="zero")
    return [np.array(tf.convert_to_tensor(g)) for g in found], float(loss)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_is_the_gradient_of_the_mean_over_all_tokens(accumulation):
    """Three rows in two parts: one part has one row and one that fills up."""
    learner = made(gradient_clip=0.0, accumulation=accumulation)
    before = [v.numpy() for v in learner.policy.trainable_variables]
    rows = learner.objective.rows(learner.policy, toy.EXAMPLES)
    logs = learner.step(rows, np.array([1, 4, 6]))
    wanted, loss = by_hand([1, 4, 6])
    assert logs["loss"] == pytest.approx(loss, abs=1e-5)
    after = [v.numpy() for v in learner.policy.trainable_variables]
    for a, b, gradient in zip(after, before, wanted, strict=True):
        np.testing.assert_allclose(a - b, -gradient, atol=2e-6)


def test_learning_lowers_the_nll_and_says_so_at_each_epoch(tmp_path):
    learner = made(optimizer=Adam(0.02))
    seen = []

    class Epochs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["val_nll"], logs["nll"]))

    history = learner.fit(
        toy.EXAMPLES,
        epochs=12,
        batch_size=3,
        validation=toy.EXAMPLES,
        callbacks=[Epochs(), keras.callbacks.CSVLogger(tmp_path / "log.csv")],
    )
    assert len(history) == 36 and [e[0] for e in seen] == list(range(12))
    assert seen[-1][1] < 0.3 * seen[0][1]
    measured = learner.measure(toy.EXAMPLES)["nll"]
    assert measured == pytest.approx(seen[-1][1], rel=1e-5)
    assert history[-1]["validation/nll"] == seen[-1][1]
    means = [np.mean([h["nll"] for h in history[i : i + 3]]) for i in (0, 33)]
    assert [seen[0][2], seen[-1][2]] == pytest.approx(means)
    with open(tmp_path / "log.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 12


def test_keras_callbacks_by_epoch_stop_and_slow_a_run():
    learner = made(optimizer=Adam(0.02))
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        keras.callbacks.EarlyStopping(
            "val_nll", mode="min", patience=1, min_delta=1e9
        ),
    ]
    history = learner.fit(toy.EXAMPLES, 9, 8, toy.EXAMPLES, callbacks)
    assert [h["learning_rate"] for h in history] == pytest.approx([0.01, 0.005])
    assert "optimizer" not in vars(learner.policy)


def test_ctrl_c_saves_and_the_run_goes_on_as_if_never_stopped(tmp_path):
    class Press(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                signal.raise_signal(signal.SIGINT)

    def run(folder, *more):
        learner = made(optimizer=Adam(0.02), seed=5)
        checkpoint = Checkpoint(learner, folder, every=100)
        checkpoint.restore()
        learner.fit(toy.EXAMPLES, 3, 3, callbacks=[*more, checkpoint])
        return learner.policy.get_weights()

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", Press())
    assert sorted(os.listdir(tmp_path / "stopped"))[-1] == "step-00000004"
    again, straight = run(tmp_path / "stopped"), run(tmp_path / "straight")
    for a, b in zip(again, straight, strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_rows_are_refused(tmp_path):
    learner = made()
    checkpoint = Checkpoint(learner, tmp_path, every=100)
    learner.fit(toy.EXAMPLES, 1, 4, callbacks=[checkpoint])
    assert checkpoint.restore() == 2
    with pytest.raises(TokenRLError, match="data was"):
        learner.fit(toy.EXAMPLES[1:], 2, 4, callbacks=[checkpoint])


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    subprocess.run(
        [sys.executable, "-m", learner_check.__name__, str(folder)],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return {f.stem: dict(np.load(f).items()) for f in folder.glob("*.npz")}


def test_two_devices_learn_what_one_does(found):
    """Also with rows cut in two parts, a batch that is filled up, clipped."""
    assert found["two_devices"]["replicas"] == 2
    for name, value in found["one_device"].items():
        if name != "replicas":
            np.testing.assert_allclose(
                value, found["two_devices"][name], atol=1e-6
            )
    assert (found["one_device"]["norms"] > 0.05).all()

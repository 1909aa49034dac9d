import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl import catalog
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout
from tf_tokenrl.schedules.linear import Linear
from tf_tokenrl.training import q_learning
from tf_tokenrl.training.q_learning.dqn import Dqn


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("discount", 1.1),
        ("epsilon", -0.1),
        ("epsilon", "much"),
        ("epsilon", Linear(2.0, 0.0, steps=4)),
        ("target_rate", 0.0),
        ("target_rate", 1.5),
        ("n_step", 0),
        ("updates", 1.5),
        ("minibatch_size", 0),
        ("replay_capacity", -1),
        ("largest_vocabulary", True),
        ("no_such_option", 1),
    ],
)
def test_impossible_options_are_named(option, value):
    with pytest.raises(TokenRLError, match=option):
        catalog.create(q_learning, "dqn", **{option: value})


def test_a_replay_too_small_for_one_stretch_is_refused():
    with pytest.raises(TokenRLError, match="replay_capacity.*n_step"):
        Dqn(n_step=4, replay_capacity=4)


def test_exploration_follows_its_schedule():
    algorithm = Dqn(epsilon=Linear(1.0, -1.0, steps=4))
    found = [algorithm.exploration(step) for step in (0, 1, 2, 9)]
    assert found == [1.0, 0.5, 0.0, 0.0]
    assert Dqn(epsilon=0.25).exploration(7) == 0.25


def test_the_constructor_is_the_configuration():
    algorithm = Dqn(discount=0.9, epsilon=0.1)
    assert q_learning.parse(repr(algorithm).replace("Dqn", "dqn")) == algorithm


def test_targets_are_the_errors_of_the_values():
    mask = np.array([[True, True, True], [True, False, False]])
    values = np.array([[1, 2, 3], [4, np.nan, np.nan]], np.float32)
    rewards = np.array([[0.5, 0, 2], [1, np.nan, np.nan]], np.float32)
    ids = np.zeros(mask.shape, np.int32)
    rollout = Rollout(ids, mask, ids, mask, 0 * rewards, values)
    targets = Dqn(discount=0.5).targets(rollout, tf.constant(rewards))
    expected = [[0.5 + 1 - 1, 0 + 1.5 - 2, 2 - 3], [1 - 4, 0, 0]]
    np.testing.assert_allclose(targets.advantages, expected)
    np.testing.assert_allclose(targets.returns, [[1.5, 1.5, 2], [1, 0, 0]])


def test_the_plain_trainer_is_told_where_to_go():
    with pytest.raises(TokenRLError, match="QTrainer"):
        Dqn().loss(None, None)

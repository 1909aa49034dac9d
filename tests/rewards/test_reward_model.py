"""Learned judges."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

EXAMPLES = [Example("abc"), Example(""), Example("a")]


@pytest.fixture
def answers(make_response):
    return [
        make_response(["Hell", "o"]),
        make_response(["He", "llo"]),
        make_response([]),
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_a_number_goes_to_the_last_token(
    judge, answers, make_rollout, batch_size
):
    reward = rewards.get("reward_model", path=judge, batch_size=batch_size)
    result = reward(EXAMPLES, answers, make_rollout(answers, interior=False))
    np.testing.assert_allclose(result[[0, 1, 2], [2, 2, 0]], [0.2, 0.5, -0.1])
    assert np.count_nonzero(result) == 3


def test_amounts_for_characters_go_to_their_tokens(judge, answers):
    reward = rewards.get("reward_model", path=judge, signature="spans")
    assert reward.score_batch(EXAMPLES, answers) == [
        [3, 0, 0],  # both spans lie in "Hell"
        [2, 1, 0],  # the second is shared by "He" and "llo"
        [3],  # an empty answer: all on its stop token
    ]


def test_a_keras_file(tmp_path, make_response):
    prompt = keras.Input((), dtype="string", name="prompt")
    answer = keras.Input((), dtype="string", name="answer")
    count = keras.layers.TextVectorization(
        vocabulary=["good"], output_mode="count"
    )
    score = keras.layers.Dense(1)
    output = score(count(answer))
    model = keras.Model({"prompt": prompt, "answer": answer}, output)
    score.set_weights([np.array([[0.0], [2.0]]), np.array([0.5])])
    path = tmp_path / "judge.keras"
    model.save(path)
    reward = rewards.get("reward_model", path=str(path))
    responses = [make_response(["good good"]), make_response(["bad"])]
    assert reward.score_batch(EXAMPLES[:2], responses) == [4.5, 0.5]


def test_keras_files_bring_no_code(tmp_path):
    model = keras.Sequential(
        [keras.Input((), dtype="string"), keras.layers.Lambda(lambda x: x)]
    )
    path = tmp_path / "code.keras"
    model.save(path)
    with pytest.raises(TokenRLError, match="cannot load"):
        rewards.get("reward_model", path=str(path))


def test_what_it_gives_must_be_understood(judge, answers):
    reward = rewards.get("reward_model", path=judge, signature="wrong")
    with pytest.raises(TokenRLError, match=r"'a': \(3,\).*expected `score`"):
        reward.score_batch(EXAMPLES, answers)


def test_it_must_be_there(tmp_path, judge):
    with pytest.raises(TokenRLError, match="cannot load"):
        rewards.get("reward_model", path=str(tmp_path / "none"))
    with pytest.raises(TokenRLError, match='no signature "score" but .*spans'):
        rewards.get("reward_model", path=judge, signature="score")
    assert tf.io.gfile.exists(judge)

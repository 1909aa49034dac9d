"""Likelihood of a text under a model with tokens of its own."""

import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.policies import storage


def test_it_is_that_of_the_model_where_tokens_agree(language_model):
    policy = storage.load(language_model)
    prompts, answers = ["the name"] * 2, ["open a given file", "return list"]
    rollout = policy.encode_pairs(prompts, answers)
    log_probs = policy.score(rollout, temperature=1.0).log_probs.numpy()
    reward = rewards.get("log_likelihood", policy=language_model)
    examples = [Example(prompt) for prompt in prompts]
    result = reward(examples, policy.decode(rollout), rollout)
    np.testing.assert_allclose(
        result[rollout.mask], log_probs[rollout.mask], atol=1e-5
    )


@pytest.mark.parametrize(
    ("pieces", "stopped"),
    [(["open a", " giv", "en file"], True), (["o", "pen a given file"], False)],
)
def test_other_tokens_share_the_same_sum(
    language_model, make_response, pieces, stopped
):
    policy = storage.load(language_model)
    pairs = policy.encode_pairs(["the name"], ["open a given file"])
    log_probs = policy.score(pairs, temperature=1.0).log_probs.numpy()[0]
    response = make_response(pieces, stopped)
    reward = rewards.get("log_likelihood", policy=language_model)
    scores = reward.score(Example("the name"), response)
    assert len(scores) == len(response.token_ids)
    count = len(log_probs) - (not stopped)  # the stop token was not chosen
    np.testing.assert_allclose(sum(scores), log_probs[:count].sum(), rtol=1e-5)


def test_rows_may_be_judged_in_parts(language_model):
    policy = tiny.shared_policy("gru")
    texts = ["open", "a file or list", "return the value", "name", ""]
    rollout = policy.encode_pairs(["the name"] * 5, texts)
    batch = [Example("the name")] * 5, policy.decode(rollout), rollout
    whole = rewards.get("log_likelihood", policy=language_model)
    parts = rewards.get("log_likelihood", policy=language_model, batch_size=2)
    np.testing.assert_allclose(whole(*batch), parts(*batch), atol=1e-5)


def test_what_does_not_fit_is_named(language_model):
    reward = rewards.get("log_likelihood", policy=language_model)
    text = "open a file " * 30
    response = Response(text, (5,), ((0, len(text)),), False)
    with pytest.raises(TokenRLError, match="too long|tokens"):
        reward.score(Example("x"), response)


def test_the_model_must_be_there(tmp_path):
    with pytest.raises(TokenRLError, match="no policy"):
        rewards.get("log_likelihood", policy=str(tmp_path / "none.keras"))

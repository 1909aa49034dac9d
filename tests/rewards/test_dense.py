"""The potential-based form of a reward."""

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.ops.returns import discounted_returns
from tf_tokenrl.rewards import Reward


class Seen(Reward):
    """Keeps every answer that it scores; 1 for a finished one."""

    def __init__(self):
        self.responses = []

    def score(self, example, response):
        self.responses.append(response)
        return float(response.stopped)


def test_it_is_the_difference_of_the_scores_of_prefixes(
    make_response, make_rollout
):
    response = make_response(["The", " cat", " sat", "."])
    example = Example("x", ("The cat sat on the mat.",))
    result = rewards.parse("dense(bleu(dense=False))")(
        [example], [response], make_rollout([response])
    )
    np.testing.assert_allclose(
        result[0, ::2][:5],
        rewards.get("bleu").score(example, response),
        atol=1e-7,
    )


@pytest.mark.parametrize(
    ("dense", "quick"),
    [
        ("dense(bleu(dense=False))", "bleu"),
        ("dense(bleu)", "bleu"),
        ("dense(rouge(dense=False) - kl)", "rouge - kl"),
        ("dense(repetition)", "repetition"),
    ],
)
def test_what_is_dense_already_stays_as_it_is(
    examples, responses, make_rollout, dense, quick
):
    batch = examples, responses, make_rollout(responses)
    np.testing.assert_allclose(
        rewards.parse(dense)(*batch), rewards.parse(quick)(*batch), atol=1e-6
    )


def test_the_return_at_the_start_is_that_of_the_sparse_reward(
    examples, responses, make_rollout
):
    rollout = make_rollout(responses, interior=False)
    batch = examples, responses, rollout
    returns = [
        discounted_returns(rewards.parse(text)(*batch), rollout.mask, 1.0)
        for text in ("dense(bleu(dense=False))", "bleu(dense=False)")
    ]
    np.testing.assert_allclose(returns[0][:, 0], returns[1][:, 0], atol=1e-6)


def test_prefixes_are_answers_of_their_own(make_response, make_rollout):
    seen = Seen()
    response = make_response(["a", " b"])
    result = rewards.get("dense", reward=seen)(
        [Example("x")], [response], make_rollout([response], interior=False)
    )
    assert [r.text for r in seen.responses] == ["a", "a b", "a b"]
    assert [len(r.token_ids) for r in seen.responses] == [1, 2, 3]
    assert [len(r.offsets) for r in seen.responses] == [1, 2, 3]
    assert result[0, :3].tolist() == [0, 0, 1]  # cut short is not stopped


def test_no_tokens_no_rewards(make_response, make_rollout):
    response = make_response([], stopped=False)
    result = rewards.parse("dense(bleu)")(
        [Example("x")], [response], make_rollout([response])
    )
    assert not result.any()


def test_its_name_says_of_what():
    names = [n for n, _, _ in rewards.parse("dense(bleu) - dense(kl)").terms()]
    assert names == ["dense_bleu", "dense_kl"]


def test_it_takes_a_reward():
    with pytest.raises(TokenRLError, match=r"write dense\(bleu\)"):
        rewards.get("dense", reward="bleu")

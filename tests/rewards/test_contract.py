"""What every reward of the library must do."""

from pathlib import Path

import numpy as np
import pytest

from tf_tokenrl import catalog, rewards
from tf_tokenrl.errors import TokenRLError

# The ids of these rollouts are no text of any policy's, which `teacher`
# refuses: its own tests have real ones.
NAMES = [name for name in catalog.names(rewards) if name != "teacher"]
pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def reward(name, expressions):
    return rewards.parse(expressions.get(name, name))


@pytest.fixture
def examples(name, examples):
    if name != "cross_entropy":
        return examples
    gold = [("B-A O O",), (), ("",), ("O",), ("O O O O O O",)]
    return [
        example._replace(references=references)
        for example, references in zip(examples, gold, strict=True)
    ]


@pytest.fixture
def responses(name, responses, make_response):
    """For `cross_entropy` one token per tag, else texts."""
    if name != "cross_entropy":
        return responses
    return [
        make_response(["B-A", " O", " B-A"]),
        make_response(["O", " O"]),
        make_response(["O"], stopped=False),
        make_response([]),
        make_response(["O", " B-A", " O", " O", " O", " O"], False),
    ]


def test_rewards_lie_on_chosen_tokens(
    reward, examples, responses, make_rollout
):
    rollout = make_rollout(responses)
    result = reward(examples, responses, rollout)
    assert result.dtype == np.float32
    assert result.shape == rollout.mask.shape
    assert not result[~rollout.mask].any()
    assert np.isfinite(result).all()


def test_masked_slots_mean_nothing(reward, examples, responses, make_rollout):
    clean = reward(examples, responses, make_rollout(responses))
    dirty = make_rollout(responses, junk=np.nan)
    np.testing.assert_array_equal(reward(examples, responses, dirty), clean)


def test_padding_changes_nothing(reward, examples, responses, make_rollout):
    plain = reward(examples, responses, make_rollout(responses))
    wide = reward(examples, responses, make_rollout(responses, columns=19))
    np.testing.assert_array_equal(wide[:, :12], plain)
    assert not wide[:, 12:].any()


def test_rows_do_not_know_their_neighbours(
    reward, examples, responses, make_rollout
):
    rollout = make_rollout(responses)
    backwards = rollout.rows(slice(None, None, -1))
    np.testing.assert_array_equal(
        reward(examples[::-1], responses[::-1], backwards),
        reward(examples, responses, rollout)[::-1],
    )


def test_a_forced_token_between_chosen_ones_changes_nothing(
    reward, examples, responses, make_rollout
):
    forced = make_rollout(responses)
    plain = make_rollout(responses, interior=False)
    np.testing.assert_array_equal(
        reward(examples, responses, forced)[forced.mask],
        reward(examples, responses, plain)[plain.mask],
    )


def test_its_dense_form_adds_up_to_it(
    reward, examples, responses, make_rollout
):
    if reward.listens:
        pytest.skip("takes whole answers only")
    batch = examples, responses, make_rollout(responses)
    dense = rewards.get("dense", reward=reward)
    np.testing.assert_allclose(
        dense(*batch).sum(axis=1), reward(*batch).sum(axis=1), atol=1e-6
    )


def test_scaling_is_linear(reward, examples, responses, make_rollout):
    batch = examples, responses, make_rollout(responses)
    once = reward(*batch)
    np.testing.assert_allclose((-0.5 * reward)(*batch), -0.5 * once)
    np.testing.assert_allclose((reward - reward)(*batch), 0 * once)


def test_its_text_builds_it_again(name, reward):
    if name == "perplexity":  # holds a model, which has no literal
        assert repr(reward) == "perplexity(policy=None)"
    again = rewards.parse(repr(reward))
    assert type(again) is type(reward)
    assert repr(again) == repr(reward)


def test_options_that_do_not_exist_are_refused(name):
    with pytest.raises(TokenRLError, match="no_such_option|no arguments"):
        rewards.get(name, no_such_option=1)


def test_it_is_one_term(name, reward):
    ((label, weight, term),) = reward.terms()
    assert label.startswith(name)
    assert (weight, term) == (1.0, reward)


def test_it_is_documented(name):
    page = Path(rewards.__file__).parents[2] / "docs" / "rewards.md"
    text = page.read_text("utf-8")
    assert f"### `{name}`\n" in text
    assert f"[`{name}`](#{name})" in text

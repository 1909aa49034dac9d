"""Placing, adding and checking rewards."""

import asyncio

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.rewards import Function, Reward


class Constant(Reward):
    def __init__(self, value=0.7):
        self.value = value

    def score(self, example, response):
        return self.value


class PerToken(Reward):
    def score(self, example, response):
        return [0.5 + i for i in range(len(response.token_ids))]


def shout(example, response, bonus=1.0):
    return bonus * response.text.isupper()


@pytest.fixture
def batch(examples, responses, make_rollout):
    return examples, responses, make_rollout(responses)


def test_a_float_goes_to_the_last_chosen_token_whole(batch):
    mask = batch[2].mask
    result = Constant()(*batch)
    for row, chosen in zip(result, mask, strict=True):
        assert row[np.flatnonzero(chosen)[-1]] == np.float32(0.7)
        assert np.count_nonzero(row) == 1


def test_a_list_goes_to_the_chosen_tokens_in_order(batch):
    mask = batch[2].mask
    for row, chosen in zip(PerToken()(*batch), mask, strict=True):
        np.testing.assert_array_equal(
            row[chosen], 0.5 + np.arange(chosen.sum())
        )


def test_a_row_without_chosen_tokens_gets_nothing(make_response, make_rollout):
    response = make_response([], stopped=False)
    result = Constant()(
        [Example("x")], [response], make_rollout([response], columns=3)
    )
    assert not result.any()


def test_rewards_add_up(batch):
    mixture = Constant(2) + 0.3 * PerToken() - Constant(0.5) * 2
    expected = (
        Constant(2)(*batch) + 0.3 * PerToken()(*batch) - Constant(1)(*batch)
    )
    np.testing.assert_allclose(mixture(*batch), expected, atol=1e-6)
    assert mixture(*batch).dtype == np.float32


def test_weights_distribute():
    a, b = Constant(1), PerToken()
    terms = (-(a - 2 * (b - 0.5 * a))).terms()
    assert [weight for _, weight, _ in terms] == [-1, 2, -1]
    assert [reward for _, _, reward in terms] == [a, b, a]


def test_numpy_weights_multiply_from_either_side():
    for mixture in (np.float32(0.5) * Constant(), Constant() * np.float64(0.5)):
        assert mixture.terms()[0][1] == 0.5


def test_terms_have_unique_names():
    rouge = rewards.get("rouge")
    names = [n for n, _, _ in (rouge + rouge + Constant() + rouge).terms()]
    assert names == ["rouge", "rouge_2", "Constant", "rouge_3"]


def test_a_mixture_shows_as_the_expression_that_builds_it():
    mixture = -1.0 * rewards.get("kl") + 0.5 * rewards.get("length", target=9)
    assert repr(mixture) == "-kl(estimator='k1') + 0.5 * length(target=9)"
    assert rewards.parse(repr(mixture)).terms()[1][1] == 0.5


def test_only_rewards_add_and_only_numbers_scale():
    for wrong in (
        lambda: Constant() + 1,
        lambda: 1 - Constant(),
        lambda: Constant() * Constant(),
        lambda: Constant() * "2",
    ):
        with pytest.raises(TypeError):
            wrong()


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_must_be_finite(weight):
    with pytest.raises(TokenRLError, match="weight.*Constant"):
        weight * Constant()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "inf"),
        (1e39, r"1e\+39"),
        ("0.5", "'0.5'"),
        (None, "None"),
        ([0.5], r"shape \(1,\).*6 numbers"),
        ([[0.5] * 6], r"shape \(1, 6\)"),
        ([1.0] * 5 + [float("nan")], "nan"),
        ([1.0] * 5 + [None], "None"),
        ([1.0, [2.0]], r"\[2.0\]"),
        ({"score": 1}, "score"),
    ],
)
def test_a_bad_score_is_named(batch, value, message):
    with pytest.raises(TokenRLError, match=message) as caught:
        Constant(value)(*batch)
    assert ":Constant'(value=" in str(caught.value)
    assert 'example "two"' in str(caught.value)


def test_an_example_without_key_is_named_by_its_prompt(batch):
    class Fussy(Constant):
        def score(self, example, response):
            return 0.0 if example.key else float("nan")

    with pytest.raises(TokenRLError, match='starts "Empty reference."'):
        Fussy()(*batch)


@pytest.mark.parametrize("value", [True, 1, np.float16(1), np.array(1)])
def test_any_number_will_do(batch, value):
    assert Constant(value)(*batch).sum() == 5


def test_a_reward_must_score(batch):
    with pytest.raises(TokenRLError, match="Reward defines neither"):
        Reward()(*batch)


class Together(Reward):
    """Scores a batch by a function of the number of rows."""

    def __init__(self, function):
        self.function = function

    def score_batch(self, examples, responses):
        return self.function(len(examples))


def test_a_batch_may_be_scored_at_once(batch):
    result = Together(lambda rows: np.arange(rows) / 4)(*batch)
    np.testing.assert_array_equal(result.sum(axis=1), np.arange(5) / 4)


def test_errors_of_a_batch_name_the_reward(batch):
    with pytest.raises(TokenRLError, match=":Together'.*raised ZeroDivision"):
        Together(lambda rows: rows / 0)(*batch)
    with pytest.raises(TokenRLError, match="4 scores for 5 answers"):
        Together(lambda rows: [0.0] * (rows - 1))(*batch)
    with pytest.raises(TokenRLError, match='None for example "two"'):
        Together(lambda rows: [None] * rows)(*batch)


class Raises(Reward):
    def score(self, example, response):
        return 1 / len(example.references)


class Tensors(Reward):
    """Returns the value it was given from a `__call__` of its own."""

    def __init__(self, value):
        self.value = value

    def __call__(self, examples, responses, rollout):
        return self.value if len(examples) else examples[0]


def test_an_error_names_the_reward_the_example_and_the_line(batch):
    place = r"ZeroDivisionError: .*zero \(test_base.py:\d+\)"
    with pytest.raises(TokenRLError, match=place) as caught:
        Raises()(*batch)
    assert ":Raises'()" in str(caught.value)
    assert 'example "none"' in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_of_a_call_names_the_reward(make_rollout):
    with pytest.raises(TokenRLError, match=":Tensors'.*raised IndexError"):
        Tensors(0.0)([], [], make_rollout([]))


@pytest.mark.parametrize(
    "value", [0.5, [1.0], np.zeros((5, 11)), np.full((5, 12), "a"), None]
)
def test_a_call_must_return_a_number_per_position(batch, value):
    with pytest.raises(TokenRLError, match=r"expected float32.*\(5, 12\)"):
        Tensors(value)(*batch)


def test_what_a_call_puts_into_masked_slots_is_removed(batch):
    mask = batch[2].mask
    values = np.where(mask, 0.25, np.nan)
    result = Tensors(values)(*batch)
    np.testing.assert_array_equal(result, np.where(mask, np.float32(0.25), 0))
    assert result.dtype == np.float32


def test_a_number_of_a_call_that_is_not_finite_is_named(batch):
    values = np.zeros((5, 12))
    values[1, 2] = np.inf
    with pytest.raises(TokenRLError, match='inf at position 2 of .*"none"'):
        Tensors(values)(*batch)


def test_ctrl_c_in_a_reward_is_no_error_of_the_reward(batch):
    class Interrupted(Reward):
        def score(self, example, response):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted()(*batch)


def test_a_plain_function_is_a_reward(batch):
    loud = Function(shout, bonus=2.0)
    assert not loud(*batch).any()
    assert repr(loud).endswith(":shout'(bonus=2.0)")
    assert (loud + loud).terms()[1][0] == "shout_2"


def test_a_function_must_take_what_it_is_given():
    with pytest.raises(TokenRLError, match="volume"):
        Function(shout, volume=3)
    with pytest.raises(TokenRLError, match="expected f"):
        Function(lambda example: 0.0)


class Waits(Reward):
    """Each row waits until all rows have begun."""

    def __init__(self, rows: int, fails: str = ""):
        self.rows, self.fails = rows, fails
        self._begun, self._all = 0, None

    async def score(self, example, response):
        self._all = self._all or asyncio.Event()
        self._begun += 1
        if self._begun == self.rows:
            self._all.set()
        if example.key and example.key == self.fails:
            raise KeyError("nothing")
        await self._all.wait()
        return 0.5


def test_rows_of_an_asynchronous_score_wait_side_by_side(examples, responses):
    count = len(examples)
    assert Waits(count).score_batch(examples, responses) == [0.5] * count
    with pytest.raises(TokenRLError, match='KeyError.* example "two"'):
        Waits(99, fails="two").score_batch(examples, responses)


def short(example, response):
    return float(len(response.text) < 20)


def test_a_function_is_added_as_it_is(batch):
    rouge = rewards.get("rouge")
    for made in (rouge + short, rouge - short):
        names = [name for name, _, _ in made.terms()]
        assert sorted(names) == ["rouge", "short"]
    assert rewards.of("rouge - 0.1 * kl").terms()[1][1] == -0.1
    assert rewards.of(short).score(None, batch[1][0]) in (0.0, 1.0)
    assert rewards.of(rouge) is rouge

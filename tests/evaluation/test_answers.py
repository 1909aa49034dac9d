import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl import evaluation, rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.rewards import Reward

PROMPTS = ["the name of a given file", "", "open the list", "a", "value"]
EXAMPLES = [Example(prompt, (prompt,)) for prompt in PROMPTS]


class Length(Reward):
    """One for each chosen token."""

    def score(self, example, response):
        return [1.0] * len(response.token_ids)


@pytest.fixture(scope="module")
def policy():
    return tiny.shared_policy("gru")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_keep_their_order_whatever_the_batches(policy, temperature):
    made = [
        evaluation.answer(policy, EXAMPLES, temperature, batch_size=size)
        for size in (1, 2, 64)
    ]
    for answers in made:
        assert answers.examples == EXAMPLES
        assert answers.responses == made[0].responses
        ids, mask = policy.encode(PROMPTS)
        np.testing.assert_array_equal(answers.rollout.prompt_ids, ids)
        np.testing.assert_array_equal(answers.rollout.prompt_mask, mask)


def test_answers_are_greedy_by_default(policy):
    answers = evaluation.answer(policy, EXAMPLES)
    rollout = tiny.sample(policy, PROMPTS, temperature=0.0)
    np.testing.assert_array_equal(answers.rollout.actions, rollout.actions)


def test_the_seed_decides_what_is_sampled(policy):
    one, same, other = (
        evaluation.answer(policy, EXAMPLES, 1.0, seed).responses
        for seed in (0, 0, 1)
    )
    assert one == same != other


def test_metrics_are_means_over_examples(policy):
    answers = evaluation.answer(policy, EXAMPLES)
    lengths = [len(r.token_ids) for r in answers.responses]
    metrics = {"length": Length(), "half": 0.5 * Length()}
    measured = evaluation.measure(answers, metrics)
    assert measured["length"].mean == pytest.approx(np.mean(lengths))
    assert measured["half"].mean == pytest.approx(np.mean(lengths) / 2)
    assert measured == evaluation.evaluate(policy, EXAMPLES, metrics)
    np.testing.assert_array_equal(
        evaluation.per_example(answers, Length()), lengths
    )


def test_nothing_cannot_be_answered(policy):
    with pytest.raises(TokenRLError, match="no examples"):
        evaluation.answer(policy, [])


def test_the_interval_is_the_percentile_bootstrap():
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 1.0, 60)
    rows = rng.integers(0, 60, (20_000, 60))
    low, high = np.percentile(values[rows].mean(axis=1), [2.5, 97.5])
    found = evaluation.estimate(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.03)


def test_the_interval_of_many_values_is_normal():
    values = np.random.default_rng(1).normal(3.0, 2.0, 2000)
    found = evaluation.estimate(values)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_interval_is_repeatable_and_ordered():
    values = np.random.default_rng(2).random(50).astype(np.float32)
    found = evaluation.estimate(values, seed=1)
    assert found == evaluation.estimate(values, seed=1)
    assert found != evaluation.estimate(values, seed=2)
    assert found.low < found.mean < found.high


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_values_that_do_not_vary_have_no_interval(values):
    assert evaluation.estimate(np.array(values)) == (0.5, 0.5, 0.5)


def test_corpus_scores_stand_beside_means(policy):
    """Two policies' answers by hand: corpus BLEU pools, the mean does not."""
    answers = evaluation.answer(policy, EXAMPLES[:2])
    texts = ["the cat sat on the mat", "he is here"]
    gold = ["the cat sat on a mat", "he was here"]
    pairs = zip(answers.examples, gold, strict=True)
    answers = answers._replace(
        examples=[e._replace(references=(g,)) for e, g in pairs],
        responses=[
            r._replace(text=t)
            for r, t in zip(answers.responses, texts, strict=True)
        ],
    )
    metrics = {"bleu": rewards.parse("bleu(dense=False)")}
    found = evaluation.measure(answers, metrics)
    assert found["bleu"].mean == pytest.approx(0.44198, abs=1e-5)
    assert found["bleu_corpus"].mean == pytest.approx(0.45915, abs=1e-5)

import numpy as np
import pytest

from tests.support import table, toy
from tf_tokenrl import algorithms, evaluation, rewards
from tf_tokenrl.evaluation.samples import samples


@pytest.fixture(scope="module")
def trainer():
    reward = rewards.parse("'tests.support.toy:Count' - 0.1 * kl")
    made = toy.trainer("gru", reward=reward)
    weights = made.policy.get_weights()
    made.policy.set_weights([1.5 * w for w in weights])  # it has "learned"
    return made


def test_each_token_has_its_text_and_its_numbers(trainer):
    shown = samples(trainer, toy.EXAMPLES)
    assert [s["prompt"] for s in shown] == [e.prompt for e in toy.EXAMPLES]
    assert any(s["before"] != s["after"] for s in shown)
    for sample in shown:
        length = len(sample["tokens"])
        assert 1 <= length <= 8
        for name in ("reward", "advantage", "kl", "value"):
            assert len(sample[name]) == length
            assert np.isfinite(sample[name]).all()
        text = "".join(t for t in sample["tokens"] if t != "⏹")
        assert text == sample["after"]
    kl = np.concatenate([s["kl"] for s in shown])
    reward = np.concatenate([s["reward"] for s in shown])
    counted = reward + 0.1 * kl
    np.testing.assert_allclose(counted, np.rint(counted), atol=2e-5)
    assert np.abs(kl).max() > 0.01


def test_without_a_reference_there_is_no_before():
    trainer = toy.trainer("gru", reference=None)
    for sample in samples(trainer, toy.EXAMPLES[:2]):
        assert sample["before"] == "" and not any(sample["kl"])


def test_an_answer_is_compared_with_others_to_its_own_prompt():
    """Five examples are no whole number of groups of three."""
    grpo = algorithms.get("grpo", samples_per_prompt=3, scale=False)
    trainer = toy.trainer(algorithm=grpo, reference=None, policy=table.policy())
    shown = samples(trainer, toy.EXAMPLES[:5])
    greedy = evaluation.answer(trainer.policy, toy.EXAMPLES[:5])
    assert [s["after"] for s in shown] == [r.text for r in greedy.responses]
    for sample in shown:
        assert len(set(sample["advantage"])) == 1
    assert any(sample["advantage"][0] for sample in shown)

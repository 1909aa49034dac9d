import collections

import keras
import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.training.objectives import likelihood

EXAMPLES = [
    Example(" ".join(tiny.WORDS[: i % 4]), (" ".join(tiny.WORDS[i % 3 : 3]),))
    for i in range(23)
]


@pytest.fixture(scope="module")
def policy():
    return tiny.shared_policy("gru")


def rows(batch):
    """The rows of a batch as they would stand alone, without padding."""
    for i in range(len(batch["mask"])):
        prompt = batch["prompt_ids"][i][batch["prompt_mask"][i]]
        answer = batch["actions"][i][batch["mask"][i]]
        yield tuple(prompt.numpy()), tuple(answer.numpy())


def expected_rows(policy):
    pairs = policy.encode_pairs(
        [example.prompt for example in EXAMPLES],
        [example.reference for example in EXAMPLES],
    )
    return [
        (
            tuple(pairs.prompt_ids[i][pairs.prompt_mask[i]]),
            tuple(pairs.actions[i][pairs.mask[i]]),
        )
        for i in range(len(EXAMPLES))
    ]


def test_an_epoch_has_every_row_once(policy):
    data = likelihood.batches(policy, EXAMPLES, 4, seed=0)
    assert int(data.cardinality()) == 6
    due = collections.Counter(expected_rows(policy))
    for _ in range(2):
        batches = [list(rows(batch)) for batch in data]
        assert max(map(len, batches)) == 4
        assert collections.Counter(sum(batches, [])) == due


def test_the_order_is_a_function_of_the_seed_and_the_epoch(policy):
    def epochs(seed):
        data = likelihood.batches(policy, EXAMPLES, 4, seed=seed)
        return [[list(rows(batch)) for batch in data] for _ in range(2)]

    assert epochs(0) == epochs(0)
    assert epochs(0) != epochs(1)
    first, second = epochs(0)
    assert first != second


def test_without_a_seed_the_order_is_kept(policy):
    data = likelihood.batches(policy, EXAMPLES, 4)
    found = [row for batch in data for row in rows(batch)]
    assert found == expected_rows(policy)


def test_nothing_cannot_be_learned(policy):
    with pytest.raises(TokenRLError, match="no examples"):
        likelihood.batches(policy, [], 4)


def log_probs(policy, prompt, answer):
    """Of one pair alone: of the prompt's tokens, then of the answer's."""
    pairs = policy.encode_pairs([prompt], [answer])
    kept = pairs.prompt_ids[0][pairs.prompt_mask[0]]
    actions = np.concatenate([kept[1:], pairs.actions[0]])[None]
    alone = pairs._replace(
        prompt_ids=kept[None, :1],
        prompt_mask=np.ones((1, 1), bool),
        actions=actions,
        mask=np.ones(actions.shape, bool),
    )
    found = policy.score(alone).log_probs[0].numpy()
    return found[: len(kept) - 1], found[len(kept) - 1 :]


def test_nll_is_the_mean_over_all_tokens_of_the_answers(policy):
    found = [log_probs(policy, e.prompt, e.reference)[1] for e in EXAMPLES]
    expected = -np.concatenate(found).mean()
    for size in (1, 5, 128):
        nll = likelihood.nll(policy, EXAMPLES, size)
        assert nll == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_prompts_are_learned_at_their_weight(policy, weight):
    found = [log_probs(policy, e.prompt, e.reference) for e in EXAMPLES]
    prompts, answers = map(np.concatenate, zip(*found, strict=True))
    total = weight * len(prompts) + len(answers)
    expected = -(weight * prompts.sum() + answers.sum()) / total
    (batch,) = likelihood.batches(policy, EXAMPLES, 64, prompt_weight=weight)
    loss = policy.compute_loss(batch, y_pred=policy(batch))
    assert float(loss) == pytest.approx(expected, abs=1e-5)
    policy.nll.reset_state()
    policy.compute_loss(batch, y_pred=policy(batch))
    assert float(policy.nll.result()) == pytest.approx(
        -answers.mean(), abs=1e-5
    )


def test_training_computes_what_measuring_does():
    policy = tiny.shared_policy("gpt2")
    batch = next(iter(likelihood.batches(policy, EXAMPLES, 8, seed=1)))
    one = policy(batch, training=True)
    other = policy(batch, training=False)
    for name in one:
        np.testing.assert_allclose(
            np.where(batch["mask"], one[name], 0.0),
            np.where(batch["mask"], other[name], 0.0),
            atol=1e-5,
        )


@pytest.mark.parametrize("seed", [None, 0])
def test_an_epoch_does_not_wait_for_the_tuner_at_its_end(policy, seed):
    options = likelihood.batches(policy, EXAMPLES, 4, seed=seed).options()
    assert options.autotune.enabled is False


def test_measuring_leaves_the_optimizer_alone():
    policy = tiny.policy("gru")
    policy.compile(keras.optimizers.Adam(0.02))
    before = policy.optimizer
    likelihood.nll(policy, EXAMPLES)
    assert policy.optimizer is before


def test_learning_lowers_the_nll():
    policy = tiny.policy("gru")
    policy.compile(keras.optimizers.Adam(0.02))
    data = likelihood.batches(policy, EXAMPLES, 8, seed=0)
    validation = likelihood.batches(policy, EXAMPLES, 23)
    logs = policy.fit(
        data, validation_data=validation, epochs=25, verbose=0
    ).history["val_nll"]
    assert logs[-1] < 0.2 * logs[0]
    assert likelihood.nll(policy, EXAMPLES) == pytest.approx(logs[-1], 1e-4)


def test_time_that_is_up_ends_the_run(tmp_path):
    policy = tiny.policy("gru")
    policy.compile(keras.optimizers.Adam(0.02))
    history = policy.fit(
        likelihood.batches(policy, EXAMPLES, 8, seed=0),
        validation_data=likelihood.batches(policy, EXAMPLES, 23),
        epochs=5,
        verbose=0,
        callbacks=likelihood.callbacks(tmp_path / "run", 2, seconds=1e-9),
    )
    assert len(history.epoch) == 1
    assert (tmp_path / "run" / "history.csv").read_text().count("\n") == 2


def test_the_rate_rises_then_falls_to_nothing():
    rate = likelihood.optimizer(1e-3, 10, 110, 0.0)._learning_rate
    rates = np.array([float(rate(step)) for step in range(111)])
    assert rates[10] == pytest.approx(1e-3) == rates.max()
    assert (np.diff(rates[:11]) > 0).all() and rates[0] > 0
    assert (np.diff(rates[11:]) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    flat = likelihood.optimizer(1e-3, 0, 100, 0.0)._learning_rate
    assert float(flat(0)) == pytest.approx(1e-3)

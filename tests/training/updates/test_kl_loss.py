"""KL in the loss of the trainer: every estimator, weights, what is refused."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny, toy
from tests.support.oracles import exact_kl
from tf_tokenrl import schedules
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout, Scores
from tf_tokenrl.policies.divergence import score_against
from tf_tokenrl.policies.recurrent import RecurrentPolicy
from tf_tokenrl.rewards import Reward
from tf_tokenrl.training import first_batch, preflight
from tf_tokenrl.training.rollouts import exploration
from tf_tokenrl.training.updates import kl_loss
from tf_tokenrl.training.updates.kl_loss import KlLoss

PROMPTS = ["open a file", "return the name of a list", "the list"]


class Nothing(Reward):
    """Rewards nothing, so that only KL teaches."""

    def score(self, example, response):
        return 0.0


@pytest.fixture(scope="module")
def policy():
    return tiny.shared_policy("gpt2")


@pytest.fixture(scope="module")
def reference(policy):
    """The same model elsewhere."""
    copy = policy.frozen_copy()
    rng = np.random.default_rng(1)
    copy.set_weights(
        [w + rng.normal(0, 0.1, w.shape) for w in copy.get_weights()]
    )
    return copy


@pytest.fixture(scope="module")
def rollout(policy, reference):
    sampled = tiny.sample(policy, PROMPTS)
    scores = reference.score(sampled)
    return sampled._replace(reference_log_probs=scores.log_probs.numpy())


def logits(policy, rollout):
    hidden = policy.action_states(
        {
            "prompt_ids": rollout.prompt_ids,
            "prompt_mask": rollout.prompt_mask,
            "actions": rollout.actions,
            "mask": rollout.mask,
        }
    )
    return policy.logits(hidden)


def gradients(policy, compute):
    variables = [v.value for v in policy.trainable_variables]
    with tf.GradientTape() as tape:
        value = compute()
        total = tf.reduce_sum(value)
    found = tape.gradient(total, variables, unconnected_gradients="zero")
    return value, [np.array(tf.convert_to_tensor(g)) for g in found]


@pytest.mark.parametrize(
    "name",
    [
        "gpt2",
        "llama",
        "gru",
        "bart",
        pytest.param("t5", marks=pytest.mark.slow),
    ],
)
def test_logits_by_parts_are_the_logits(name):
    policy = tiny.shared_policy(name)
    layer = policy.output_layer()
    states = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
    whole = policy.logits(tf.constant(states)).numpy()
    assert all(w.shape[0] == whole.shape[1] for w in layer.weights)
    for part in (slice(0, 7), slice(7, 30), slice(30, None)):
        before = layer.before(tf.constant(states))
        found = layer.logits(before, [w[part] for w in layer.weights])
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, whole[:, part], atol=1e-5)


def test_exact_kl_and_its_gradient_are_those_of_whole_logits(
    policy, reference, rollout
):
    theirs = logits(reference, rollout)

    def whole():
        kl = exact_kl(logits(policy, rollout), theirs)
        return tf.where(rollout.mask, kl, 0.0)

    def streamed():
        return score_against(policy, reference, rollout)[1]

    value, found = gradients(policy, streamed)
    wanted, expected = gradients(policy, whole)
    assert value.numpy()[rollout.mask].min() > 0.01
    np.testing.assert_allclose(value, wanted, atol=1e-5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_exact_kl_is_that_at_the_temperature(policy, reference, rollout):
    _, value = score_against(policy, reference, rollout, 0.5)
    wanted = exact_kl(
        2 * logits(policy, rollout), 2 * logits(reference, rollout)
    )
    np.testing.assert_allclose(
        value.numpy()[rollout.mask], wanted.numpy()[rollout.mask], atol=1e-4
    )


def test_the_scores_beside_exact_kl_are_the_same(policy, reference, rollout):
    scores, _ = score_against(policy, reference, rollout)
    for one, other in zip(scores, policy.score(rollout), strict=True):
        np.testing.assert_array_equal(one, other)


def train(estimator, weight):
    made = toy.trainer(
        "gpt2",
        "reinforce",
        reward=Nothing(),
        reference=elsewhere(),
        kl_loss=KlLoss(estimator, weight),
        learning_rate=1e-2,
        gradient_clip=0.0,
        self_check=first_batch.NAMES - {"kl"},
    )
    return made


def elsewhere():
    made = tiny.policy("gpt2", seed=1)
    made.trainable = False
    return made


@pytest.fixture(scope="module")
def exact_run(tmp_path_factory):
    """Six steps on nothing but exact KL, its weight adaptive."""
    trainer = train("exact", schedules.parse("adaptive(1, 2, horizon=80)"))
    folder = tmp_path_factory.mktemp("exact")
    checkpoint = Checkpoint(trainer, folder, every=3, keep=9)
    logs = trainer.fit(toy.EXAMPLES, 6, batch_size=8, callbacks=[checkpoint])
    return trainer, logs, checkpoint


def test_the_weight_follows_the_summed_kl(exact_run):
    _, logs, _ = exact_run
    for before, after in zip(logs, logs[1:], strict=False):
        error = np.clip(before["kl"] / 2 - 1, -0.2, 0.2)
        factor = after["kl_weight"] / before["kl_weight"]
        assert factor == pytest.approx(1 + error * 8 / 80)
    assert logs[0]["kl_weight"] == 1.0 != logs[5]["kl_weight"]


def test_kl_alone_draws_the_policy_to_its_reference(exact_run):
    logs = exact_run[1]
    assert logs[-1]["kl_loss"] < 0.8 * logs[0]["kl_loss"]
    for log in logs:
        wanted = log["kl_weight"] * log["kl_loss"]
        assert log["loss"] == pytest.approx(wanted, rel=1e-5)


def test_a_resumed_run_ends_bit_for_bit_alike(exact_run):
    trainer, logs, checkpoint = exact_run
    ended = trainer.policy.get_weights()
    shutil.rmtree(checkpoint.folder / "step-00000006")
    before = trainer.kl_loss
    trainer.kl_loss = KlLoss("exact", schedules.parse(repr(before.weight)))
    assert repr(trainer.kl_loss) == repr(before)
    assert checkpoint.restore() == 3
    resumed = trainer.fit(toy.EXAMPLES, 6, batch_size=8)
    weights = [log["kl_weight"] for log in resumed]
    assert weights == [log["kl_weight"] for log in logs[3:]]
    assert trainer.kl_loss.state() == before.state()
    for one, other in zip(trainer.policy.get_weights(), ended, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_with_another_weight_is_refused(exact_run):
    trainer, _, checkpoint = exact_run
    trainer.kl_loss = KlLoss("exact", schedules.parse("adaptive(2, 2)"))
    with pytest.raises(TokenRLError, match="kl_loss.*adaptive"):
        checkpoint.restore()


def test_options_of_the_command_line():
    assert kl_loss.parse(" ") is None
    assert kl_loss.parse("k2").weight_at(3) == 0.1
    for text in ("k3, weight={}, direct=True", "k3(weight={}, direct=True)"):
        found = kl_loss.parse(text.format("linear(0, 1, steps=4)"))
        assert (found.estimator, found.direct) == ("k3", True)
        assert [found.weight_at(step) for step in (0, 2, 9)] == [0, 0.5, 1]
        assert repr(kl_loss.parse(repr(found))) == repr(found)
    for text in (
        "exact, weight=0.5",
        "exact, 0.5",
        "'exact', 0.5 * constant(1)",
    ):
        assert kl_loss.parse(text).weight_at(3) == 0.5


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("k4", "character 1: .*k4.*Available: exact, k1, k2, k3"),
        ("k1, direct=True", "would restrain nothing"),
        ("exact(direct=True)", "differentiated directly anyway"),
        ("k3, chunk=3", "chunk.*direct, estimator, weight"),
        ("k3, weight=linea(0, 1, steps=3)", '12: .*Did you mean "linear"'),
        ("k3, weight=adaptive(0.1, 6, horizon=-1)", "horizon must be"),
        ("k3, weight=exact", "Unknown schedule"),
        ("k3, weight='heavy'", "weight must be a finite number"),
        ("k3) + (k1", "write an estimator"),
        ("k3, 0.1, True, 4", "by name"),
    ],
)
def test_mistakes_are_named(expression, message):
    with pytest.raises(TokenRLError, match=message):
        kl_loss.parse(expression)


def test_a_weight_below_0_is_refused():
    with pytest.raises(TokenRLError, match="weight must be"):
        KlLoss("k3", -0.1)


def test_it_needs_a_reference_of_the_same_actions(policy):
    with pytest.raises(TokenRLError, match="reference=policy.frozen_copy"):
        preflight.check_kl_loss(KlLoss(), policy, None)
    other = RecurrentPolicy(
        "gru",
        99,
        16,
        tokenizer=tiny.tokenizer(),
        max_prompt_tokens=12,
        max_new_tokens=8,
        answer_start_id=2,
    )
    with pytest.raises(TokenRLError, match="actions and the reference among"):
        preflight.check_kl_loss(KlLoss("exact"), policy, other)
    preflight.check_kl_loss(KlLoss("k3"), policy, other)
    mixed = exploration.Exploration(uniform=0.1)
    with pytest.raises(TokenRLError, match="without uniform"):
        preflight.check_kl_loss(KlLoss("exact"), policy, policy, mixed)


@pytest.mark.parametrize("direct", [False, True])
def test_a_token_counts_as_often_as_the_policy_now_takes_it(direct):
    """Once per token by itself, p / p_old times as a loss of KL."""
    new = tf.constant([[-0.5, -2.0]])
    old, reference = np.array([[-1.0, -1.5]]), np.array([[-1.2, -1.0]])
    ids, mask = np.zeros((1, 2), np.int32), np.ones((1, 2), bool)
    rollout = Rollout(
        ids, mask, ids, mask, old, 0 * old, reference.astype(np.float32)
    )._replace(log_probs=old.astype(np.float32))
    loss = KlLoss("k3", 0.1, direct=direct)
    with tf.GradientTape() as tape:
        tape.watch(new)
        value = loss.per_token(rollout, Scores(new, 0 * new, 0 * new), None)
    gap = new.numpy() - reference
    k3 = np.exp(-gap) - 1 + gap
    weight = 1.0 if direct else np.exp(new.numpy() - old)
    slope = 1 - np.exp(-gap) if direct else weight * gap
    np.testing.assert_allclose(value, weight * k3, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, new), slope, rtol=1e-5)

"""What the trainer gives to algorithms that ask for more than rewards."""

import numpy as np
import pytest

from tests.support import table, toy
from tests.support.variants import VARIANTS
from tf_tokenrl import algorithms
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.schedules import get as schedule
from tf_tokenrl.training.rollouts.exploration import Exploration


def make(algorithm, learning_rate=0.1, **settings):
    if isinstance(algorithm, str):
        algorithm = algorithms.parse(algorithm)
    policy = settings.pop("policy", None) or table.policy()
    settings.setdefault("reference", None)
    return toy.trainer(
        algorithm=algorithm,
        policy=policy,
        learning_rate=learning_rate,
        **settings,
    )


def greedy_scores(trainer, examples):
    """What greedy answers earn, asked for in another way."""
    metrics = {"count": trainer.reward}
    return [trainer.evaluate([e], metrics)["count"].mean for e in examples]


def test_the_self_critical_baseline_is_the_reward_of_the_greedy_answer():
    trainer = make("reinforce(baseline='self_critical')", reward=Total())
    trainer.policy.table.weights[0].assign(_preferring(5, 7, 3))
    batch, _ = trainer.collect(toy.EXAMPLES, 0)
    gap = batch.targets.returns - batch.targets.advantages
    expected = greedy_scores(trainer, toy.EXAMPLES)
    assert len(set(expected)) == 1 and expected[0] == 1.0
    mask = batch.rollout.mask
    np.testing.assert_allclose(gap[mask], 1.0, rtol=1e-6)
    assert np.ptp(batch.rewards.sum(-1)) > 0


class Total(toy.Count):
    """How often the token occurs, on the last token of the answer."""

    def score(self, example, response):
        return float(response.token_ids.count(self.token))


def _preferring(*path):
    """A table whose likeliest answer is `path`, and little else likely."""
    size = table.tiny.tokenizer().vocabulary_size()
    rows = np.zeros((size, size), np.float32)
    for before, after in zip((2, *path), path, strict=False):
        rows[before, after] = 2.0
    return rows


def test_the_moving_mean_follows_the_rewards_of_past_steps():
    trainer = make("reinforce(baseline='moving_mean', decay=0.5)")
    total = weight = 0.0
    for step in range(3):
        batch, _ = trainer.collect(toy.EXAMPLES, step)
        mask = batch.rollout.mask
        gap = (batch.targets.returns - batch.targets.advantages)[mask]
        baseline = total / weight if weight else 0.0
        np.testing.assert_allclose(gap, baseline, atol=1e-5)
        trainer.learn(batch, step)
        total = 0.5 * total + batch.targets.returns[mask].mean()
        weight = 0.5 * weight + 1
    assert gap[0] > 0


def test_updates_end_when_the_policy_has_moved_far_enough():
    options = "epochs=6, minibatches=2"
    free = make(f"ppo({options})", learning_rate=0.5)
    logs = free.fit(toy.EXAMPLES, 1, 8)
    assert logs[0]["updates"] == 12
    held = make(f"ppo({options}, target_kl=0.001)", learning_rate=0.5)
    logs = held.fit(toy.EXAMPLES, 1, 8)
    assert 2 <= logs[0]["updates"] < 12
    assert int(held.optimizer.iterations) == logs[0]["updates"]


@pytest.fixture(scope="module")
def mixer():
    return make(
        "mixer(supervised_steps=1, grow_by=2, grow_every=1)",
        reward=toy.Count(),
    )


@pytest.mark.parametrize("step", [0, 1, 2, 9])
def test_mixer_begins_answers_with_the_reference(mixer, step):
    batch, terms = mixer.collect(toy.EXAMPLES, step)
    references = mixer.policy.encode_pairs(
        [e.prompt for e in toy.EXAMPLES], [e.reference for e in toy.EXAMPLES]
    )
    rollout, taught = batch.rollout, batch.teacher.mask
    counts = np.maximum(references.mask.sum(-1) - 2 * step, 0)
    np.testing.assert_array_equal(taught.sum(-1), counts)
    for row, count in enumerate(counts):
        given = references.actions[row, :count]
        np.testing.assert_array_equal(rollout.actions[row, :count], given)
        assert not rollout.mask[row, :count].any()
        if step:
            assert rollout.mask[row, count]
    assert rollout.mask.any() == (step > 0)
    right = (rollout.actions == 5) & rollout.mask
    np.testing.assert_array_equal(terms["Count"], right)
    metrics = mixer.learn(batch, step)
    assert all(np.isfinite(list(metrics.values())))
    assert (metrics["imitation_loss"] > 0) == counts.any()


def test_rewards_of_mixer_see_the_whole_answer(mixer):
    seen = toy.Recorder(mixer)
    try:
        batch, _ = mixer.collect(toy.EXAMPLES, 1)
    finally:
        mixer.scorer.reward = seen.reward
    counts = batch.teacher.mask.sum(-1)
    assert counts.any()
    for row, response in enumerate(seen.responses[0]):
        length = counts[row] + batch.rollout.mask[row].sum()
        whole = batch.rollout.actions[row, :length]
        assert response.token_ids == tuple(whole)


def test_supervised_steps_of_mixer_are_maximum_likelihood():
    """Its first step is the step of `mixed` with a weight of 1."""
    trainers = [
        make("mixer(supervised_steps=1)"),
        make("mixed(imitation_weight=1.0)"),
    ]
    for trainer in trainers:
        trainer.fit(toy.EXAMPLES, 1, 8)
    first, second = (t.policy.get_weights() for t in trainers)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_without_a_reference_there_is_nothing_to_imitate():
    trainer = make("mixed")
    with pytest.raises(TokenRLError, match='"alone" has no reference'):
        trainer.fit([Example("the name", (), "alone")], 1, 8)


def resumed_and_straight(algorithm, folder, **settings):
    """Weights and memory after four steps, once with a stop after two."""
    ends = []
    for stops in ((4,), (2, 4)):
        for number, steps in enumerate(stops):
            trainer = make(algorithm, **settings)
            place = folder / str(len(stops))
            checkpoint = Checkpoint(trainer, place, every=2)
            if number:
                assert checkpoint.restore() == 2
            trainer.fit(toy.EXAMPLES, steps, 8, callbacks=[checkpoint])
        ends.append((trainer.policy.get_weights(), trainer.memory))
    return ends


def assert_resumes(algorithm, folder, **settings):
    straight, stopped = resumed_and_straight(algorithm, folder, **settings)
    assert straight[1] == stopped[1]
    for a, b in zip(straight[0], stopped[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_memory_and_schedules_survive_a_stop_bit_for_bit(tmp_path):
    inner = (
        "reinforce(baseline='moving_mean', "
        "entropy_weight=linear(0.1, 0.0, steps=4))"
    )
    exploration = Exploration(
        temperature=schedule("linear", 2.0, 1.0, steps=4),
        uniform=schedule("linear", 0.3, 0.1, steps=4),
    )
    algorithm = algorithms.get("mixer", algorithm=inner, grow_every=1)
    assert_resumes(algorithm, tmp_path, exploration=exploration)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_every_algorithm_resumes_bit_for_bit(name, options, tmp_path):
    assert_resumes(algorithms.get(name, **options), tmp_path)


# Learning: four tokens, a point for each of the right kind; the best is 4.

TAUGHT = [
    Example(e.prompt, ("the name",), e.key) for e in toy.EXAMPLES
]  # a reference that is not the best answer
LEARNERS = [
    "reinforce(baseline='none')",
    "reinforce(baseline='moving_mean')",
    "reinforce(baseline='self_critical')",
    "reinforce(baseline='mean')",
    "reinforce(baseline='leave_one_out', samples_per_prompt=4)",
    "reinforce(baseline='value')",
    "actor_critic",
    "actor_critic(steps=2)",
    "ppo(epochs=2, minibatches=2)",
    "ppo(epochs=4, target_kl=0.05, whiten='minibatch')",
    "grpo(credit='token')",
    "grpo(credit='token', scale=False, normalization='constant')",
    "grpo(credit='token', normalization='token', clip_high=0.3)",
    "mixed(imitation_weight=linear(0.5, 0.0, steps=20))",
    "mixed(algorithm='ppo(epochs=2)', imitation_weight=0.02)",
]
# All tokens of an answer share its advantage, so a wrong one beside a right one
# rises too until chance has parted them; and a reference that is not the best
# answer is imitated at first.
PATIENT = ["grpo", "mixer"]


def learns(algorithm, seed, learning_rate=0.1, steps=200):
    """With larger steps the entropy is gone before all is found out."""
    trainer = make(
        algorithm,
        learning_rate=learning_rate,
        policy=table.policy(seed, max_new_tokens=4),
        seed=seed,
    )
    logs = trainer.fit(TAUGHT, steps=steps, batch_size=32)
    assert logs[0]["reward"] < 2
    last = np.mean([log["reward"] for log in logs[-5:]])
    assert last >= 0.95 * 4, [round(log["reward"], 2) for log in logs[::5]]


def test_a_token_task_is_learned():
    learns("reinforce(baseline='self_critical')", 1, 0.5, steps=100)


@pytest.mark.parametrize("algorithm", PATIENT)
def test_a_token_task_is_learned_with_patience(algorithm):
    learns(algorithm, 1, steps=150)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("algorithm", LEARNERS + PATIENT)
def test_every_algorithm_learns_with_every_seed(algorithm, seed):
    learns(algorithm, seed)

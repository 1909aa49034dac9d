"""What a token earns must not depend on the tokens behind it."""

import itertools

import numpy as np
import pytest

from tests.rewards.conftest import respond
from tf_tokenrl import algorithms, catalog, rewards
from tf_tokenrl.flow import Example, Response, Rollout
from tf_tokenrl.rewards import Reward
from tf_tokenrl.training.rollouts.prompts import Prompts
from tf_tokenrl.training.rollouts.scorer import Scorer

PAIRS = 60
WORDS = ["the", "a", "cat", "dog", "sat", "on", "is", ".", "apple", "teh"]
TAGS = ["B-X", "I-X", "O", "B-Y", "I-Y"]
TAGGING = ("token_accuracy", "token_f1", "entity_f1", "cross_entropy")
VARIANTS = [
    "rouge(variant='2')",
    "rouge(statistic='precision')",
    "rouge(dense=False)",
    "length(target=5)",
    "token_accuracy(rate=False)",
    "token_f1(statistic='precision')",
    "entity_f1(rate=False, wrong=-0.85)",
    "entity_f1(statistic='recall')",
    "dense(grammar)",
    "dense(entity_f1)",
    "clip(rouge, high=0.5)",
    "clip(entity_f1, high=0.01, per='token')",
    "normalize(token_f1)",
    "rouge - 0.1 * kl",
]


def answers_to(rng, words, known):
    """Two answers of different words behind the same `known` first ones."""
    shared = [str(w) for w in rng.choice(words, known)]
    for _ in range(2):
        rest = [str(w) for w in rng.choice(words, rng.integers(1, 6))]
        first, *others = [*shared, *rest]
        yield respond([first, *(f" {word}" for word in others)])


def rolled_out(responses):
    """A rollout whose log-probs are functions of the tokens themselves."""
    lengths = [len(response.token_ids) for response in responses]
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    actions = np.zeros(mask.shape, np.int32)
    actions[mask] = [i for r in responses for i in r.token_ids]
    prompts = np.ones((len(mask), 1), np.int32)
    log_probs = -(actions % 7 + 1).astype(np.float32) / 4
    reference = -(actions % 5 + 1).astype(np.float32) / 3
    values = np.zeros(mask.shape, np.float32)
    return Rollout(
        prompts, prompts > 0, actions, mask, log_probs, values, reference
    )


def pairs_of(name):
    """Examples, answers two by two, and how many tokens a pair shares."""
    rng = np.random.default_rng(0)
    words = TAGS if name in TAGGING else WORDS
    examples, responses, shared = [], [], []
    for _ in range(PAIRS):
        shared.append(int(rng.integers(1, 5)))
        references = tuple(
            " ".join(rng.choice(words, rng.integers(1, 8)))
            for _ in range(rng.integers(1, 4))
        )
        examples += [Example("Say it.", references)] * 2
        responses += answers_to(rng, words, shared[-1])
    return examples, responses, shared


def differences(expression, name):
    """Per pair the largest difference of what the shared tokens earn."""
    examples, responses, shared = pairs_of(name)
    reward = rewards.parse(expression)
    found = reward(examples, responses, rolled_out(responses))
    gaps = np.abs(found[::2] - found[1::2])
    return reward, [g[:n].max() for g, n in zip(gaps, shared, strict=True)]


# `teacher` needs the ids of a real policy, which test_teacher.py has.
NAMES = [name for name in catalog.names(rewards) if name != "teacher"]


@pytest.mark.parametrize("name", NAMES)
def test_every_reward_is_causal_or_says_that_it_is_not(name, expressions):
    reward, gaps = differences(expressions.get(name, name), name)
    if not reward.looks_ahead:
        np.testing.assert_allclose(gaps, 0, atol=1e-6)


@pytest.mark.parametrize("expression", VARIANTS)
def test_so_is_every_variant(expression):
    name = next((n for n in TAGGING if n in expression), "rouge")
    reward, gaps = differences(expression, name)
    assert not reward.looks_ahead
    np.testing.assert_allclose(gaps, 0, atol=1e-6)


def test_what_looks_ahead_does():
    for expression in (
        "grammar",
        "grammar(rate=False)",
        "clip(grammar, low=0)",
    ):
        reward, gaps = differences(expression, "grammar")
        assert reward.looks_ahead and max(gaps) > 0
    assert rewards.parse("rouge - 0.1 * normalize(grammar)").looks_ahead


class Early(Reward):
    """Pays on the first token how often the answer says its last word."""

    looks_ahead = True

    def score(self, example, response):
        words = response.text.split()
        count = float(words.count(words[-1]))
        return [count, *[0.0] * (len(response.token_ids) - 1)]


def every_answer(words, length=3):
    """All answers of three words, a token each, and their numbers."""
    numbers = np.array(list(itertools.product(range(3), repeat=length)))
    responses = []
    for row in numbers:
        spoken = [words[i] for i in row]
        ends = np.cumsum([len(w) + (i > 0) for i, w in enumerate(spoken)])
        spans = zip([0, *ends.tolist()], ends.tolist(), strict=False)
        text = " ".join(spoken)
        responses.append(Response(text, tuple(row), tuple(spans), True))
    return numbers, responses


ALGORITHMS = [
    "reinforce(baseline='none')",
    "actor_critic(trace_decay=1.0, whiten=False)",
    "grpo(scale=False, samples_per_prompt=27)",
]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("expression", "references", "words"),
    [
        ("token_accuracy", ("B-X I-X",), TAGS),
        ("token_f1", ("B-X I-X O",), TAGS),
        ("entity_f1", ("B-X I-X O",), TAGS),
        ("entity_f1(rate=False, wrong=-0.85)", ("B-X I-X O",), TAGS),
        ("rouge(variant='1')", ("the the cat", "cat a a"), ["the", "cat", "a"]),
        ("grammar", ("",), ["a", "apple", "teh"]),
        ("'tests.rewards.test_causality:Early'", ("",), ["the", "cat", "a"]),
    ],
)
def test_the_mean_gradient_is_that_of_the_expected_reward(
    expression, references, words, algorithm
):
    """By enumeration: three words out of three, a table of logits."""
    numbers, responses = every_answer(words)
    logits = np.random.default_rng(3).normal(size=(3, 3)) * 1.5
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = p[np.arange(3), numbers]
    rollout = rolled_out(responses)._replace(
        actions=numbers,
        mask=np.ones(numbers.shape, bool),
        log_probs=np.log(chosen).astype(np.float32),
        values=np.zeros(numbers.shape, np.float32),
    )
    learner = algorithms.parse(algorithm)
    reward = rewards.parse(expression)
    scorer = Scorer(reward, lambda _: responses, causal=learner.sums_forward)
    examples = [Example("x", references)] * len(responses)
    prompts = Prompts(examples, rollout.prompt_ids, rollout.prompt_mask)
    earned = scorer(prompts, [rollout]).rewards
    totals = reward(examples, responses, rollout).sum(-1, dtype=np.float64)
    np.testing.assert_allclose(earned.sum(-1), totals, atol=1e-5)
    weights = learner.targets(rollout, earned).advantages.numpy()
    likely = chosen.prod(-1)
    scores = np.eye(3)[numbers] - p
    found = np.einsum("n,nt,ntk->tk", likely, weights, scores)
    exact = np.einsum("n,n,ntk->tk", likely, totals, scores)
    np.testing.assert_allclose(found, exact, atol=1e-5)

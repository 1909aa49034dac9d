"""Run by test_q_learning.py, with Keras 2 chosen for TF-Agents."""

import numpy as np
import pytest

from tests.support import tiny, toy
from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout
from tf_tokenrl.rewards import parse
from tf_tokenrl.training.q_learning.environment import TokenEnvironment

REWARD = (
    "rouge(variant='1') + 0.3 * 'tests.support.toy:Count' - 0.5 * unfinished"
)
LIMIT = 8


@pytest.fixture(scope="module")
def policy():
    return tiny.shared_policy("gru")


@pytest.fixture(params=[True, False], ids=["dense", "at the end"])
def environment(policy, request):
    return make(policy, dense=request.param)


def make(policy, reward=REWARD, **options):
    return TokenEnvironment(
        policy.text, toy.EXAMPLES, parse(reward), discount=0.9, **options
    )


def play(environment, tokens):
    """All time steps of one answer, the first one included."""
    steps = [environment.reset()]
    for token in tokens:
        assert not steps[-1].is_last()
        steps.append(environment.step(np.int32(token)))
    return steps


def split(policy, observation):
    """Prompt and answer of an observation."""
    prompt, answer = np.split(observation, [policy.max_prompt_tokens])
    for part in (prompt, answer):  # padded on the right alone
        assert (np.diff((part >= 0).astype(int)) <= 0).all()
    return prompt[prompt >= 0].tolist(), answer[answer >= 0].tolist()


def worth(policy, example, tokens, reward=REWARD):
    """What the reward gives an answer outside any environment."""
    actions = np.array([tokens], np.int32)
    mask = np.ones(actions.shape, bool)
    zeros = np.zeros(actions.shape, np.float32)
    rollout = Rollout(
        *policy.encode([example.prompt]), actions, mask, zeros, zeros
    )
    responses = policy.decode(rollout)
    return parse(reward)([example], responses, rollout).sum()


def valid(environment):
    """TF-Agents' own check of an environment."""
    # Only now: the first import, by `agents`, keeps its warnings quiet.
    from tf_agents.environments import utils

    utils.validate_py_environment(environment, episodes=5)


def test_tf_agents_finds_it_valid(environment):
    valid(environment)


def test_the_specs_are_those_of_the_policy(policy, environment):
    tokens = policy.tokenizer.vocabulary_size()
    observation = environment.observation_spec()
    assert observation.shape == (policy.max_prompt_tokens + LIMIT,)
    assert (observation.minimum, observation.maximum) == (-1, tokens - 1)
    action = environment.action_spec()
    assert (action.minimum, action.maximum) == (0, tokens - 1)
    assert action.shape == () and action.dtype == np.int32


def test_each_prompt_comes_once_before_any_comes_again(policy, environment):
    for _ in range(3):
        seen = [environment.reset().observation for _ in toy.EXAMPLES]
        prompts = {tuple(split(policy, row)[0]) for row in seen}
        assert len(prompts) == len(toy.EXAMPLES)
    assert all(row[-1] == policy.answer_start_id for row in prompts)


def test_what_is_done_is_seen_the_empty_token_too(policy, environment):
    steps = play(environment, [5, 0, 7, 0])
    for count, step in enumerate(steps):
        assert split(policy, step.observation)[1] == [5, 0, 7, 0][:count]


def test_stop_and_limit_are_terminal_and_nothing_else_is(environment):
    stopped = play(environment, [5, 6, 3])
    limited = play(environment, [5] * LIMIT)
    for steps in (stopped, limited):
        *middle, last = steps[1:]
        assert last.is_last() and last.discount == 0
        assert all(s.discount == np.float32(0.9) for s in middle)
    assert environment.step(np.int32(5)).is_first()


@pytest.mark.parametrize("tokens", [[3], [5, 6, 3], [5, 0, 6, 5, 5, 7, 9, 5]])
def test_rewards_add_up_to_that_of_the_answer(policy, environment, tokens):
    for _ in toy.EXAMPLES:
        steps = play(environment, tokens)
        prompt, _ = split(policy, steps[0].observation)
        (example,) = (
            e for e in toy.EXAMPLES if ids_of(policy, e.prompt) == prompt
        )
        rewards = [float(step.reward) for step in steps[1:]]
        expected = worth(policy, example, tokens)
        np.testing.assert_allclose(sum(rewards), expected, atol=1e-6)
        if not environment.dense:
            assert not any(rewards[:-1])
            continue
        earlier = [0.0] + [
            worth(policy, example, tokens[: t + 1]) for t in range(len(tokens))
        ]
        np.testing.assert_allclose(rewards, np.diff(earlier), atol=1e-6)


def ids_of(policy, prompt):
    ids, mask = policy.encode([prompt])
    return ids[mask].tolist()


def test_terms_are_kept_apart(policy):
    environment = make(policy)
    play(environment, [5, 6, 5, 3])
    assert environment.earned["Count"] == 2
    assert environment.earned["unfinished"] == 0
    environment.reset()
    assert environment.earned == {}


def test_equal_seeds_give_equal_orders(policy):
    def order(seed):
        environment = make(policy, seed=seed)
        seen = [environment.reset().observation for _ in range(20)]
        return np.stack(seen).tolist()

    assert order(1) == order(1) != order(2)


@pytest.mark.parametrize(
    "reward",
    [
        "kl",
        "'tests.support.toy:Count' + perplexity",
        "dense(kl)",
        "0.1 * normalize(rouge)",
    ],
)
def test_rewards_of_what_is_not_known_are_refused(policy, reward):
    with pytest.raises(TokenRLError, match="leave .* out"):
        make(policy, reward)


def test_without_examples_there_is_nothing_to_ask(policy):
    with pytest.raises(TokenRLError, match="no examples"):
        TokenEnvironment(policy.text, [], toy.Count())


@pytest.fixture(scope="module", params=["word", "text"])
def labels(request):
    return tiny.shared_label_policy(unit=request.param)


def labelling(policy, prompts):
    tag = rewards.get("token_accuracy", rate=False)
    right = [Example(p, (" ".join("O" * len(p.split())),)) for p in prompts]
    return TokenEnvironment(policy.text, right, tag)


def test_labels_are_actions_and_the_last_one_ends(labels):
    prompts = [example.prompt for example in toy.EXAMPLES]
    valid(labelling(labels, prompts))
    environment = labelling(labels, prompts)
    assert environment.action_spec().maximum == len(tiny.TAGS) - 1
    lengths = []
    for _ in prompts:
        steps = [environment.reset()]
        while not steps[-1].is_last():
            steps.append(environment.step(np.int32(2)))  # "O"
        lengths.append(len(steps) - 1)
        assert steps[1].reward == 1 and steps[-1].discount == 0
    words = [len(p.split()) for p in prompts]
    expected = words if labels.unit == "word" else [1] * len(words)
    assert sorted(lengths) == sorted(expected)


def test_a_text_without_words_has_nothing_to_label():
    policy = tiny.shared_label_policy(unit="word")
    with pytest.raises(TokenRLError, match="no word to label"):
        labelling(policy, [" "]).reset()

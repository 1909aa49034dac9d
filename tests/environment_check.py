"""Run by test_environment.py in a process of its own, with Keras 2 chosen.

TF-Agents validates the environment, then a few episodes are played by hand.
"""

import numpy as np
from tf_agents.environments import tf_py_environment, utils

from tests import tiny, toy
from tf_tokenrl.environment import TokenEnvironment
from tf_tokenrl.rewards import parse


def main():
    policy = tiny.policy("gru")
    reward = parse("rouge(variant='1') + 0.3 * 'tests.toy:Count'")
    environment = TokenEnvironment(
        policy.text, toy.EXAMPLES, reward, discount=0.9
    )
    utils.validate_py_environment(environment, episodes=20)
    tf_py_environment.TFPyEnvironment(environment).reset()
    prompts = {play(policy, environment) for _ in range(4 * len(toy.EXAMPLES))}
    assert prompts == {example.prompt for example in toy.EXAMPLES}
    limit(policy, environment)


def play(policy, environment):
    """The prompt itself is a perfect answer; its reward is known."""
    step = environment.reset()
    prompt_ids = step.observation[step.observation > 0]
    assert prompt_ids[-1] == policy.answer_start_id
    answer = [*prompt_ids[:-1], policy.stop_ids[0]]
    prompt = policy.tokenizer.detokenize(prompt_ids[:-1])
    for number, token in enumerate(answer):
        assert not step.is_last()
        step = environment.step(np.int32(token))
        written = step.observation[: len(prompt_ids) + number + 1]
        assert written.tolist() == [*prompt_ids, *answer[: number + 1]]
        assert not step.observation[len(written) :].any()
        if number < len(answer) - 1:
            assert (step.reward, step.discount) == (0, np.float32(0.9))
    assert step.is_last() and step.discount == 0
    worth = 1 + 0.3 * answer.count(5)
    assert abs(step.reward - worth) < 1e-6
    return prompt if isinstance(prompt, str) else prompt.numpy().decode()


def limit(policy, environment):
    """Without a stop token the answer ends at its greatest length."""
    environment.reset()
    steps = [environment.step(np.int32(5)) for _ in range(8)]
    assert [step.is_last() for step in steps] == [False] * 7 + [True]
    assert steps[-1].reward >= 0.3 * 8 - 1e-6
    assert environment.step(np.int32(5)).is_first()


if __name__ == "__main__":
    main()

"""Token by token: examples and a reward as a TF-Agents environment."""

from collections.abc import Iterator, Sequence

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout
from tf_tokenrl.models.text import TextCodec
from tf_tokenrl.rewards import Reward

try:
    from tf_agents.environments.py_environment import PyEnvironment
    from tf_agents.specs.array_spec import BoundedArraySpec
    from tf_agents.trajectories import time_step
except ImportError as error:
    raise TokenRLError(
        f"The token environment needs TF-Agents ({error}), whose pinned "
        "requirements install on Python 3.11 only: use that Python."
    ) from error
except AttributeError as error:
    raise TokenRLError(
        "TF-Agents needs Keras 2: set TF_USE_LEGACY_KERAS=1 before "
        "TensorFlow is imported."
    ) from error


class TokenEnvironment(PyEnvironment):
    """One episode is one answer, one step is one token.

    The observation is int32 `[P + T]`: the prompt's tokens, the answer's so
    far, then zeros, where P and T are the greatest lengths of prompt and
    answer. The action is the next token's id. The reward is 0 until the
    answer ends, by a stop token or at its greatest length, and then the sum
    of what `reward` gives its tokens.

    Args:
        text: tokenises and knows the limits and stop tokens; `policy.text`.
        examples: gone through in a fresh order each time.
        reward: scores finished answers; one that needs log-probs of a
            reference cannot be used.
        discount: gamma of every step but the last, whose discount is 0.
        seed: of the order of examples.

    Raises:
        TokenRLError: there are no examples, or a prompt is too long.
    """

    def __init__(
        self,
        text: TextCodec,
        examples: Sequence[Example],
        reward: Reward,
        discount: float = 1.0,
        seed: int = 0,
    ):
        super().__init__(handle_auto_reset=True)
        if not examples:
            raise TokenRLError("There are no examples to answer.")
        self.text = text
        self.examples = examples
        self.reward = reward
        self.discount = discount
        prompts = [example.prompt for example in examples]
        self._prompt_ids, self._prompt_mask = text.encode_prompts(prompts)
        self._order = _endless_order(len(examples), seed)
        self._row = 0
        self._answer: list[int] = []

    def observation_spec(self) -> BoundedArraySpec:
        width = self.text.max_prompt_tokens + self.text.max_new_tokens
        return self._token_spec((width,), "tokens")

    def action_spec(self) -> BoundedArraySpec:
        return self._token_spec((), "next_token")

    def _token_spec(self, shape, name) -> BoundedArraySpec:
        largest = self.text.tokenizer.vocabulary_size() - 1
        return BoundedArraySpec(shape, np.int32, 0, largest, name)

    def _reset(self):
        self._row, self._answer = next(self._order), []
        return time_step.restart(self._observation())

    def _step(self, action):
        self._answer.append(int(action))
        stopped = self._answer[-1] in self.text.stop_ids
        if stopped or len(self._answer) == self.text.max_new_tokens:
            return time_step.termination(self._observation(), self._score())
        return time_step.transition(self._observation(), 0.0, self.discount)

    def _observation(self) -> np.ndarray:
        prompt = self._prompt_ids[self._row][self._prompt_mask[self._row]]
        tokens = [*prompt, *self._answer]
        observation = np.zeros(self.observation_spec().shape, np.int32)
        observation[: len(tokens)] = tokens
        return observation

    def _score(self) -> float:
        row = slice(self._row, self._row + 1)
        actions = np.array([self._answer], np.int32)
        mask = np.ones(actions.shape, bool)
        zeros = np.zeros(actions.shape, np.float32)
        rollout = Rollout(
            self._prompt_ids[row],
            self._prompt_mask[row],
            actions,
            mask,
            log_probs=zeros,
            values=zeros,
        )
        responses = self.text.decode(actions, mask)
        return float(self.reward(self.examples[row], responses, rollout).sum())


def _endless_order(count: int, seed: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(count)

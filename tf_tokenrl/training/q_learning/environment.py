"""Token by token: examples and a reward as a TF-Agents environment."""

from collections.abc import Iterator, Sequence

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout
from tf_tokenrl.rewards import Reward
from tf_tokenrl.rewards.kl import Kl
from tf_tokenrl.rewards.normalize import Normalize
from tf_tokenrl.rewards.perplexity import Perplexity
from tf_tokenrl.text.codec import TextCodec
from tf_tokenrl.training.q_learning.agents import (
    BoundedArraySpec,
    PyEnvironment,
    time_step,
)
from tf_tokenrl.training.q_learning.q_values import EMPTY


class TokenEnvironment(PyEnvironment):
    """One episode is one answer, one step is one token or one label.

    The observation is int32 `[P + T]`: P slots for the prompt's tokens, then
    T for the answer's so far, -1 where a slot is empty. The action is the
    next token's id, or the number of the next word's label. With R the sum of
    what `reward` gives an answer's tokens, step t (counted from 1) earns

        r_t = R(answer up to t) - R(answer up to t - 1),    R(nothing) = 0

    so that an episode's rewards add up to R of its answer: the difference of
    a potential. Each r_t depends on what was observed and done up to t alone,
    as Q-learning needs; what `reward` places on token t of a finished answer
    may depend on later tokens. For rewards that do not look ahead both are
    the same. With `dense=False` the last step earns R and the others 0.

    An episode ends with a stop token, with its T-th token, or with the label
    of the last word, and all are terminal: their discount is 0.

    Args:
        text: tokenises and knows the limits and stop tokens; `policy.text`.
        examples: gone through in a fresh order each time.
        reward: scores answers; one that compares with a reference's log-probs
            or normalises over a step cannot be used.
        discount: gamma of every step but the last.
        seed: of the order of examples.
        dense: False pays only when the answer ends.

    Attributes:
        earned: what the answer has earned so far, for each term of the
            reward, before its weight.

    Raises:
        TokenRLError: there are no examples, a prompt is too long or has no
            word to label, or a reward cannot be used.

    Source: Ng, Harada and Russell (1999), "Policy Invariance under Reward
    Transformations": with a discount of 1 the best answers are the same,
    dense or not.

    Note:
        Reaching the limit is no truncation that bootstraps. No action is ever
        taken after the T-th token, so nothing would teach the value there,
        and the policy that is served has the same limit.
    """

    def __init__(
        self,
        text: TextCodec,
        examples: Sequence[Example],
        reward: Reward,
        discount: float = 1.0,
        seed: int = 0,
        dense: bool = True,
    ):
        super().__init__(handle_auto_reset=True)
        if not examples:
            raise TokenRLError("There are no examples to answer.")
        _check(reward)
        self.text = text
        self.examples = examples
        self.reward = reward
        self.discount = discount
        self.dense = dense
        prompts = [example.prompt for example in examples]
        self._prompt_ids, self._prompt_mask = text.encode_prompts(prompts)
        self._limits = text.answer_limits(self._prompt_ids, self._prompt_mask)
        self._order = _endless_order(len(examples), seed)
        self._row = 0
        self._answer: list[int] = []
        self._worth = 0.0
        self.earned: dict[str, float] = {}

    def observation_spec(self) -> BoundedArraySpec:
        width = self.text.max_prompt_tokens + self.text.max_new_tokens
        largest = max(self.text.largest_prompt_id, self._largest_action)
        return BoundedArraySpec((width,), np.int32, EMPTY, largest, "tokens")

    def action_spec(self) -> BoundedArraySpec:
        return BoundedArraySpec(
            (), np.int32, 0, self._largest_action, "next_token"
        )

    @property
    def _largest_action(self) -> int:
        return self.text.action_count - 1

    def _reset(self):
        self._row, self._answer = next(self._order), []
        if not self._limits[self._row]:
            name = self.examples[self._row].key
            raise TokenRLError(
                f'Example "{name}" has no word to label: leave it out.'
            )
        self._worth, self.earned = 0.0, {}
        return time_step.restart(self._observation())

    def _step(self, action):
        self._answer.append(int(action))
        stopped = self._answer[-1] in self.text.stop_ids
        last = stopped or len(self._answer) == self._limits[self._row]
        reward = self._pay() if last or self.dense else 0.0
        if last:
            return time_step.termination(self._observation(), reward)
        return time_step.transition(self._observation(), reward, self.discount)

    def _observation(self) -> np.ndarray:
        observation = np.full(self.observation_spec().shape, EMPTY, np.int32)
        prompt = self._prompt_ids[self._row][self._prompt_mask[self._row]]
        observation[: len(prompt)] = prompt
        start = self.text.max_prompt_tokens
        observation[start : start + len(self._answer)] = self._answer
        return observation

    def _pay(self) -> float:
        """What the answer is worth now, less what was paid before."""
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
        paid, self._worth = self._worth, 0.0
        for name, weight, reward in self.reward.terms():
            term = reward(self.examples[row], responses, rollout)
            self.earned[name] = float(term.sum(dtype=np.float64))
            self._worth += weight * self.earned[name]
        return self._worth - paid


def _check(reward: Reward) -> None:
    alone = isinstance(reward, Perplexity) and reward.policy is None
    if alone or isinstance(reward, Kl):
        raise TokenRLError(
            f"Reward {reward!r} compares with the log-probs of a frozen "
            "reference, which Q-learning does not compute: leave it out."
        )
    if isinstance(reward, Normalize):
        raise TokenRLError(
            f"Reward {reward!r} looks at all answers of a step together, "
            "which are not known while they are written: leave normalize out."
        )
    for part in reward.within():
        _check(part)


def _endless_order(count: int, seed: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    while True:
        yield from (int(row) for row in rng.permutation(count))

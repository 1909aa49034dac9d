"""A policy that writes, as the SavedModel of a reward model.

A reward model is a language model with one number per position. So is the
body of a policy with its value head: which of the two a file holds depends on
what the head was trained for. It therefore has no class of its own, only an
export of its own, which tells what the head says of whole answers.
"""

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export.savedmodel import PAIRS, ServedPolicy, of_any_rows


class ServedReward(ServedPolicy):
    """The graph of a reward model, under two names.

    `reward` says what it is; `serving_default` is what clients, and the
    reward `reward_model`, ask for when they are told no name.

    Raises:
        TokenRLError: the policy knows no stop token.

    Source: Ziegler et al. (2019), "Fine-Tuning Language Models from Human
    Preferences", section 2.1.
    """

    def __init__(self, policy):
        super().__init__(policy)
        if not policy.stop_ids:
            raise TokenRLError(
                "A policy without stop_ids cannot be a reward model: the "
                "score of an answer is the value before its stop token."
            )

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Both, of one trace."""
        reward = of_any_rows(self.reward).get_concrete_function(*PAIRS)
        return {"serving_default": reward, "reward": reward}

    def reward(self, prompt, answer) -> dict[str, tf.Tensor]:
        """Judge given answers by the value head.

            values_t = V(prompt, answer's tokens before t)
            score    = V(prompt, all of the answer's tokens)

        Args:
            prompt: string `[B]`; one that is too long keeps its beginning.
            answer: string `[B]`; a stop token is put after it.

        Returns:
            `score` float32 `[B]`; `values` float32 `[B, T]`, of which the
            first `lengths` int32 `[B]` count and the last, before the stop
            token, is the score; `token_ids` int32 `[B, T]`; `truncated` bool
            `[B]`, the prompt or the answer was cut. An answer that was cut
            has lost its stop token: its score is the value before the last
            token kept.
        """
        policy = self._policy()
        ids, lengths, cut = policy.text.prompt_graph(prompt)
        actions, counts, cut_answer = policy.text.answer_graph(answer)
        mask = tf.sequence_mask(counts)
        states = policy.action_states(
            {
                "prompt_ids": ids,
                "prompt_mask": tf.sequence_mask(lengths),
                "actions": actions,
                "mask": mask,
            }
        )
        values = tf.where(mask, policy.state_values(states), 0.0)
        return {
            "score": tf.gather(values, counts - 1, batch_dims=1),
            "values": values,
            "token_ids": actions,
            "lengths": counts,
            "truncated": cut | cut_answer,
        }

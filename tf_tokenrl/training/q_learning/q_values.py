"""Q of a policy: what each action is worth in a state."""

import tensorflow as tf

from tf_tokenrl.flow import Tensor
from tf_tokenrl.policies.base import Policy

EMPTY = -1


def q_values(policy: Policy, observation: Tensor) -> tf.Tensor:
    """The worth of every next token, after a prompt and what was answered.

        Q(s, a) = V(s) + logit(s, a) - max_a' logit(s, a')

    so that the policy's value is V(s) = max_a Q(s, a), and its most likely
    token, which greedy decoding takes, is the one of the largest Q. For
    sampling at temperature 1, log p(a | s) = Q(s, a) - log sum exp Q(s, .).

    Args:
        policy: with `max_prompt_tokens` P and `max_new_tokens` T.
        observation: int32 `[B, P + T]`: prompt, then answer, each padded on
            the right with -1.

    Returns:
        float32 `[B, V]`, in units of the return. After T tokens, where no
        action follows, what stands there means nothing.

    Source: Wang et al. (2016), "Dueling Network Architectures for Deep
    Reinforcement Learning", eq. 8.

    Note:
        The paper prefers eq. 9, which subtracts the mean; the value head
        would then not be the value of the greedy policy.
    """
    observation = tf.convert_to_tensor(observation)
    prompt = observation[:, : policy.max_prompt_tokens]
    answer = observation[:, policy.max_prompt_tokens :]
    mask = answer != EMPTY
    # The action that comes next is among those whose states are asked for.
    asked = tf.concat([tf.ones_like(mask[:, :1]), mask[:, :-1]], axis=1)
    states = policy.action_states(
        {
            "prompt_ids": tf.maximum(prompt, 0),
            "prompt_mask": prompt != EMPTY,
            "actions": tf.maximum(answer, 0),
            "mask": asked,
        }
    )
    count = tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)
    count = tf.minimum(count, policy.max_new_tokens - 1)
    state = tf.gather(states, count, batch_dims=1)
    logits = tf.cast(policy.logits(state), tf.float32)
    best = tf.reduce_max(logits, axis=-1, keepdims=True)
    return policy.state_values(state)[:, None] + logits - best

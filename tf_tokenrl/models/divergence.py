"""How far a whole distribution is from a reference, at each position."""

from collections.abc import Sequence

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout, Scores, Tensor
from tf_tokenrl.ops.streamed_kl import Head, streamed_kl


def score_against(
    policy, reference, rollout: Rollout, temperature: Tensor | None = None
) -> tuple[Scores, Tensor]:
    """`policy.score`, and exact KL, from one pass of each policy.

    Args:
        policy: what is scored, with gradients.
        reference: a policy over the same actions; gets no gradients.
        rollout: whose prompts, actions and mask count.
        temperature: of both; by default the policy's own.

    Returns:
        The scores, and KL(policy || reference), float32 `[B, T]` in nats, 0
        in masked slots, see `ops.streamed_kl`.

    Raises:
        TokenRLError: one of them does not give its output layer by parts.
    """
    names = ("prompt_ids", "prompt_mask", "actions", "mask")
    inputs = {name: getattr(rollout, name) for name in names}
    found = policy(inputs, temperature=temperature, reference=reference)
    scores = Scores(found["log_probs"], found["values"], found["entropy"])
    return scores, found["divergence"]


def exact(policies: Sequence, states: Sequence, temperature) -> Tensor:
    """KL of a policy from a reference, float32 `[N]`.

    Args:
        policies: the two.
        states: of each, float `[N, H]`.
        temperature: of both.
    """
    policy, reference = (
        _head(policy, x, temperature)
        for policy, x in zip(policies, states, strict=True)
    )
    return streamed_kl(policy, reference)


def actions_of(policy) -> int:
    """Among how many actions a policy chooses.

    Raises:
        TokenRLError: it does not give its output layer by parts.
    """
    return len(_output_layer(policy).weights[0])


def _output_layer(policy):
    if not hasattr(policy, "output_layer"):
        raise TokenRLError(
            f"Exact KL needs an output_layer, which {type(policy).__name__} "
            "does not define: take k1, k2 or k3."
        )
    return policy.output_layer()


def _head(policy, states: tf.Tensor, temperature) -> Head:
    weights, logits = _output_layer(policy)
    return Head(states, weights, lambda *given: logits(*given) / temperature)

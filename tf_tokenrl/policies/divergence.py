"""How far a whole distribution is from a reference, at each position."""

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout, Scores, Tensor


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
        in masked slots, see `ops.categorical.judge`.

    Raises:
        TokenRLError: one of them does not give its output layer by parts.
    """
    actions_of(reference)
    actions_of(policy)
    names = ("prompt_ids", "prompt_mask", "actions", "mask")
    inputs = {name: getattr(rollout, name) for name in names}
    found = policy(inputs, temperature=temperature, reference=reference)
    scores = Scores(found["log_probs"], found["values"], found["entropy"])
    return scores, found["divergence"]


def actions_of(policy) -> int:
    """Among how many actions a policy chooses.

    Raises:
        TokenRLError: it does not give its output layer by parts.
    """
    if not hasattr(policy, "output_layer"):
        raise TokenRLError(
            f"Exact KL needs an output_layer, which {type(policy).__name__} "
            "does not define: take k1, k2 or k3."
        )
    return int(policy.output_layer().weights[0].shape[0])

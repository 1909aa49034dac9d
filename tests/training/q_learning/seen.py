"""What a Q-learner is shown of a rollout."""

import numpy as np

from tf_tokenrl.training.q_learning.q_values import EMPTY


def observations(policy, rollout, tokens):
    """The state after `tokens` tokens of each answer, int32 `[B, P + T]`."""
    width = policy.max_prompt_tokens
    shape = (len(rollout.mask), width + policy.max_new_tokens)
    seen = np.full(shape, EMPTY, np.int32)
    for row, (ids, mask) in enumerate(
        zip(rollout.prompt_ids, rollout.prompt_mask, strict=True)
    ):
        seen[row, : mask.sum()] = ids[mask]
        kept = rollout.actions[row][rollout.mask[row]][:tokens]
        seen[row, width : width + len(kept)] = kept
    return seen

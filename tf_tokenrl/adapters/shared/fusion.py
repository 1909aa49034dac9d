"""One policy made of the weights of several, in float32, rounded once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_tokenrl.errors import TokenRLError


def interpolate(policies: Sequence[Any], weights: Sequence[float]) -> Any:
    """A policy between others.

        W = sum_i w_i W_i,    sum_i w_i = 1

    Whole weights are mixed: of policies with adapters those that they are
    merged to, for factors of a product cannot be mixed one by one.

    Args:
        policies: of one shape.
        weights: of each; negative ones lead away. A single 1 among zeros
            gives that policy bitwise.

    Raises:
        TokenRLError: the weights do not add up to 1, or the policies differ
            in more than weights.

    Source: Wortsman et al. (2022), "Model soups", section 2.
    """
    if len(weights) != len(policies) or not policies:
        raise TokenRLError(
            f"There are {len(policies)} policies and {len(weights)} weights: "
            "give each policy one weight."
        )
    if abs(sum(weights) - 1.0) > 1e-6:
        raise TokenRLError(
            f"The weights of an interpolation add up to {sum(weights):g}, and "
            "nothing is scaled by itself: let them add up to 1, or add task "
            "vectors."
        )
    tables = [_weights(policy, policies[0]) for policy in policies]
    return _with(
        policies[0], [_sum(w, weights) for w in zip(*tables, strict=True)]
    )


def add_task_vectors(
    base: Any, policies: Sequence[Any], weights: Sequence[float]
) -> Any:
    """A policy that went some way towards others, or away from them.

        W = W_0 + sum_i w_i (W_i - W_0)

    Args:
        base: W_0, from which the others were trained.
        policies: of the shape of the base.
        weights: of each task; they need not add up to anything. A negative
            one takes a task away.

    Raises:
        TokenRLError: numbers of policies and weights differ, or the policies
            differ in more than weights.

    Source: Ilharco et al. (2023), "Editing Models with Task Arithmetic",
    section 2.
    """
    if len(weights) != len(policies) or not policies:
        raise TokenRLError(
            f"There are {len(policies)} policies and {len(weights)} weights: "
            "give each policy one weight."
        )
    tables = [_weights(policy, base) for policy in (base, *policies)]
    shares = [1.0 - sum(weights), *weights]
    mixed = [_sum(w, shares) for w in zip(*tables, strict=True)]
    return _with(base, mixed)


def _weights(policy: Any, like: Any) -> list[np.ndarray]:
    """A policy's weights, its adapter merged.

    Raises:
        TokenRLError: they are not those of another policy of the shape.
    """
    found = [np.asarray(w) for w in _plain(policy).get_weights()]
    wanted = [w.shape for w in _plain(like).weights]
    if [w.shape for w in found] != wanted:
        raise TokenRLError(
            "The policies have weights of different shapes: fuse policies "
            "that were trained from one base."
        )
    return found


def _plain(policy: Any) -> Any:
    return policy if policy.active is None else policy.merge()


def _sum(weights: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """The weighted sum of one weight of each policy."""
    first = weights[0]
    total = np.zeros(first.shape, np.float32)
    for weight, share in zip(weights, shares, strict=True):
        if share:  # 0 times what is not finite would not be 0
            total += np.float32(share) * np.asarray(weight, np.float32)
    return total.astype(first.dtype)


def _with(policy: Any, weights: list[np.ndarray]) -> Any:
    """A policy of the shape, without adapters."""
    config = policy.get_config() | {"tokenizer": policy.tokenizer}
    config.pop("adapters", None)
    made = type(policy).from_config(config)
    made.set_weights(weights)
    return made

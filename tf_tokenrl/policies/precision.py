"""In which numbers a policy computes, and in which it keeps its weights."""

from typing import Any

from tf_tokenrl.errors import unknown
from tf_tokenrl.policies.base import Policy

DTYPES = ("float32", "mixed_bfloat16", "bfloat16")


def in_dtype(policy: Policy, dtype: str) -> Policy:
    """The policy, or an equal one that computes in another dtype.

    Sampling, scoring, updates, copies and exports of it all follow. Heads
    that are always float32 (values, labels) stay so, and so do log-probs,
    entropy and losses.

    Args:
        policy: with weights of any dtype; the new one has a copy of them.
        dtype: "float32"; "mixed_bfloat16", weights in float32 and products
            in bfloat16; "bfloat16", weights in bfloat16 too, which halves
            the memory, but loses steps below 1/256 of a weight; "" leaves
            the policy as it is.

    Raises:
        TokenRLError: unknown dtype.
    """
    if dtype and dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    before = policy.get_config()
    config = _with_dtype(before, dtype)
    if not dtype or config == before:
        return policy
    # A tokenizer's configuration has no vocabulary, so it is shared.
    made = type(policy).from_config(config | {"tokenizer": policy.tokenizer})
    made.set_weights(policy.get_weights())
    return made


def _with_dtype(config: Any, dtype: str) -> Any:
    """A configuration whose layers of floats have another dtype policy."""
    if isinstance(config, list | tuple):
        return type(config)(_with_dtype(x, dtype) for x in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        floats = config["config"]["name"] in DTYPES
        return config | {"config": {"name": dtype}} if floats else config
    return {key: _with_dtype(value, dtype) for key, value in config.items()}

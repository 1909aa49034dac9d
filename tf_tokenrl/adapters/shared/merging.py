"""Weights that do what a policy does with its adapter."""

import tensorflow as tf

from tf_tokenrl.adapters import Adapter
from tf_tokenrl.adapters.base import walk
from tf_tokenrl.backbones.linear import ADAPTER, Entries
from tf_tokenrl.errors import TokenRLError


def merged(
    adapter: Adapter, weights: dict, leaves: dict
) -> dict[str, dict[str, tf.Tensor]]:
    """What to write where, in float32, so that an adapter is not needed.

        W <- (W + A B) scale,    b <- b scale + shift

    Args:
        adapter: that is merged.
        weights: by role, not wrapped.
        leaves: where they live; two roles may share a leaf.

    Returns:
        Path -> name of an entry -> its value.

    Raises:
        TokenRLError: no weights do what the adapter does.
    """
    if not adapter.mergeable:
        raise TokenRLError(
            f"{type(adapter).__name__} cannot be merged, for it is more than "
            "a change of weights: export the policy with its adapter on."
        )
    _check_ties(adapter, leaves)
    before = dict(walk(weights))
    after = {
        path: entries
        for path, entries in walk(adapter.wrap(weights))
        if path in adapter.parts
    }
    return {
        path: entries
        if path in adapter.owned
        else _sum(path, before[path], entries[ADAPTER])
        for path, entries in after.items()
    }


def _sum(path: str, base: Entries, added: Entries) -> dict[str, tf.Tensor]:
    """A map's own entries with what an adapter adds to them."""
    wide = {name: tf.cast(x, tf.float32) for name, x in base.items()}
    found = {}
    kernel = next((n for n in ("kernel", "table", "rows") if n in base), None)
    if kernel and {"down", "scale"} & set(added):
        matrix = wide[kernel]
        matrix = tf.transpose(matrix) if kernel == "rows" else matrix
        if "down" in added:
            matrix += tf.matmul(added["down"], added["up"])
        matrix *= added.get("scale", 1.0)
        found[kernel] = tf.transpose(matrix) if kernel == "rows" else matrix
    if "shift" in added or ("scale" in added and "bias" in base):
        if "bias" not in base:
            raise TokenRLError(
                f'"{path}" has no bias that the adapter\'s could be added to: '
                "export the policy with its adapter on."
            )
        bias = wide["bias"] * added.get("scale", 1.0)
        found["bias"] = bias + added.get("shift", 0.0)
    return found


def _check_ties(adapter: Adapter, leaves: dict) -> None:
    """Refuse a change of one of two roles that share their weights.

    Raises:
        TokenRLError: there is one.
    """
    table = leaves.get("embedding", {}).get("table")
    tied = table is not None and table is leaves["logits"].get("rows")
    one = "logits" in adapter.parts or (
        "embedding" in adapter.parts and "embedding" not in adapter.owned
    )
    if tied and one:
        raise TokenRLError(
            "The model's embedding also makes its logits, and the adapter "
            "changes one of the two: export the policy with its adapter on, "
            "or choose other roles."
        )

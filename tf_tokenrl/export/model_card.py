"""What an exported model says of itself: `assets.extra/model_card.json`."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tf_tokenrl import files

FILE = "model_card.json"


def write(
    policy,
    signatures: Iterable[str],
    known: Mapping[str, Any],
    folder: Path,
) -> None:
    """Write the card of a version.

    Args:
        policy: what was exported.
        signatures: the names of its signatures.
        known: what the policy itself does not know, such as `run`, `data`,
            `reward`, `metrics` or `chat_template`.
        folder: `assets.extra` of the version.
    """
    card = describe(policy) | {"signatures": sorted(signatures), **known}
    files.write_json(folder / FILE, card)


def describe(policy) -> dict[str, Any]:
    """What a policy tells of itself: its kind, size, limits and tokenizer."""
    vocabulary = [str(token) for token in policy.tokenizer.get_vocabulary()]
    digest = hashlib.sha256("\n".join(vocabulary).encode("utf-8", "replace"))
    described = {
        "policy": {
            "kind": type(policy).__name__,
            "parameters": policy.count_params(),
            "dtype": policy.dtype_policy.name,
            "max_prompt_tokens": policy.max_prompt_tokens,
            "max_new_tokens": policy.max_new_tokens,
            "temperature": policy.temperature,
            "stop_ids": list(policy.stop_ids),
        },
        "tokenizer": {
            "kind": type(policy.tokenizer).__name__,
            "vocabulary_size": len(vocabulary),
            "vocabulary_sha256": digest.hexdigest(),
        },
    }
    if policy.preparation is not None:  # it is part of the served graph
        described["policy"]["preparation"] = policy.preparation.get_config()
    if hasattr(policy, "labels"):
        described["policy"] |= {"unit": policy.unit, "labels": policy.labels}
    return described

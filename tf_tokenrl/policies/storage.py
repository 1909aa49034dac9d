"""Policies on disk: one `.keras` file that holds weights and tokenizer."""

import zipfile
import zlib
from pathlib import Path

import keras

from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies.base import Policy

_UNREADABLE = (
    ValueError,
    OSError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


def save(policy: Policy, path: str | Path) -> Path:
    """Write a policy, whole or not at all.

    Raises:
        TokenRLError: it cannot be written; an older file stays as it was.
    """
    with files.replacing(path) as written:
        policy.save(written)
    return Path(path)


def load(path: str | Path) -> Policy:
    """Read a policy that `save` wrote.

    Raises:
        TokenRLError: there is no such file, or it is no policy.
    """
    path = Path(path)
    if not path.is_file():
        raise TokenRLError(
            f'There is no policy "{path}": train one with `tf-tokenrl sft`, '
            "or name another file."
        )
    try:
        policy = keras.saving.load_model(path, compile=False)
    except _UNREADABLE as error:
        reason = str(error).strip().split("\n")[0]
        raise TokenRLError(
            f'"{path}" cannot be read as a policy: {reason}'
        ) from error
    if not isinstance(policy, Policy):
        raise TokenRLError(
            f'"{path}" holds a {type(policy).__name__}, not a policy.'
        )
    return policy

"""Policies on disk: one `.keras` file that holds weights and tokenizer."""

import contextlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import (  # noqa: F401  Keras revives these
    causal,
    encoder_decoder,
    label,
    recurrent,
)
from tf_tokenrl.policies.base import Policy

_UNREADABLE = (
    ValueError,
    OSError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
    AssertionError,  # TensorFlow: a checkpoint of other weights
    tf.errors.OpError,
)
TENSORS = "tensors"  # of a checkpoint: the prefix of its files
_SHAPE, _TOKENIZER = "policy.json", "tokenizer"


def save(policy: Policy, path: str | Path) -> Path:
    """Write a policy, whole or not at all; an optimizer is not part of it.

    Raises:
        TokenRLError: it cannot be written, or a weight is not finite; an
            older file stays as it was.
    """
    _check_finite(policy, f'it is not saved to "{path}"')
    with files.replacing(path) as written, _without_optimizer(policy):
        policy.save(written)
    return Path(path)


def load(path: str | Path) -> Policy:
    """Read a policy that `save` wrote, or a checkpoint of a run.

    Raises:
        TokenRLError: there is no such file, it is not a policy, or a weight
            is not finite.
    """
    path = Path(path)
    if not path.is_file() and not Path(path, _SHAPE).is_file():
        raise TokenRLError(
            f'There is no policy "{path}": train one with `tf-tokenrl sft`, '
            "or name another file."
        )
    try:
        if path.is_dir():
            policy = _of_checkpoint(path)
        else:
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
    _check_finite(policy, f'"{path}" is broken')
    return policy


def write_shape(policy: Policy, folder: Path) -> None:
    """Write beside a checkpoint's tensors what they are the weights of.

    That is the configuration and the tokenizer, a small part of `save`.

    Raises:
        OSError: it cannot be written.
    """
    shape = keras.saving.serialize_keras_object(policy)
    shape.pop("compile_config", None)
    Path(folder, _SHAPE).write_text(json.dumps(shape), "utf-8")
    assets = Path(folder, _TOKENIZER)
    assets.mkdir()
    policy.tokenizer.save_assets(str(assets))


def digest(policy: Policy | None) -> str:
    """A fingerprint of a policy's weights, "" where there is none."""
    found = 0
    for weight in policy.get_weights() if policy else ():
        found = zlib.crc32(weight.tobytes(), found)
    return f"{found:08x}" if policy else ""


def _of_checkpoint(folder: Path) -> Policy:
    """A policy with the weights that a run had at a checkpoint."""
    shape = json.loads(Path(folder, _SHAPE).read_text("utf-8"))
    policy = keras.saving.deserialize_keras_object(shape)
    policy.tokenizer.load_assets(str(Path(folder, _TOKENIZER)))
    saved = tf.train.Checkpoint(weights=[v.value for v in policy.weights])
    status = saved.read(str(Path(folder, TENSORS)))
    status.assert_existing_objects_matched().expect_partial()
    return policy


def _check_finite(policy: Policy, what: str) -> None:
    for weight in policy.weights:
        values = tf.cast(weight.value, tf.float32)
        if not bool(tf.reduce_all(tf.math.is_finite(values))):
            raise TokenRLError(
                f"The policy has weights that are not finite numbers "
                f"({weight.path}), so {what}: go back to a policy from before "
                "its training diverged, and train with a lower learning rate."
            )


@contextlib.contextmanager
def _without_optimizer(policy: Policy) -> Iterator[None]:
    """Adam's moments are twice the size of the weights, and never read."""
    optimizer = policy.__dict__.pop("optimizer", None)
    try:
        yield
    finally:
        if optimizer is not None:
            object.__setattr__(policy, "optimizer", optimizer)

"""From messages to what the client hands back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import Message

from tf_tokenrl.client import codec, protos
from tf_tokenrl.client.replies import (
    Label,
    Piece,
    Reply,
    Score,
    Signature,
    Tags,
    TensorSpec,
    VersionStatus,
)

_STATES = {
    10: "START",
    20: "LOADING",
    30: "AVAILABLE",
    40: "UNLOADING",
    50: "END",
}


def arrays(response: Message) -> dict[str, np.ndarray]:
    """The outputs of a signature, by name."""
    return {
        name: codec.decode(proto) for name, proto in response.outputs.items()
    }


def replies(prompts: Sequence[str], response: Message) -> list[Reply]:
    """The answers to prompts."""
    outputs = arrays(response)
    return [
        Reply(
            text=_text(outputs["text"][row]),
            token_ids=_trim(outputs["token_ids"], row, length),
            log_probs=_trim(outputs["log_probs"], row, length),
            values=_trim(outputs["values"], row, length),
            stopped=bool(outputs["stopped"][row]),
            truncated=bool(outputs["truncated"][row]),
            prompt=prompt,
            model=response.model_spec.name,
            version=response.model_spec.version.value,
        )
        for row, (prompt, length) in enumerate(
            zip(prompts, outputs["lengths"], strict=True)
        )
    ]


def piece(response: Message) -> Piece:
    """What was added to an answer."""
    return Piece(
        text=response.text,
        token_ids=tuple(response.token_ids),
        log_probs=tuple(response.log_probs),
        values=tuple(response.values),
        finish_reason=response.finish_reason,
        prompt_tokens=response.prompt_tokens,
        truncated=response.truncated,
        version=response.version,
    )


def scores(response: Message) -> list[Score]:
    """What the model says about given answers."""
    outputs = arrays(response)
    return [
        Score(
            log_probs=_trim(outputs["log_probs"], row, length),
            values=_trim(outputs["values"], row, length),
            token_ids=_trim(outputs["token_ids"], row, length),
        )
        for row, length in enumerate(outputs["lengths"])
    ]


def tags(response: Message) -> list[Tags]:
    """The labels of the words of each text."""
    outputs = arrays(response)
    return [
        Tags(
            labels=tuple(map(_text, _trim(outputs["labels"], row, length))),
            log_probs=_trim(outputs["log_probs"], row, length),
            truncated=bool(outputs["truncated"][row]),
        )
        for row, length in enumerate(outputs["lengths"])
    ]


def labels(response: Message) -> list[Label]:
    """The label of each text."""
    return [
        Label(found.labels[0], found.log_probs[0], found.truncated)
        for found in tags(response)
    ]


def signatures(response: Message) -> dict[str, Signature]:
    """The signatures of a model, by name."""
    packed = response.metadata["signature_def"].value
    found = protos.SignatureDefMap.FromString(packed).signature_def
    return {
        name: Signature(_specs(each.inputs), _specs(each.outputs))
        for name, each in found.items()
    }


def versions(response: Message) -> list[VersionStatus]:
    """How the versions of a model are doing."""
    return [
        VersionStatus(
            version=found.version,
            state=_STATES.get(found.state, "UNKNOWN"),
            error=found.status.error_message,
        )
        for found in response.model_version_status
    ]


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _trim(array: np.ndarray, row: int, length: int) -> tuple:
    return tuple(array[row, :length].tolist())


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec(info) for name, info in infos.items()}


def _spec(info: Any) -> TensorSpec:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(dimension.size for dimension in info.tensor_shape.dim)
    return TensorSpec(codec.name(info.dtype), shape)

"""A client of TensorFlow Serving's gRPC API."""

import math
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack, overload

import grpc
import numpy as np
from google.protobuf.message import Message

from tf_tokenrl.client import codec, protos
from tf_tokenrl.client.errors import ServingError, Unavailable, from_rpc
from tf_tokenrl.client.replies import (
    Reply,
    Score,
    Signature,
    TensorSpec,
    VersionStatus,
)
from tf_tokenrl.errors import TokenRLError

_STATES = {
    10: "START",
    20: "LOADING",
    30: "AVAILABLE",
    40: "UNLOADING",
    50: "END",
}
_ADDRESS = re.compile(r"unix:\S+|(?!https?:)\S+:\d{1,5}")
_PAUSES = (0.1, 0.2, 0.4, 0.8)  # seconds before each new try
_LONGEST_POLL = 1.0  # seconds between two looks in `wait_ready`


class _Options(TypedDict, total=False):
    seed: int | Sequence[int]
    temperature: float | Sequence[float]
    top_k: int | Sequence[int]
    top_p: float | Sequence[float]
    max_new_tokens: int | Sequence[int] | None


class Client:
    """Talks to one model at one address; safe to share between threads.

    A call that finds no server is tried five times, with growing pauses,
    within the timeout. Every method raises a `ServingError` that carries the
    code and the text of the server.

    Args:
        address: "host:port".
        model: the name under which the model is served.
        version: which version; the newest by default.
        label: which version, by its label.
        timeout: seconds that one call may take, tries included.
        max_message_bytes: the longest message to send or to accept.

    Raises:
        TokenRLError: the address is none, or both `version` and `label` are
            given.
    """

    def __init__(
        self,
        address: str = "localhost:8500",
        model: str = "headline",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
        max_message_bytes: int = 2**31 - 1,
    ):
        if version is not None and label is not None:
            raise TokenRLError("Name a version or a label, not both.")
        if not _ADDRESS.fullmatch(address):
            raise TokenRLError(
                f'"{address}" is no address: write HOST:PORT, for instance '
                "localhost:8500."
            )
        self.address = address
        self.model = model
        self.version = version
        self.label = label
        self.timeout = timeout
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._predict = self._method(
            "PredictionService/Predict", protos.PredictResponse
        )
        self._metadata = self._method(
            "PredictionService/GetModelMetadata",
            protos.GetModelMetadataResponse,
        )
        self._status = self._method(
            "ModelService/GetModelStatus", protos.GetModelStatusResponse
        )

    def predict(
        self,
        inputs: Mapping[str, Any],
        signature: str = "serving_default",
        outputs: Iterable[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Run a signature.

        Args:
            inputs: arrays by name; their types must be the signature's.
            signature: its name.
            outputs: the names of those wanted; all by default.

        Returns:
            Arrays by name, strings as `bytes` objects.
        """
        return _arrays(self._run(inputs, signature, outputs))

    @overload
    def generate(  # type: ignore[overload-overlap]  # str is a Sequence[str]
        self, prompt: str, **options: Unpack[_Options]
    ) -> Reply: ...

    @overload
    def generate(
        self, prompt: Sequence[str], **options: Unpack[_Options]
    ) -> list[Reply]: ...

    def generate(
        self,
        prompt: str | Sequence[str],
        seed: int | Sequence[int] = 0,
        temperature: float | Sequence[float] = 0.0,
        top_k: int | Sequence[int] = 0,
        top_p: float | Sequence[float] = 1.0,
        max_new_tokens: int | Sequence[int] | None = None,
    ) -> Reply | list[Reply]:
        """Answer one prompt, or several in one request.

        Every option is one value for all prompts or one per prompt.

        Args:
            prompt: a text, or a list of texts.
            seed: the same seed draws the same answer.
            temperature: 0 always takes the likeliest token.
            top_k: draw among the k likeliest tokens only; 0 for all.
            top_p: draw among the likeliest tokens that hold this share of
                the probability.
            max_new_tokens: the most tokens to add; the model's own limit by
                default, which it cannot exceed.

        Returns:
            One `Reply`, or a list of them in the order of the prompts.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts:
            return []
        size = len(prompts)
        limit = 0 if max_new_tokens is None else max_new_tokens
        response = self._run(
            {
                "prompt": np.array(prompts, dtype=object),
                "seed": _rows(seed, np.int64, size),
                "temperature": _rows(temperature, np.float32, size),
                "top_k": _rows(top_k, np.int32, size),
                "top_p": _rows(top_p, np.float32, size),
                "max_new_tokens": _rows(limit, np.int32, size),
            }
        )
        replies = _replies(prompts, response)
        return replies[0] if isinstance(prompt, str) else replies

    def score(
        self, prompts: Sequence[str], answers: Sequence[str]
    ) -> list[Score]:
        """What the model says about given answers to prompts.

        Raises:
            ValueError: there are not as many answers as prompts.
        """
        if len(prompts) != len(answers):
            raise ValueError(
                f"{len(prompts)} prompts but {len(answers)} answers."
            )
        if not prompts:
            return []
        arrays = self.predict(
            {
                "prompt": np.array(prompts, dtype=object),
                "answer": np.array(answers, dtype=object),
            },
            signature="score",
        )
        return [
            Score(
                log_probs=_trim(arrays["log_probs"], row, length),
                values=_trim(arrays["values"], row, length),
                token_ids=_trim(arrays["token_ids"], row, length),
            )
            for row, length in enumerate(arrays["lengths"])
        ]

    def metadata(self) -> dict[str, Signature]:
        """The signatures of the model, by name."""
        request = protos.GetModelMetadataRequest(
            model_spec=self._spec(), metadata_field=["signature_def"]
        )
        response = self._call(self._metadata, request, self.timeout)
        packed = response.metadata["signature_def"].value
        signatures = protos.SignatureDefMap.FromString(packed).signature_def
        return {
            name: Signature(_specs(found.inputs), _specs(found.outputs))
            for name, found in signatures.items()
        }

    def status(self) -> list[VersionStatus]:
        """The versions of the model that the server knows, newest first.

        The server looks at `version`, if one was given, and not at `label`.
        """
        return self._versions(self.timeout)

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Return when the model has a version that answers.

        Raises:
            Unavailable: it had none within `seconds`.
        """
        end = time.monotonic() + seconds
        pause = 0.05
        while True:
            try:
                seen = self._versions(max(end - time.monotonic(), pause), ())
                if any(version.state == "AVAILABLE" for version in seen):
                    return
                reason = f"its versions are {seen}"
            except ServingError as error:
                reason = f"{error.code.name}: {error.text}".rstrip(".")
            if time.monotonic() >= end:
                raise Unavailable(
                    f'Model "{self.model}" at {self.address} was not ready '
                    f"within {seconds:g} seconds: {reason}."
                )
            time.sleep(min(pause, max(end - time.monotonic(), 0)))
            pause = min(2 * pause, _LONGEST_POLL)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _run(
        self,
        inputs: Mapping[str, Any],
        signature: str = "serving_default",
        outputs: Iterable[str] | None = None,
    ) -> Message:
        request = protos.PredictRequest(model_spec=self._spec(signature))
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(codec.encode(value))
        request.output_filter.extend(outputs or ())
        return self._call(self._predict, request, self.timeout)

    def _versions(
        self, timeout: float, pauses: Sequence[float] = _PAUSES
    ) -> list[VersionStatus]:
        request = protos.GetModelStatusRequest(model_spec=self._spec())
        response = self._call(self._status, request, timeout, pauses)
        return [
            VersionStatus(
                version=found.version,
                state=_STATES.get(found.state, "UNKNOWN"),
                error=found.status.error_message,
            )
            for found in response.model_version_status
        ]

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable,
        request: Message,
        timeout: float,
        pauses: Sequence[float] = _PAUSES,
    ):
        """Call, and again after each of `pauses` while nobody answers."""
        end = time.monotonic() + timeout
        for pause in (*pauses, math.inf):
            pause *= random.uniform(0.5, 1.5)  # clients must not come as one
            remaining = end - time.monotonic()
            try:
                return method(request, timeout=remaining)
            except grpc.RpcError as error:
                failure = from_rpc(error, self.address, self.model)
                late = time.monotonic() + pause >= end
                if late or not isinstance(failure, Unavailable):
                    raise failure from error
            time.sleep(pause)

    def _method(self, name: str, response: type[Message]):
        return self._channel.unary_unary(
            f"/tensorflow.serving.{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )

    def _spec(self, signature: str = "") -> Message:
        spec = protos.ModelSpec(name=self.model, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label
        return spec


def _rows(value: Any, dtype: type, size: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, dtype), [size])


def _arrays(response: Message) -> dict[str, np.ndarray]:
    return {
        name: codec.decode(proto) for name, proto in response.outputs.items()
    }


def _replies(prompts: Sequence[str], response: Message) -> list[Reply]:
    arrays = _arrays(response)
    return [
        Reply(
            text=arrays["text"][row].decode("utf-8", errors="replace"),
            token_ids=_trim(arrays["token_ids"], row, length),
            log_probs=_trim(arrays["log_probs"], row, length),
            values=_trim(arrays["values"], row, length),
            stopped=bool(arrays["stopped"][row]),
            truncated=bool(arrays["truncated"][row]),
            prompt=prompt,
            model=response.model_spec.name,
            version=response.model_spec.version.value,
        )
        for row, (prompt, length) in enumerate(
            zip(prompts, arrays["lengths"], strict=True)
        )
    ]


def _trim(array: np.ndarray, row: int, length: int) -> tuple:
    return tuple(array[row, :length].tolist())


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec_of(info) for name, info in infos.items()}


def _spec_of(info: Any) -> TensorSpec:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(dimension.size for dimension in info.tensor_shape.dim)
    return TensorSpec(codec.name(info.dtype), shape)

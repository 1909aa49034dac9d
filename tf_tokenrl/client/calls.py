"""What can be asked of a server: the requests, and how replies are read.

The clients differ in how a call travels, not in what it says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

import numpy as np
from google.protobuf.message import Message

from tf_tokenrl.client import codec, protos, reading, sampling_options
from tf_tokenrl.client.replies import (
    Piece,
    Reply,
    Score,
    Signature,
    VersionStatus,
)
from tf_tokenrl.errors import TokenRLError

Result = TypeVar("Result")


class GenerationOptions(TypedDict, total=False):
    """How answers are drawn; each is one value, or one for each prompt."""

    seed: int | Sequence[int]
    temperature: float | Sequence[float]
    top_k: int | Sequence[int]
    top_p: float | Sequence[float]
    max_new_tokens: int | Sequence[int] | None


class StreamOptions(TypedDict, total=False):
    """How one answer is drawn, and the texts that end it."""

    seed: int
    temperature: float
    top_k: int
    top_p: float
    max_new_tokens: int | None
    stop: str | Sequence[str]


class Rating(TypedDict, total=False):
    """What may be said about a reply; see `Client.rate`."""

    score: float
    thumb: int
    better_than: Reply
    edit: str
    spans: Sequence[tuple[int, int, float]]
    rater: str
    comment: str


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One question to a server.

    Attributes:
        method: the RPC, "package.Service/Method".
        request: its message; None where there is nothing to ask.
        response: the type of what comes back.
        read: from that, or from None, to the result.
    """

    method: str
    request: Message | None
    response: type[Message]
    read: Callable[[Any], Result]

    def on(self, channel: Any, streamed: bool = False):
        """The RPC as a function of the channel, of `grpc` or `grpc.aio`."""
        kind = channel.unary_stream if streamed else channel.unary_unary
        return kind(
            f"/{self.method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.response.FromString,
        )


@dataclass(frozen=True)
class Calls:
    """The calls to one model.

    Args:
        model: the name under which it is served.
        version: which version; the newest by default.
        label: which version, by its label.

    Raises:
        TokenRLError: both `version` and `label` are given.
    """

    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self):
        if self.version is not None and self.label is not None:
            raise TokenRLError("Name a version or a label, not both.")

    def predict(
        self,
        inputs: Mapping[str, Any],
        signature: str = "serving_default",
        outputs: Iterable[str] | None = None,
        read: Callable[[Any], Any] = reading.arrays,
    ) -> Call[Any]:
        """Run a signature."""
        request = protos.PredictRequest(model_spec=self._spec(signature))
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(codec.encode(value))
        request.output_filter.extend(outputs or ())
        return _predict(request, read)

    def generate(
        self,
        prompt: str | Sequence[str],
        seed: int | Sequence[int] = 0,
        temperature: float | Sequence[float] = 0.0,
        top_k: int | Sequence[int] = 0,
        top_p: float | Sequence[float] = 1.0,
        max_new_tokens: int | Sequence[int] | None = None,
    ) -> Call[Any]:
        """Answer one prompt, or several in one request."""
        prompts, unpacked = _listed(prompt)
        options = sampling_options.checked(
            seed, temperature, top_k, top_p, max_new_tokens
        )
        inputs = {"prompt": _strings(prompts)} | {
            name: sampling_options.for_each(name, value, prompts)
            for name, value in options.items()
        }
        return self._by_rows(
            inputs,
            "serving_default",
            lambda response: unpacked(reading.replies(prompts, response)),
        )

    def stream(
        self,
        prompt: str,
        seed: int = 0,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_new_tokens: int | None = None,
        stop: Sequence[str] = (),
    ) -> Call[Piece]:
        """Answer one prompt piece by piece; `read` reads one piece."""
        options = sampling_options.checked(
            seed, temperature, top_k, top_p, max_new_tokens
        )
        stops = [stop] if isinstance(stop, str) else stop
        request = protos.StreamRequest(
            prompt=codec.utf8(prompt),
            stop=[codec.utf8(text).decode() for text in stops],
            **{n: sampling_options.one(n, v) for n, v in options.items()},
        )
        # Its own message of the same shape: the packages differ.
        request.model_spec.MergeFromString(self._spec().SerializeToString())
        return Call(
            "tf_tokenrl.v1.Generation/Stream",
            request,
            protos.StreamResponse,
            reading.piece,
        )

    def score(
        self, prompts: Sequence[str], answers: Sequence[str]
    ) -> Call[list[Score]]:
        """What the model says about given answers to prompts.

        Raises:
            ValueError: there are not as many answers as prompts.
        """
        if len(prompts) != len(answers):
            raise ValueError(
                f"{len(prompts)} prompts but {len(answers)} answers."
            )
        inputs = {"prompt": _strings(prompts), "answer": _strings(answers)}
        return self._by_rows(inputs, "score", reading.scores)

    def tag(self, text: str | Sequence[str]) -> Call[Any]:
        """The likeliest label of each word of a text, or of several."""
        return self._label("tag", text, reading.tags)

    def classify(self, text: str | Sequence[str]) -> Call[Any]:
        """The likeliest label of a text, or of several."""
        return self._label("classify", text, reading.labels)

    def metadata(self) -> Call[dict[str, Signature]]:
        """The signatures of the model, by name."""
        request = protos.GetModelMetadataRequest(
            model_spec=self._spec(), metadata_field=["signature_def"]
        )
        return Call(
            "tensorflow.serving.PredictionService/GetModelMetadata",
            request,
            protos.GetModelMetadataResponse,
            reading.signatures,
        )

    def status(self) -> Call[list[VersionStatus]]:
        """The versions of the model that the server knows."""
        return Call(
            "tensorflow.serving.ModelService/GetModelStatus",
            protos.GetModelStatusRequest(model_spec=self._spec()),
            protos.GetModelStatusResponse,
            reading.versions,
        )

    def _label(
        self, signature: str, text: str | Sequence[str], read: Callable
    ) -> Call[Any]:
        texts, unpacked = _listed(text)
        return self._by_rows(
            {"text": _strings(texts)},
            signature,
            lambda response: unpacked(read(response)),
        )

    def _by_rows(
        self, inputs: dict[str, np.ndarray], signature: str, read: Callable
    ) -> Call[Any]:
        """A call whose inputs have one entry for each row, if there is one."""
        if not all(map(len, inputs.values())):
            return _predict(None, lambda _: [])
        return self.predict(inputs, signature, read=read)

    def _spec(self, signature: str = "") -> Message:
        spec = protos.ModelSpec(name=self.model, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label
        return spec


def _predict(request: Message | None, read: Callable) -> Call[Any]:
    return Call(
        "tensorflow.serving.PredictionService/Predict",
        request,
        protos.PredictResponse,
        read,
    )


def _listed(text: str | Sequence[str]) -> tuple[list[str], Callable]:
    """Texts as a list, and from a list to what they were given as."""
    if isinstance(text, str):
        return [text], lambda results: results[0]
    return list(text), lambda results: results


def _strings(texts: Sequence[str]) -> np.ndarray:
    return np.array(texts, dtype=object)

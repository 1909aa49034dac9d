"""Requests and replies in the shape of OpenAI's completions.

Fields that would change the answer and are not here are refused, as unknown
ones are; those that ask for nothing (`presence_penalty` 0, say) are accepted.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tf_tokenrl.serving.generation.convention import GenerationRequest

MOST_ANSWERS = 128  # of one request
_DEFAULT_TOKENS = 16  # of a completion; a chat's answer has no default limit
_LONGEST = 2**31 - 1
_NOTHING = {  # field -> the values with which it asks for nothing
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "echo": (False,),
    "suffix": ("",),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "best_of": (1,),
}
_BOTH = {"model", "n", "stream", "stream_options", "stop", "max_tokens"}
_BOTH |= {"temperature", "top_p", "seed", "user", "logprobs"}
_BOTH |= {"presence_penalty", "frequency_penalty", "logit_bias"}
_TEXT = _BOTH | {"prompt", "echo", "suffix", "best_of"}
_CHAT = _BOTH | {"messages", "max_completion_tokens", "top_logprobs"}
_CHAT |= {"response_format"}

Messages = Sequence[Mapping[str, str]]


class RequestError(Exception):
    """A request that is refused, as OpenAI words it.

    Args:
        message: what is wrong.
        param: the field that is.
        code: a short name of the reason.
        status: of HTTP.
    """

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
    ):
        super().__init__(message)
        self.param, self.code, self.status = param, code, status

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the reply."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": str(self), "type": kind}
        return {"error": {**error, "param": self.param, "code": self.code}}


class Asked(NamedTuple):
    """A request, read.

    Attributes:
        model: its name.
        requests: one per answer, those of one prompt side by side.
        choices: answers per prompt.
        stream: send chunks as they come.
        usage: end a stream with a chunk of counts.
        log_probs: send those of the chosen tokens.
    """

    model: str
    requests: list[GenerationRequest]
    choices: int
    stream: bool
    usage: bool
    log_probs: bool


def parse(body: bytes) -> dict[str, Any]:
    """The fields of a request.

    Raises:
        RequestError: it is no JSON object, or names no model.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"The body of the request is not valid JSON: {error}."
        ) from error
    if not isinstance(fields, dict):
        raise RequestError("The body of the request must be a JSON object.")
    _text(fields, "model")
    return fields


def read_completion(fields: dict[str, Any]) -> Asked:
    """A request to `/v1/completions`.

    Raises:
        RequestError: it cannot be answered as it stands.
    """
    fields = _known(fields, _TEXT)
    prompts = fields.get("prompt", "")
    if isinstance(prompts, str):
        prompts = [prompts]
    if (
        not isinstance(prompts, list)
        or not prompts
        or not all(isinstance(prompt, str) for prompt in prompts)
    ):
        raise RequestError(
            "'prompt' must be a string or a list of strings; token ids are "
            "not supported.",
            "prompt",
            "invalid_type",
        )
    log_probs = fields.get("logprobs") is not None
    if log_probs:
        _whole(fields, "logprobs", 0, 0, 5)
    limit = _whole(fields, "max_tokens", _DEFAULT_TOKENS, 1, _LONGEST)
    return _asked(fields, prompts, limit, log_probs)


def read_chat(
    fields: dict[str, Any], template: Callable[[Messages], str]
) -> Asked:
    """A request to `/v1/chat/completions`.

    Args:
        fields: those of `parse`.
        template: from messages with `role` and `content` to a prompt.

    Raises:
        RequestError: it cannot be answered as it stands.
    """
    fields = _known(fields, _CHAT)
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestError(
            "'messages' must be a list of one message or more.",
            "messages",
            "invalid_type",
        )
    prompt = template([_message(i, m) for i, m in enumerate(messages)])
    limit = 0
    for name in ("max_tokens", "max_completion_tokens"):
        limit = _whole(fields, name, limit, 1, _LONGEST)
    return _asked(fields, [prompt], limit, _flag(fields, "logprobs"))


def _asked(
    fields: Mapping[str, Any], prompts: list[str], limit: int, log_probs: bool
) -> Asked:
    choices = _whole(fields, "n", 1, 1, MOST_ANSWERS)
    if choices * len(prompts) > MOST_ANSWERS:
        raise RequestError(
            f"A request may ask for {MOST_ANSWERS} answers at most, prompts "
            "times 'n'.",
            "n",
            "invalid_value",
        )
    largest = 2**63 - 1 - MOST_ANSWERS
    seed = _whole(fields, "seed", secrets.randbits(62), -(2**63), largest)
    temperature = _number(fields, "temperature", 1.0, 0.0, 2.0)
    top_p = _number(fields, "top_p", 1.0, 0.0, 1.0)
    stop = _stop(fields)
    stream = _flag(fields, "stream")
    requests = [
        GenerationRequest(
            prompt.encode("utf-8", "replace"),
            seed + choice,
            temperature,
            limit,
            0,
            top_p,
            stop,
        )
        for prompt in prompts
        for choice in range(choices)
    ]
    usage = _usage(fields, stream)
    model = _text(fields, "model")
    return Asked(model, requests, choices, stream, usage, log_probs)


def _known(fields: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """The fields that are given, null being the same as nothing."""
    for name, value in fields.items():
        if name not in known:
            raise RequestError(
                f"Unrecognized request argument supplied: {name}"
            )
        if value is not None and value not in _NOTHING.get(name, (value,)):
            raise RequestError(
                f"'{name}' is not supported by this server: leave it out.",
                name,
                "unsupported_parameter",
            )
    return {n: value for n, value in fields.items() if value is not None}


def _message(index: int, message: Any) -> dict[str, str]:
    role = message.get("role") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = [p.get("text") for p in content if isinstance(p, dict)]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(content):
            content = "".join(texts)
    if not isinstance(role, str) or not isinstance(content, str):
        raise RequestError(
            f"messages[{index}] must have a 'role' and a 'content' of text.",
            "messages",
            "invalid_type",
        )
    return {"role": role, "content": content}


def _usage(fields: Mapping[str, Any], stream: bool) -> bool:
    options = fields.get("stream_options", {})
    if not isinstance(options, dict) or (options and not stream):
        raise RequestError(
            "'stream_options' must be an object, and needs 'stream' true.",
            "stream_options",
        )
    return _flag(options, "include_usage")


def _stop(fields: Mapping[str, Any]) -> tuple[str, ...]:
    stop = fields.get("stop", [])
    stop = [stop] if isinstance(stop, str) else stop
    if (
        not isinstance(stop, list)
        or len(stop) > 4
        or not all(isinstance(text, str) for text in stop)
    ):
        raise RequestError(
            "'stop' must be a string or a list of up to four strings.",
            "stop",
            "invalid_type",
        )
    return tuple(stop)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise RequestError(f"You must provide '{name}', a string.", name)
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise _wrong_type(name, "true or false")
    return value


def _whole(
    fields: Mapping[str, Any], name: str, default: int, low: int, high: int
) -> int:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, "an integer")
    if name in fields and not low <= value <= high:
        raise _out_of_range(name, low, high)
    return value


def _number(
    fields: Mapping[str, Any],
    name: str,
    default: float,
    low: float,
    high: float,
) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, "a number")
    if not low <= value <= high:  # NaN is not, either
        raise _out_of_range(name, low, high)
    return float(value)


def _wrong_type(name: str, wanted: str) -> RequestError:
    return RequestError(
        f"Invalid type for '{name}': expected {wanted}.", name, "invalid_type"
    )


def _out_of_range(name: str, low: float, high: float) -> RequestError:
    return RequestError(
        f"Invalid value for '{name}': expected {low} to {high}.",
        name,
        "invalid_value",
    )

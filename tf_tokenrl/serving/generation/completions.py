"""Requests to OpenAI's paths: what may be in them, and what it asks for.

Fields that would change the answer and are not here are refused, as unknown
ones are; those that ask for nothing (`presence_penalty` 0, say) and those that
do not concern the answer (`store`) are accepted.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
import pydantic_core
from pydantic import Field

from tf_tokenrl.serving.generation.convention import GenerationRequest

MOST_ANSWERS = 128  # of one request
_LONGEST = 2**31 - 1
_LARGEST_SEED = 2**63 - 1 - MOST_ANSWERS  # each answer counts up from it
_NOTHING: dict[str, tuple] = {  # field -> values with which it asks for nothing
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "min_p": (0,),
    "suffix": ("",),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "best_of": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "modalities": (["text"],),
}
_NO_CONCERN = {
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
}
_STOPS = "a string or a list of up to four strings"
_PROMPTS = "a string or a list of strings; token ids are not supported"

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
        echo: begin each text with its prompt.
    """

    model: str
    requests: list[GenerationRequest]
    choices: int
    stream: bool
    usage: bool
    log_probs: bool
    echo: bool = False


class _Strict(pydantic.BaseModel):
    """No number from a string, no NaN, no field without a name here."""

    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False
    )


class _StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False  # asks for padding that hides lengths


class _Request(_Strict):
    """What both kinds of requests may say."""

    model: str
    n: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1, le=_LONGEST)] = 0  # not OpenAI's
    seed: Annotated[int, Field(ge=-(2**63), le=_LARGEST_SEED)] = Field(
        default_factory=lambda: secrets.randbits(62)
    )
    stop: str | Annotated[list[str], Field(max_length=4)] = Field(
        [], description=_STOPS
    )
    stream: bool = False
    stream_options: _StreamOptions | None = None

    @pydantic.model_validator(mode="after")
    def _options_belong_to_streams(self) -> "_Request":
        if self.stream_options is not None and not self.stream:
            raise pydantic_core.PydanticCustomError(
                "stream_options", "'stream_options' needs 'stream' true"
            )
        return self


class _Completion(_Request):
    prompt: str | Annotated[list[str], Field(min_length=1)] = Field(
        "", description=_PROMPTS
    )
    max_tokens: Annotated[int, Field(ge=1, le=_LONGEST)] = 16
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool = False


class _Part(_Strict):
    type: Literal["text"]
    text: str


class _Message(_Strict):
    role: str
    content: str | list[_Part] = Field(description="text")
    name: str | None = None
    refusal: None = None


class _Chat(_Request):
    messages: Annotated[list[_Message], Field(min_length=1)]
    # The later name and the earlier one; without either the policy's limit.
    max_completion_tokens: Annotated[int, Field(ge=1, le=_LONGEST)] = 0
    max_tokens: Annotated[int, Field(ge=1, le=_LONGEST)] = 0
    logprobs: bool = False


def parse(body: bytes) -> dict[str, Any]:
    """The fields of a request.

    Raises:
        RequestError: it is not a JSON object, or names no model.
    """
    try:
        # It refuses half a surrogate pair, which no text can hold.
        fields = pydantic_core.from_json(body)
    except ValueError as error:
        raise RequestError(
            f"The body of the request is not valid JSON: {error}."
        ) from error
    if not isinstance(fields, dict):
        raise RequestError("The body of the request must be a JSON object.")
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise RequestError("You must provide 'model', a string.", "model")
    return fields


def read_completion(fields: dict[str, Any]) -> Asked:
    """A request to `/v1/completions`.

    Raises:
        RequestError: it cannot be answered as it stands.
    """
    request = _validated(_Completion, fields)
    prompts = request.prompt
    prompts = [prompts] if isinstance(prompts, str) else prompts
    log_probs = request.logprobs is not None
    if request.echo and log_probs:
        raise RequestError(
            "'echo' with 'logprobs' asks for log-probs of the prompt, which "
            "this server does not have: leave one of them out.",
            "echo",
            "unsupported_parameter",
        )
    asked = _asked(request, prompts, request.max_tokens, log_probs)
    return asked._replace(echo=request.echo)


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
    request = _validated(_Chat, fields)
    prompt = template(
        [
            {"role": message.role, "content": _text(message.content)}
            for message in request.messages
        ]
    )
    limit = request.max_completion_tokens or request.max_tokens
    return _asked(request, [prompt], limit, request.logprobs)


def _validated(kind: type[_Request], fields: dict[str, Any]) -> Any:
    """The fields as a request; null is the same as nothing."""
    kept = {}
    for name, value in fields.items():
        if value is None or name in _NO_CONCERN:
            continue
        if name not in _NOTHING:
            kept[name] = value
        elif value not in _NOTHING[name]:
            raise RequestError(
                f"'{name}' is not supported by this server: leave it out.",
                name,
                "unsupported_parameter",
            )
    try:
        return kind.model_validate(kept)
    except pydantic.ValidationError as error:
        raise _refusal(kind, error) from error


def _refusal(
    kind: type[_Request], error: pydantic.ValidationError
) -> RequestError:
    """The first thing that is wrong, in OpenAI's shape."""
    first = error.errors(include_url=False, include_input=False)[0]
    if not first["loc"]:
        return RequestError(f"{first['msg']}.", first["type"])
    name, *inside = first["loc"]
    if first["type"] == "extra_forbidden" and not inside:
        return RequestError(f"Unrecognized request argument supplied: {name}")
    where = str(name)
    for step in inside:
        where += f"[{step}]" if isinstance(step, int) else f".{step}"
    reason = first["msg"].replace("Input should be", "expected", 1)
    field = kind.model_fields.get(str(name))
    if field is not None and field.description:  # of two types: name both
        where, reason = str(name), f"expected {field.description}"
    code = "invalid_value"
    if first["type"] == "missing" or first["type"].endswith("_type"):
        code = "invalid_type"
    return RequestError(
        f"Invalid value for '{where}': {reason}.", str(name), code
    )


def _asked(
    request: _Request, prompts: list[str], limit: int, log_probs: bool
) -> Asked:
    if request.n * len(prompts) > MOST_ANSWERS:
        raise RequestError(
            f"A request may ask for {MOST_ANSWERS} answers at most, prompts "
            "times 'n'.",
            "n",
            "invalid_value",
        )
    stop = request.stop
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    requests = [
        GenerationRequest(
            prompt.encode(),
            request.seed + choice,
            request.temperature,
            limit,
            max(request.top_k, 0),
            request.top_p,
            stops,
            whole_prompt=True,
        )
        for prompt in prompts
        for choice in range(request.n)
    ]
    options = request.stream_options
    return Asked(
        request.model,
        requests,
        request.n,
        request.stream,
        options is not None and options.include_usage,
        log_probs,
    )


def _text(content: str | list[_Part]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content)

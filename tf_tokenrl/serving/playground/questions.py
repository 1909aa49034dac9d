"""What the page asks, read and checked."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic import ConfigDict, Field

from tf_tokenrl.feedback.records import Hash


class Question(pydantic.BaseModel):
    """A prompt, how answers to it are drawn, and who asks.

    Attributes:
        prompt: the text.
        temperature: 0 takes the likeliest token.
        top_k: 0 for all tokens.
        top_p: 1 for all tokens.
        max_new_tokens: 0 for the model's own limit.
        seed: a random one by default.
        compare: two versions side by side, in an order that is not told.
        user: a `user_hash`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Annotated[str, Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 1.0
    top_k: Annotated[int, Field(ge=0, lt=2**31)] = 0
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    max_new_tokens: Annotated[int, Field(ge=0, lt=2**31)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**53)] = Field(
        default_factory=lambda: secrets.randbits(53)  # a number of JavaScript's
    )
    compare: bool = False
    user: Hash = ""

    @property
    def sampling(self) -> dict[str, Any]:
        """The options by the names of `Client.generate`."""
        names = ("temperature", "top_k", "top_p", "max_new_tokens", "seed")
        return {name: getattr(self, name) for name in names}


def read_question(fields: Any) -> Question:
    """A question from JSON.

    Raises:
        ValueError: one sentence, what is wrong.
    """
    if not isinstance(fields, Mapping):
        raise ValueError("A question must be a JSON object.")
    try:
        return Question(**fields)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"Cannot take `{place}`: {first['msg']}.") from error

"""What the client hands back."""

from typing import NamedTuple


class Reply(NamedTuple):
    """One answer and what the model knew when it gave it.

    Attributes:
        text: the answer, without the stop token.
        token_ids: the chosen ids, a stop token included.
        log_probs: of each chosen id, in nats.
        values: the critic's value before each choice, in units of the
            return.
        stopped: True where a stop token ended the answer, False where the
            limit on new tokens did.
        truncated: True where the prompt was cut to fit the context.
        prompt: what was asked.
        model: the name of the model that answered.
        version: its version, 0 if the server does not say.
        key: of the answer in the feedback store, "" where there is none.
    """

    text: str
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    values: tuple[float, ...]
    stopped: bool
    truncated: bool
    prompt: str
    model: str
    version: int
    key: str = ""


class Piece(NamedTuple):
    """What was added to an answer while it is being written.

    The texts of all pieces joined are the answer.

    Attributes:
        text: whole characters.
        token_ids: chosen since the piece before.
        log_probs: of each of these ids, in nats.
        values: the critic's value before each choice.
        finish_reason: "" while the answer goes on; "stop" after a stop token
            or a stop text, "length" at the limit.
        prompt_tokens: how many tokens the prompt has.
        truncated: True where the prompt was cut to fit the context.
        version: of the model that answers.
    """

    text: str
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    values: tuple[float, ...]
    finish_reason: str
    prompt_tokens: int
    truncated: bool
    version: int


class Score(NamedTuple):
    """What a model says about an answer that is given to it.

    Attributes:
        log_probs: of each token of the answer, in nats.
        values: the critic's value before each token, in units of the return.
        token_ids: the tokens of the answer.
    """

    log_probs: tuple[float, ...]
    values: tuple[float, ...]
    token_ids: tuple[int, ...]


class Tags(NamedTuple):
    """The likeliest label of each word of a text.

    Attributes:
        labels: one for each word.
        log_probs: of each label, in nats.
        truncated: True where the text was cut to fit the context.
    """

    labels: tuple[str, ...]
    log_probs: tuple[float, ...]
    truncated: bool


class Label(NamedTuple):
    """The likeliest label of a text.

    Attributes:
        label: its name.
        log_prob: in nats.
        truncated: True where the text was cut to fit the context.
    """

    label: str
    log_prob: float
    truncated: bool


class TensorSpec(NamedTuple):
    """The type of a tensor and its sizes.

    Attributes:
        dtype: as NumPy names it, or "string".
        shape: None where the rank is open, -1 where a size is.
    """

    dtype: str
    shape: tuple[int, ...] | None


class Signature(NamedTuple):
    """One way to call a model: its inputs and outputs by name."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


class VersionStatus(NamedTuple):
    """How one version of a model is doing.

    Attributes:
        version: its number.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING" or "END".
        error: why it failed, "" if it has not.
    """

    version: int
    state: str
    error: str

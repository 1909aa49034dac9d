"""From the messages of a chat to one prompt."""

import json
from pathlib import Path

import jinja2
import jinja2.sandbox

from tf_tokenrl.serving.generation.completions import Messages, RequestError

_CARD = ("assets.extra", "model_card.json")


def prompt(folder: str, messages: Messages) -> str:
    """The prompt that stands for `messages`.

    A Jinja template `chat_template` in the version's model card is given
    `messages` and `add_generation_prompt`, as those of other model hubs are.
    Without one the contents are joined by line ends, roles left out: a model
    of single prompts sees a single message as it is.

    Args:
        folder: of the version.
        messages: with `role` and `content`.

    Raises:
        RequestError: the template refuses these messages, or fails.
    """
    template = _template(folder)
    if not template:
        return "\n".join(message["content"] for message in messages)
    sandbox = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True
    )
    sandbox.globals["raise_exception"] = _refuse
    try:
        return sandbox.from_string(template).render(
            messages=messages, add_generation_prompt=True
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise RequestError(
            f"The model's chat template cannot take these messages: {error}",
            "messages",
        ) from error


def _template(folder: str) -> str:
    try:
        card = json.loads(Path(folder, *_CARD).read_text("utf-8"))
        return str(card.get("chat_template", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)

"""What every importer gives: a model, its tokenizer and how it is prompted."""

from typing import Any, NamedTuple


class Pretrained(NamedTuple):
    """A model out of files.

    Attributes:
        model: a `keras_hub.models.CausalLM`, of which `Seq2SeqLM`s are a
            kind, or an encoder's `Backbone`.
        tokenizer: a `PretrainedTokenizer`, or one of KerasHub's.
        options: what the files say of a policy: `stop_ids`,
            `prompt_start_id` and the like.
    """

    model: Any
    tokenizer: Any
    options: dict

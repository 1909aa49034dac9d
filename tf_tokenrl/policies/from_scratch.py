"""Small policies with fresh weights, for text that no preset knows."""

import keras_hub

from tf_tokenrl.errors import unknown
from tf_tokenrl.options.model import ModelOptions
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.policies.encoder_decoder import EncoderDecoderPolicy
from tf_tokenrl.policies.label import LabelPolicy
from tf_tokenrl.policies.recurrent import RecurrentPolicy
from tf_tokenrl.text.label_codec import LETTER_CASES
from tf_tokenrl.text.tokenizer import START, STOP, UNKNOWN


def build(
    options: ModelOptions,
    tokenizer,
    max_prompt_tokens: int,
    max_new_tokens: int,
    temperature: float = 1.0,
) -> Policy:
    """A policy whose answers begin after the tokenizer's start token.

    Args:
        options: its shape.
        tokenizer: of `text.tokenizer`, with its fixed ids.
        max_prompt_tokens: see `Policy`.
        max_new_tokens: see `Policy`.
        temperature: see `Policy`.

    Raises:
        TokenRLError: unknown architecture.
    """
    if options.architecture not in _BUILDERS:
        raise unknown("architecture", options.architecture, _BUILDERS)
    return _BUILDERS[options.architecture](
        options,
        tokenizer=tokenizer,
        max_prompt_tokens=max_prompt_tokens,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        stop_ids=(STOP,),
    )


def build_labelling(
    options: ModelOptions,
    tokenizer,
    labels: tuple[str, ...],
    unit: str,
    max_prompt_tokens: int,
    temperature: float = 1.0,
) -> LabelPolicy:
    """A policy whose actions are labels.

    Args:
        options: its shape; only encoders can label.
        tokenizer: of `text.tokenizer`, with its fixed ids.
        labels: see `LabelPolicy`.
        unit: see `LabelPolicy`.
        max_prompt_tokens: see `LabelPolicy`.
        temperature: see `Policy`.

    Raises:
        TokenRLError: the architecture is no encoder.
    """
    if options.architecture != "bert":
        raise unknown("encoder", options.architecture, ["bert"])
    encoder = keras_hub.models.BertBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=options.layers,
        num_heads=options.heads,
        hidden_dim=options.width,
        intermediate_dim=4 * options.width,
        dropout=0.0,
        max_sequence_length=max_prompt_tokens,
        num_segments=LETTER_CASES if options.letter_case else 1,
    )
    return LabelPolicy(
        encoder,
        labels,
        max_prompt_tokens,
        unit,
        start_id=START,
        end_id=STOP,
        unknown_id=UNKNOWN,
        letter_case=options.letter_case,
        tokenizer=tokenizer,
        temperature=temperature,
    )


def _gpt2(options: ModelOptions, **settings) -> Policy:
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=settings["tokenizer"].vocabulary_size(),
        num_layers=options.layers,
        num_heads=options.heads,
        hidden_dim=options.width,
        intermediate_dim=4 * options.width,
        dropout=0.0,
        max_sequence_length=settings["max_prompt_tokens"]
        + settings["max_new_tokens"],
    )
    return CausalPolicy(
        keras_hub.models.GPT2CausalLM(backbone),
        answer_start_id=START,
        **settings,
    )


def _llama(options: ModelOptions, **settings) -> Policy:
    backbone = keras_hub.models.LlamaBackbone(
        vocabulary_size=settings["tokenizer"].vocabulary_size(),
        num_layers=options.layers,
        num_query_heads=options.heads,
        num_key_value_heads=options.heads,
        hidden_dim=options.width,
        intermediate_dim=3 * options.width,
        tie_word_embeddings=True,
    )
    return CausalPolicy(
        keras_hub.models.LlamaCausalLM(backbone),
        answer_start_id=START,
        **settings,
    )


def _bart(options: ModelOptions, **settings) -> Policy:
    opening = (START,)
    answer = len(opening) + settings["max_new_tokens"]
    backbone = keras_hub.models.BartBackbone(
        vocabulary_size=settings["tokenizer"].vocabulary_size(),
        num_layers=options.layers,
        num_heads=options.heads,
        hidden_dim=options.width,
        intermediate_dim=4 * options.width,
        dropout=0.0,
        max_sequence_length=max(settings["max_prompt_tokens"], answer),
    )
    return EncoderDecoderPolicy(
        keras_hub.models.BartSeq2SeqLM(backbone),
        answer_start_ids=opening,
        prompt_end_id=STOP,
        **settings,
    )


def _recurrent(options: ModelOptions, **settings) -> Policy:
    return RecurrentPolicy(
        options.architecture,
        settings["tokenizer"].vocabulary_size(),
        options.width,
        options.layers,
        answer_start_id=START,
        **settings,
    )


_BUILDERS = {
    "gpt2": _gpt2,
    "llama": _llama,
    "bart": _bart,
    "lstm": _recurrent,
    "gru": _recurrent,
}

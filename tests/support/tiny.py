"""The smallest real models: two layers, some sixteen numbers wide."""

import functools
import io

import keras
import keras_hub
import numpy as np
import sentencepiece
import tensorflow as tf

from tf_tokenrl.decoding.sampling import Sampling, row_seeds
from tf_tokenrl.flow import Rollout
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.policies.encoder_decoder import EncoderDecoderPolicy
from tf_tokenrl.policies.label import LabelPolicy
from tf_tokenrl.policies.recurrent import RecurrentPolicy
from tf_tokenrl.text.label_codec import LETTER_CASES

WORDS = [
    "return",
    "the",
    "name",
    "of",
    "a",
    "given",
    "file",
    "or",
    "open",
    "value",
    "list",
    "number",
]


@functools.cache
def tokenizer():
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, 6)) for _ in range(200)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=64,
        hard_vocab_limit=False,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )
    return keras_hub.tokenizers.SentencePieceTokenizer(proto=model.getvalue())


def causal_lm(name: str):
    size = dict(vocabulary_size=tokenizer().vocabulary_size(), num_layers=2)
    wide = dict(hidden_dim=16, intermediate_dim=32)
    models = keras_hub.models
    if name == "gpt2":
        backbone = models.GPT2Backbone(
            **size, **wide, num_heads=4, max_sequence_length=64
        )
        return models.GPT2CausalLM(backbone)
    heads = dict(num_query_heads=4, num_key_value_heads=2)
    if name == "llama":
        return models.LlamaCausalLM(
            models.LlamaBackbone(**size, **wide, **heads)
        )
    return models.MistralCausalLM(
        models.MistralBackbone(**size, **wide, **heads, sliding_window=16)
    )


def seq2seq_lm(name: str):
    size = dict(vocabulary_size=tokenizer().vocabulary_size(), num_layers=2)
    size.update(hidden_dim=16, intermediate_dim=32, num_heads=4)
    models = keras_hub.models
    if name == "t5":
        backbone = models.T5Backbone(**size, key_value_dim=6)
        return models.T5Seq2SeqLM(backbone)
    backbone = models.BartBackbone(**size, max_sequence_length=64)
    return models.BartSeq2SeqLM(backbone)


def policy(name: str = "llama", seed: int = 0, **options):
    keras.utils.set_random_seed(seed)
    settings = dict(
        tokenizer=tokenizer(),
        max_prompt_tokens=12,
        max_new_tokens=8,
        stop_ids=(3,),
    )
    if name in ("bart", "t5"):
        settings.update(answer_start_ids=(3, 2))
        settings.update(prompt_start_id=2, prompt_end_id=3)
    else:
        settings.update(answer_start_id=2)
    settings.update(options)
    if name in ("lstm", "gru"):
        size = tokenizer().vocabulary_size()
        made = RecurrentPolicy(name, size, 16, num_layers=2, **settings)
    elif name in ("bart", "t5"):
        made = EncoderDecoderPolicy(seq2seq_lm(name), **settings)
    else:
        made = CausalPolicy(causal_lm(name), **settings)
    roughen(made, seed)
    return made


TAGS = ("B-X", "I-X", "O")


def encoder(name: str = "bert"):
    options = dict(
        vocabulary_size=tokenizer().vocabulary_size(),
        num_layers=2,
        num_heads=4,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=32,
    )
    models = keras_hub.models
    if name == "bert":
        return models.BertBackbone(**options, num_segments=LETTER_CASES)
    if name == "roberta":
        return models.RobertaBackbone(**options)
    return models.DistilBertBackbone(**options)


def label_policy(
    name: str = "bert", seed: int = 0, rough: bool = True, **options
):
    keras.utils.set_random_seed(seed)
    settings = dict(
        tokenizer=tokenizer(),
        labels=TAGS,
        max_prompt_tokens=24,
        start_id=2,
        end_id=3,
        unknown_id=1,
        letter_case=name == "bert",
    )
    made = LabelPolicy(encoder(name), **{**settings, **options})
    if rough:
        roughen(made, seed)
    return made


def whole_pass(model, policy, prompt, answer):
    """A KerasHub encoder-decoder on one prompt and one answer."""
    inputs = {"encoder": prompt, "decoder": [*policy.answer_start_ids, *answer]}
    given = {}
    for side, ids in inputs.items():
        given[f"{side}_token_ids"] = tf.constant([ids], tf.int32)
        given[f"{side}_padding_mask"] = tf.ones([1, len(ids)], tf.int32)
    return model(given, training=False)


def roughen(made, seed: int = 0):
    """Weights far from zero, so that mistakes show."""
    rng = np.random.default_rng(seed)
    made.set_weights(
        [w + rng.normal(0, 0.3, w.shape) for w in made.get_weights()]
    )


@functools.cache
def shared_policy(name: str):
    """One policy for all tests that leave its weights alone."""
    return policy(name)


@functools.cache
def shared_label_policy(**options):
    """The same for policies that label."""
    return label_policy(**options)


@functools.cache
def acting(made, adapter):
    """`made.act` with an adapter, traced once for all shapes and settings."""

    def act(prompt_ids, prompt_mask, seeds, *sampling):
        return made.act(prompt_ids, prompt_mask, seeds, Sampling(*sampling))

    dtypes = (tf.float32, tf.int32, tf.float32, tf.int32, tf.float32)
    return tf.function(
        act,
        input_signature=[
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None], tf.bool),
            tf.TensorSpec([None, 2], tf.int64),
            *(tf.TensorSpec([None], dtype) for dtype in dtypes),
        ],
    )


def roll_out(made, ids, mask, seed: int = 0, seeds=None, **sampling):
    """A rollout of encoded prompts, as NumPy arrays."""
    rows = len(ids)
    if seeds is None:
        seeds = row_seeds(seed, 0, rows)
    settings = made.sampling._replace(**sampling).per_row(rows)
    uniform = np.broadcast_to(np.float32(settings.uniform), [rows])
    settings = settings._replace(uniform=uniform)
    rollout = acting(made, made.active)(ids, mask, seeds, *settings)
    return Rollout(*(t if t is None else t.numpy() for t in rollout))


def sample(made, prompts, seed: int = 0, seeds=None, **sampling):
    """A rollout of prompts, as NumPy arrays."""
    return roll_out(made, *made.encode(prompts), seed, seeds, **sampling)

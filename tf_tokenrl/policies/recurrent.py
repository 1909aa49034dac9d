"""A policy over an LSTM or GRU language model."""

import keras
import tensorflow as tf

from tf_tokenrl.backbones import linear
from tf_tokenrl.decoding.loop import Decoder, Prefill
from tf_tokenrl.errors import unknown
from tf_tokenrl.policies import output_layer
from tf_tokenrl.policies.language_model import LanguageModelPolicy

_LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


@keras.saving.register_keras_serializable(package="tf_tokenrl")
class RecurrentPolicy(LanguageModelPolicy):
    """A recurrent language model that chooses tokens, with a value head.

    Args:
        cell: "lstm" or "gru".
        vocabulary_size: number of tokens.
        hidden_dim: width of the embedding and of every layer; the embedding
            also gives the logits.
        num_layers: recurrent layers.
        **kwargs: see `LanguageModelPolicy`.
    """

    def __init__(
        self,
        cell: str,
        vocabulary_size: int,
        hidden_dim: int,
        num_layers: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if cell not in _LAYERS:
            raise unknown("recurrent cell", cell, _LAYERS)
        self.cell = cell
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            name="token_embedding",
            dtype=self.dtype_policy,
        )
        self.embedding.build((None, None))
        self.recurrent_layers = []
        for index in range(num_layers):
            layer = _LAYERS[cell](
                hidden_dim,
                return_sequences=True,
                return_state=True,
                name=f"{cell}_{index}",
                dtype=self.dtype_policy,
            )
            layer.build((None, None, hidden_dim))
            self.recurrent_layers.append(layer)
        self.value_head.build((None, None, hidden_dim))
        self.build()

    def find_ends(self) -> dict:
        return linear.of_embedding(self.embedding)

    def hidden_states(self, token_ids, padding_mask):
        return self._read(token_ids, padding_mask)[0]

    def logits(self, hidden):
        return self.output_layer()(hidden)

    def output_layer(self):
        entries = self.map_of("logits")
        numbers = output_layer.Numbers.of(self.embedding)
        return output_layer.of_map(entries, numbers)

    def decoder(self):
        return RecurrentDecoder(self)

    def _read(self, token_ids, padding_mask):
        x = self.embedding(token_ids)
        states = []
        for layer in self.recurrent_layers:
            x, *state = layer(x, mask=tf.cast(padding_mask, tf.bool))
            states.append(state)
        return x, states

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "cell": self.cell,
                "vocabulary_size": self.vocabulary_size,
                "hidden_dim": self.hidden_dim,
                "num_layers": self.num_layers,
            }
        )
        return config


class RecurrentDecoder(Decoder):
    """The cache of a recurrent policy is the state of its cells."""

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read whole prompts; the state stands still on padding."""
        mask = tf.sequence_mask(lengths, tf.shape(prompt_ids)[1])
        x, states = self.policy._read(prompt_ids, mask)
        return Prefill(tf.gather(x, lengths - 1, batch_dims=1), states)

    def step(self, token_ids, column, past, chunk):
        """Read one token per row."""
        x = self.policy.embedding(token_ids)
        states = []
        for layer, state in zip(
            self.policy.recurrent_layers, chunk, strict=True
        ):
            x, state = layer.cell(x, state)
            states.append(list(state))
        return x, states

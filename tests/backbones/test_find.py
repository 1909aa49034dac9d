"""Which backbones are known, and why others are not."""

import logging

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl import backbones
from tf_tokenrl.backbones import linear, packing

SIZE = dict(vocabulary_size=40, num_layers=2, hidden_dim=24)
SIZE |= dict(intermediate_dim=40, num_query_heads=4, num_key_value_heads=2)
SCALING = dict(
    rope_frequency_adjustment_factor=8.0,
    rope_low_freq_factor=1.0,
    rope_high_freq_factor=4.0,
    rope_pretraining_sequence_length=8,
)
models = keras_hub.models
BACKBONES = {
    "llama": lambda: models.LlamaBackbone(**SIZE, layer_norm_epsilon=0.01),
    "llama3": lambda: models.Llama3Backbone(**SIZE, rope_max_wavelength=777),
    "scaled": lambda: models.Llama3Backbone(**SIZE, **SCALING),
    "mistral": lambda: models.MistralBackbone(
        **SIZE, sliding_window=12, layer_norm_epsilon=0.01
    ),
    "qwen2": lambda: models.QwenBackbone(**SIZE),
    "qwen3": lambda: models.Qwen3Backbone(
        **SIZE, head_dim=10, layer_norm_epsilon=0.01
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_of_llamas_kind_is_read_as_it_reads_itself(name):
    """With epsilons, biases, head sizes and wavelengths not the usual ones."""
    keras.utils.set_random_seed(0)
    backbone = BACKBONES[name]()
    tiny.roughen(backbone)
    ids = np.random.default_rng(0).integers(0, 40, (3, 12), np.int32)
    expected = backbone(
        {"token_ids": ids, "padding_mask": np.ones_like(ids)}, training=False
    )
    found = backbones.find(backbone, 12)
    found = found._replace(weights=linear.values(found.weights))
    states = packing.read_padded(found, tf.constant(ids))
    np.testing.assert_allclose(states, expected, atol=3e-5)


def test_a_window_shorter_than_the_texts_is_left_to_keras_hub(caplog):
    backbone = BACKBONES["mistral"]()
    assert backbones.find(backbone, 12)
    assert backbones.find(backbone, 13) is None
    backbones._tell.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            backbones.tell_slow(backbone, 13)
    (record,) = caplog.records
    assert "a window of 12 tokens" in record.getMessage()

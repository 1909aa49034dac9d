import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl.backbones.attention import attend

ROWS, HEADS, LENGTH, SIZE = 3, 4, 6, 8


def draw(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)


@pytest.mark.parametrize("key_heads", [4, 2])
def test_one_query_is_attended_to_as_one_of_many(key_heads):
    """One row takes another product than many; both are a plain softmax."""
    query = draw(ROWS, HEADS, LENGTH, SIZE)
    stretches = [draw(2, ROWS, key_heads, width, SIZE) for width in (5, 2)]
    seen = (
        np.arange(5)[None, None, None] >= np.arange(ROWS)[:, None, None, None]
    )
    masks = [tf.constant(seen), None]
    parts = [
        (*tf.unstack(tf.cast(stretch, tf.float32)), mask)
        for stretch, mask in zip(stretches, masks, strict=True)
    ]
    wide = tf.cast(query, tf.float32)
    many = attend(wide, parts)
    one = tf.concat([attend(x, parts) for x in tf.split(wide, LENGTH, 2)], 2)
    keys, values = (
        np.concatenate(x, axis=2).repeat(HEADS // key_heads, axis=1)
        for x in zip(*stretches, strict=True)
    )
    scores = np.einsum("bhld,bhcd->bhlc", query, keys) / np.sqrt(SIZE)
    hidden = np.concatenate([~seen, np.zeros((ROWS, 1, 1, 2), bool)], axis=-1)
    weights = np.where(hidden, 0.0, np.exp(scores))
    weights /= weights.sum(-1, keepdims=True)
    plain = np.einsum("bhlc,bhcd->bhld", weights, values)
    np.testing.assert_allclose(many, plain, atol=1e-5)
    np.testing.assert_allclose(one, plain, atol=1e-5)

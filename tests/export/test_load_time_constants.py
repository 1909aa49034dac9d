"""What is prepared of weights is computed at each load, and not stored."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.export.load_time_constants import Prepared


class Doubled(tf.Module):
    """Weights, and twice as much of each, in a shape of its own."""

    def __init__(self, worth: float):
        super().__init__()
        self.weights = [
            tf.Variable(tf.fill(shape, worth)) for shape in ([3, 5], [2], [16])
        ]
        self.twice = Prepared(self._twice, "twice")
        self.thrice = Prepared(lambda: [3.0 * self.weights[1]], "thrice")

    def _twice(self):
        first, *others = (2.0 * weight for weight in self.weights)
        return {"first": tf.transpose(first), "others": others}

    @tf.function(input_signature=[])
    def read(self):
        return [self.twice.read(), *self.thrice.read()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = []
    for worth in (1.0, 7.0):
        made.append(str(tmp_path_factory.mktemp("doubled")))
        tf.saved_model.save(Doubled(worth), made[-1])
    return made


def test_each_model_that_is_loaded_has_its_own(folders):
    loaded = [tf.saved_model.load(folder) for folder in folders]
    for model, worth in zip(loaded, (1.0, 7.0), strict=True):
        twice, thrice = model.read()
        for tensor, shape in zip(
            [twice["first"], *twice["others"]], [[5, 3], [2], [16]], strict=True
        ):
            np.testing.assert_array_equal(tensor, np.full(shape, 2 * worth))
        np.testing.assert_array_equal(thrice, np.full([2], 3 * worth))


def test_weights_alone_are_stored(folders):
    stored = [
        name
        for name, _ in tf.train.list_variables(
            f"{folders[0]}/variables/variables"
        )
    ]
    assert len([name for name in stored if "weights" in name]) == 3
    assert not [name for name in stored if "twice" in name]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_decoder_of_prepared_weights_is_the_same(name):
    policy = tiny.policy(name)
    given = tuple(prepare() for prepare in policy.preparations())
    ids = tf.constant([[4, 5, 6], [7, 8, 9]])
    found = [
        decoder.logits(decoder.prefill(ids, tf.constant([3, 2]), 4).hidden)
        for decoder in (policy.decoder(), policy.decoder(given))
    ]
    np.testing.assert_array_equal(*found)


def test_other_policies_have_nothing_to_prepare():
    assert tiny.shared_policy("gru").preparations() == ()
    assert tiny.shared_policy("mistral").preparations() == ()

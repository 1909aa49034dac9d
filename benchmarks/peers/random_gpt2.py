"""What the peers' scripts share; needs torch and transformers."""

import argparse
import re
from pathlib import Path

import torch
import transformers

_SIZES = {"layers": 12, "heads": 12, "width": 768, "vocabulary": 50257}
_SIZES |= {"batch": 8, "prompt": 32, "new": 64, "iterations": 5}
_LEAST_POSITIONS = 1024


def parser(**sizes: int) -> argparse.ArgumentParser:
    """The options of `benchmarks.options.Work`.

    Args:
        **sizes: whole numbers that are asked for too, or other defaults.
    """
    found = argparse.ArgumentParser()
    found.add_argument("--dtype", default="float32")
    for name, default in (_SIZES | sizes).items():
        flag = f"--{name.replace('_', '-')}"
        found.add_argument(flag, type=int, default=default)
    return found


def make(
    options: argparse.Namespace, stop: int | None = None
) -> transformers.GPT2LMHeadModel:
    """A random GPT-2 without dropout.

    Args:
        options: of `parser`.
        stop: the token at which it ends an answer; None is never.
    """
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=options.vocabulary,
        n_layer=options.layers,
        n_head=options.heads,
        n_embd=options.width,
        n_positions=max(_LEAST_POSITIONS, options.prompt + options.new),
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=0 if stop is None else stop,
        eos_token_id=stop,
    )
    model = transformers.GPT2LMHeadModel(config)
    return model.to(getattr(torch, options.dtype))


def peak_memory_mb() -> float:
    """The most memory this process ever held, in units of 2**20 bytes."""
    status = Path("/proc/self/status").read_text("utf-8")
    return round(int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024, 1)

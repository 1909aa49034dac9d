"""Tokens per second of one gradient step of transformers, on the CPU.

    PEER_PYTHON benchmarks/peers/transformers_update.py --dtype bfloat16

Needs torch and transformers. The work is that of `benchmarks.update`: logits
of the answers' tokens alone, their log-probs as the loss, Adam; one line of
JSON is printed.
"""

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import torch  # noqa: E402
import transformers  # noqa: E402


def read_options() -> argparse.Namespace:
    """The options of `benchmarks.update`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--algorithm", default="rloo", help="changes nothing")
    parser.add_argument("--dtype", default="float32")
    sizes = {"layers": 12, "heads": 12, "width": 768, "vocabulary": 50257}
    sizes |= {"batch": 8, "prompt": 32, "new": 64, "iterations": 5}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def make_model(options: argparse.Namespace):
    """A random GPT-2 without dropout."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=options.vocabulary,
        n_layer=options.layers,
        n_head=options.heads,
        n_embd=options.width,
        n_positions=max(1024, options.prompt + options.new),
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config)
    return model.to(getattr(torch, options.dtype)).train()


def peak_memory_mb() -> float:
    """The most memory this process ever held, in units of 2**20 bytes."""
    status = Path("/proc/self/status").read_text("utf-8")
    return round(int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024, 1)


def main():
    """Take several steps; print the median after the first."""
    options = read_options()
    model = make_model(options)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    length = options.prompt + options.new
    texts = torch.randint(4, options.vocabulary, (options.batch, length))
    answers = texts[:, options.prompt :, None]
    seconds = []
    for _ in range(options.iterations):
        start = time.perf_counter()
        logits = model(texts, logits_to_keep=options.new + 1).logits[:, :-1]
        log_probs = torch.log_softmax(logits.float(), -1)
        (-log_probs.gather(-1, answers).mean()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:] or seconds)
    report = {
        "peer": f"transformers {transformers.__version__}",
        "torch": torch.__version__,
        **vars(options),
        "seconds_per_update": round(median, 4),
        "update_tokens_per_second": round(texts.numel() / median, 1),
        "peak_memory_mb": peak_memory_mb(),
        "all_seconds": [round(s, 4) for s in seconds],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

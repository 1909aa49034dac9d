"""Tokens per second of transformers' `generate`, on the CPU.

    PEER_PYTHON benchmarks/peers/transformers_sampling.py --dtype bfloat16

Needs torch, transformers and numpy. The work is that of
`benchmarks.sampling`; one line of JSON is printed.
"""

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402


def read_options() -> argparse.Namespace:
    """The options of `benchmarks.sampling`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--stop", type=float, default=0.0)
    sizes = {"layers": 12, "heads": 12, "width": 768, "vocabulary": 50257}
    sizes |= {"batch": 8, "prompt": 32, "new": 64, "iterations": 5}
    for name, default in (sizes | {"answers": 0}).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


class Ends(transformers.StoppingCriteria):
    """Each row ends at a length of its own; the batch waits for the last."""

    def __init__(self, lengths: np.ndarray, prompt: int):
        self.totals = torch.as_tensor(lengths) + prompt

    def __call__(self, input_ids, scores, **kwargs):
        """Which rows are done."""
        return self.totals <= input_ids.shape[1]


def answer_lengths(options: argparse.Namespace, answers: int) -> np.ndarray:
    """The lengths that `benchmarks.words.lengths` draws."""
    if not options.stop:
        return np.full([answers], options.new)
    drawn = np.random.default_rng(0).geometric(options.stop, answers)
    return np.minimum(drawn, options.new)


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
        eos_token_id=None,
    )
    model = transformers.GPT2LMHeadModel(config)
    return model.to(getattr(torch, options.dtype)).eval()


def peak_memory_mb() -> float:
    """The most memory this process ever held, in units of 2**20 bytes."""
    status = Path("/proc/self/status").read_text("utf-8")
    return round(int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024, 1)


def main():
    """Answer all prompts several times; print the median after the first."""
    options = read_options()
    answers = options.answers or options.batch
    lengths = answer_lengths(options, answers)
    model = make_model(options)
    prompts = torch.randint(4, options.vocabulary, (answers, options.prompt))
    seconds = []
    for _ in range(options.iterations):
        start = time.perf_counter()
        for first in range(0, answers, options.batch):
            rows = slice(first, first + options.batch)
            with torch.inference_mode():
                model.generate(
                    prompts[rows],
                    attention_mask=torch.ones_like(prompts[rows]),
                    max_new_tokens=options.new,
                    do_sample=True,
                    top_k=0,
                    pad_token_id=0,
                    stopping_criteria=[Ends(lengths[rows], options.prompt)],
                )
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:] or seconds)
    report = {
        "peer": f"transformers {transformers.__version__}",
        "torch": torch.__version__,
        **vars(options),
        "sampled_tokens_per_second": round(float(lengths.sum()) / median, 1),
        "seconds_per_answer": round(median / answers, 5),
        "peak_memory_mb": peak_memory_mb(),
        "all_seconds": [round(s, 4) for s in seconds],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

"""Tokens per second of one gradient step of transformers, on the CPU.

    PEER_PYTHON benchmarks/peers/transformers_update.py --dtype bfloat16

Needs torch and transformers. The work is that of `benchmarks.update`: logits
of the answers' tokens alone, their log-probs as the loss, Adam; one line of
JSON is printed.
"""

import argparse
import json
import os
import statistics
import time

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import random_gpt2  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402


def read_options() -> argparse.Namespace:
    """The options of `benchmarks.update`."""
    parser = random_gpt2.parser()
    parser.add_argument("--algorithm", default="rloo", help="changes nothing")
    return parser.parse_args()


def main():
    """Take several steps; print the median after the first."""
    options = read_options()
    model = random_gpt2.make(options, stop=0).train()
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
        "peak_memory_mb": random_gpt2.peak_memory_mb(),
        "all_seconds": [round(s, 4) for s in seconds],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

"""Tokens per second of transformers' `generate`, on the CPU.

    PEER_PYTHON benchmarks/peers/transformers_sampling.py --dtype bfloat16

Needs torch, transformers and numpy. The work is that of
`benchmarks.sampling`; one line of JSON is printed.
"""

import argparse
import json
import os
import statistics
import time

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import numpy as np  # noqa: E402
import random_gpt2  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402


def read_options() -> argparse.Namespace:
    """The options of `benchmarks.sampling`."""
    parser = random_gpt2.parser(answers=0)
    parser.add_argument("--stop", type=float, default=0.0)
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


def main():
    """Answer all prompts several times; print the median after the first."""
    options = read_options()
    answers = options.answers or options.batch
    lengths = answer_lengths(options, answers)
    model = random_gpt2.make(options).eval()
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
        "peak_memory_mb": random_gpt2.peak_memory_mb(),
        "all_seconds": [round(s, 4) for s in seconds],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

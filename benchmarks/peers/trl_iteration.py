"""Seconds per RL iteration of TRL's RLOO or GRPO trainer, on the CPU.

    PEER_PYTHON benchmarks/peers/trl_iteration.py --algorithm grpo

Needs torch, trl, transformers and datasets in an environment of their own.
The work is that of `benchmarks.iteration`; one line of JSON is printed.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import datasets  # noqa: E402
import random_gpt2  # noqa: E402
import tokenizers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402

_STOP = "<stop>"
_SAMPLES, _BETA, _LEARNING_RATE = 4, 0.05, 1e-5
_BATCHES = 64
_TRAINERS = {
    "rloo": (trl.RLOOTrainer, trl.RLOOConfig),
    "grpo": (trl.GRPOTrainer, trl.GRPOConfig),
}


def read_options() -> argparse.Namespace:
    """The options of `benchmarks.iteration`."""
    parser = random_gpt2.parser()
    parser.add_argument("--algorithm", choices=sorted(_TRAINERS), required=True)
    return parser.parse_args()


class Clock(transformers.TrainerCallback):
    """Looks at the clock when training begins and after each step."""

    def __init__(self):
        self.ticks: list[float] = []

    def on_train_begin(self, args, state, control, **kwargs):
        """The clock starts."""
        self.ticks = [time.perf_counter()]

    def on_step_end(self, args, state, control, **kwargs):
        """A step is over."""
        self.ticks.append(time.perf_counter())


def write_model(options: argparse.Namespace, folder: str):
    """A folder with a random GPT-2; returns the tokenizer of its words."""
    stop = options.vocabulary - 1
    ids = {f"w{i}": i for i in range(stop)} | {_STOP: stop}
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(ids, unk_token=_STOP)
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    random_gpt2.make(options, stop).save_pretrained(folder)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=_STOP, pad_token=_STOP
    )
    fast.save_pretrained(folder)
    return fast


def distinct_words(completions, **_):
    """The share of words not yet said."""
    said = [text.split() for text in completions]
    return [len(set(words)) / max(len(words), 1) for words in said]


def make_trainer(options: argparse.Namespace, folder: str, clock: Clock):
    """TRL's trainer: no early stop, full softmax, one epoch, one minibatch."""
    words = write_model(options, folder)
    rng = random.Random(0)
    prompts = [
        " ".join(
            f"w{rng.randrange(options.vocabulary - 1)}"
            for _ in range(options.prompt)
        )
        for _ in range(_BATCHES * options.batch)
    ]
    trainer, config = _TRAINERS[options.algorithm]
    return trainer(
        model=transformers.GPT2LMHeadModel.from_pretrained(
            folder, dtype=getattr(torch, options.dtype)
        ),
        reward_funcs=distinct_words,
        processing_class=words,
        callbacks=[clock],
        train_dataset=datasets.Dataset.from_dict({"prompt": prompts}),
        args=config(
            output_dir=folder,
            per_device_train_batch_size=options.batch,
            num_generations=_SAMPLES,
            max_completion_length=options.new,
            generation_kwargs={"min_new_tokens": options.new},
            max_steps=options.iterations,
            beta=_BETA,
            learning_rate=_LEARNING_RATE,
            temperature=1.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
    )


def main():
    """Train, and print the median step after the first."""
    options, clock = read_options(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(options, folder, clock).train()
    pairs = zip(clock.ticks, clock.ticks[1:], strict=False)
    seconds = [after - before for before, after in pairs]
    median = statistics.median(seconds[1:] or seconds)
    report = {
        "peer": f"trl {trl.__version__} {options.algorithm}",
        "torch": torch.__version__,
        **vars(options),
        "seconds_per_iteration": round(median, 4),
        "new_tokens_per_second": round(options.batch * options.new / median, 1),
        "peak_memory_mb": random_gpt2.peak_memory_mb(),
        "all_seconds": [round(s, 4) for s in seconds],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

"""Options of `demo`."""

from dataclasses import dataclass, field
from pathlib import Path

from tf_tokenrl.options.checking import (
    Amount,
    Count,
    NotNegative,
    Options,
    Positive,
)
from tf_tokenrl.options.model import ModelOptions


@dataclass(frozen=True)
class DemoOptions(Options):
    """The circle's data, model and algorithm; the rest is as in its parts.

    Attributes:
        out: folder of the run.
        data: "docstrings", "tfds:NAME", a .jsonl file or a folder of them.
        source: field with the text that is given.
        target: field with the answer that is wanted.
        model: shape of the policy.
        limit: most rows of each split, drawn at random; 0 takes all. The
            default lets the circle end within minutes.
        vocabulary_size: tokens of the tokenizer.
        max_prompt_tokens: longest prompt.
        max_new_tokens: longest answer.
        epochs: most epochs of the supervised start.
        supervised_learning_rate: of the supervised start.
        reward: see `tf-tokenrl train --help`.
        algorithm: see `tf-tokenrl train --help`.
        temperature: of sampling in reinforcement learning.
        steps: rounds of reinforcement learning.
        batch_size: answers per round.
        learning_rate: of reinforcement learning.
        savedmodels: folder of the exported model.
        parity_prompts: test prompts asked of both trainer and server.
        seed: of everything.
    """

    out: Path = Path("runs/demo")
    data: str = "docstrings"
    source: str = "source"
    target: str = "target"
    model: ModelOptions = field(default_factory=lambda: ModelOptions("llama"))
    limit: Amount = 6000
    vocabulary_size: Count = 4096
    max_prompt_tokens: Count = 32
    max_new_tokens: Count = 24
    epochs: Count = 8
    supervised_learning_rate: Positive = 2e-3
    reward: str = "rouge(variant='l') - 0.005 * kl"
    algorithm: str = (
        "ppo(epochs=2, minibatches=2, value_weight=1.0, trace_decay=0.8)"
    )
    temperature: NotNegative = 0.75
    steps: Count = 100
    batch_size: Count = 128
    learning_rate: Positive = 3e-4
    savedmodels: Path = Path("savedmodels/headline")
    parity_prompts: Count = 200
    seed: int = 0

"""Sample answers with what each token earned, for the report."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_tokenrl import evaluation
from tf_tokenrl.flow import Context, Example


def samples(trainer, examples: Sequence[Example]) -> list[dict]:
    """Greedy answers before and after training, and the latter's tokens.

    Args:
        trainer: a `Trainer`; its reference stands for "before".
        examples: what is asked.

    Returns:
        One dictionary per example: `prompt`, `reference`, `before`, `after`,
        `tokens`, and per token `reward`, `advantage`, `kl` (nats against the
        reference) and `value`.
    """
    answers = evaluation.answer(trainer.policy, examples)
    before = [""] * len(examples)
    rollout = answers.rollout
    scores = trainer.policy.score(rollout)
    rollout = rollout._replace(log_probs=scores.log_probs.numpy())
    kl = np.zeros(rollout.mask.shape, np.float32)
    if trainer.reference is not None:
        asked = evaluation.answer(trainer.reference, examples)
        before = [response.text for response in asked.responses]
        reference = trainer.reference.score(rollout).log_probs.numpy()
        rollout = rollout._replace(reference_log_probs=reference)
        kl = rollout.log_probs - reference
    rewards = trainer.reward(examples, answers.responses, rollout)
    context = Context(rollout.mask, rewards, trainer.memory)
    targets = tf.function(trainer.algorithm.targets)(rollout, rewards, context)
    columns = {
        "reward": rewards,
        "advantage": targets.advantages.numpy(),
        "kl": kl,
        "value": rollout.values,
    }
    return [
        {
            "prompt": example.prompt,
            "reference": example.reference,
            "before": before[row],
            "after": response.text,
            "tokens": [
                response.text[start:end] for start, end in response.offsets
            ],
            **{
                name: _plain(values[row][rollout.mask[row]])
                for name, values in columns.items()
            },
        }
        for row, (example, response) in enumerate(
            zip(examples, answers.responses, strict=True)
        )
    ]


def _plain(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]

"""Sample answers with what each token earned, for the report."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_tokenrl.evaluation.answers import Answers, answer
from tf_tokenrl.flow import Context, Example, Rollout


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
    copies = trainer.algorithm.samples_per_prompt
    answers = _groups(trainer.policy, examples, copies)
    before = [""] * len(examples)
    rollout = answers.rollout
    scores = trainer.policy.score(rollout)
    rollout = rollout._replace(log_probs=scores.log_probs.numpy())
    kl = np.zeros(rollout.mask.shape, np.float32)
    if trainer.reference is not None:
        asked = answer(trainer.reference, examples)
        before = [response.text for response in asked.responses]
        reference = trainer.reference.score(rollout).log_probs.numpy()
        rollout = rollout._replace(reference_log_probs=reference)
        kl = rollout.log_probs - reference
    rewards = trainer.reward(answers.examples, answers.responses, rollout)
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
                name: _plain(values[row * copies][rollout.mask[row * copies]])
                for name, values in columns.items()
            },
        }
        for row, (example, response) in enumerate(
            zip(examples, answers.responses[::copies], strict=True)
        )
    ]


def _groups(policy, examples: Sequence[Example], copies: int) -> Answers:
    """Per example its greedy answer, then `copies - 1` sampled ones.

    So that an algorithm that compares the answers to one prompt has some.
    """
    parts = [answer(policy, examples)]
    for seed in range(1, copies):
        drawn = answer(policy, examples, policy.temperature, seed)
        parts.append(drawn)
    # Row i of part k stands at k * rows + i, and belongs at i * copies + k.
    order = np.arange(copies * len(examples)).reshape(copies, -1).T.ravel()
    rollout = Rollout.joined([part.rollout for part in parts]).rows(order)
    responses = zip(*(part.responses for part in parts), strict=True)
    return Answers(
        [example for example in examples for _ in range(copies)],
        [response for group in responses for response in group],
        rollout,
    )


def _plain(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]

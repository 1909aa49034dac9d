"""What an objective decides: rows of data, terms of a loss, what they count."""

import abc
import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.rows import PRESENT, Rows, sequences

Terms = dict[str, Tensor]
JUDGED = {"good": 1.0, "bad": 0.0}
BETTER, WORSE, OTHER = "better_", "worse_", "other_"  # begin names of columns


class Objective(abc.ABC):
    """What a policy learns from data that exists.

        figure = sum of its values times their counts / sum of its counts

    over the global minibatch, for the loss as for every metric; how the rows
    are split into parts, replicas or validation batches does not matter. An
    objective never reduces: `updates/objective_updater.py` sums.

    Attributes:
        measure: the metric that validation judges by, less being better.
        needs_reference: whether a frozen reference must be given.
    """

    measure = "nll"
    needs_reference = False

    @abc.abstractmethod
    def rows(self, policy: Policy, examples: Sequence[Example]) -> Rows:
        """The examples as numbers.

        Raises:
            TokenRLError: there are none, or one does not fit.
        """

    @abc.abstractmethod
    def counts(self, batch: Mapping[str, Tensor]) -> Terms:
        """What each value of `terms` counts, 0 where it counts nothing.

        Args:
            batch: rows as `Rows.batch` gives them.
        """

    @abc.abstractmethod
    def terms(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
        seen: Mapping[str, Tensor],
    ) -> Terms:
        """The values of the loss, under "loss", and of metrics.

        Args:
            policy: what learns.
            batch: rows as `Rows.batch` gives them.
            reference: a frozen policy, None where none is needed.
            seen: what `look` found on the whole global minibatch.
        """

    def usable(
        self, policy: Policy, examples: Sequence[Example]
    ) -> list[Example]:
        """The examples that teach anything; the caller says how many do."""
        return list(examples)

    def look(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
    ) -> Terms | None:
        """Values whose means must be known before the loss, each with counts.

        Returns:
            Values by name, counted as `counts` says of that name; None where
            there are none, which saves a pass.
        """
        return None

    def check(self, policy: Policy, reference: Policy | None) -> None:
        """Refuse a policy or a reference that does not serve.

        Raises:
            TokenRLError: it does not.
        """
        if self.needs_reference and reference is None:
            raise TokenRLError(
                f"{type(self).__name__} compares with a frozen reference: "
                "give one, as in reference=policy.frozen_copy()."
            )


def require_rows(examples: Sequence[Example]) -> None:
    """Refuse to learn from nothing.

    Raises:
        TokenRLError: there is no example.
    """
    if not examples:
        raise TokenRLError("There are no examples to learn from.")


def answer_columns(pairs: Rollout, name: str = "") -> dict[str, list]:
    """Columns `prompt` and `actions` of answers, their names led by `name`."""
    return {
        f"{name}prompt": sequences(pairs.prompt_ids, pairs.prompt_mask),
        f"{name}actions": sequences(pairs.actions, pairs.mask),
    }


def inputs(batch: Mapping[str, Tensor], name: str = "") -> dict[str, Tensor]:
    """What a policy is called with, of the columns `answer_columns` made."""
    return {
        "prompt_ids": batch[f"{name}prompt"],
        "prompt_mask": batch[f"{name}prompt_mask"],
        "actions": batch[f"{name}actions"],
        "mask": batch[f"{name}actions_mask"],
    }


def chosen(batch: Mapping[str, Tensor], name: str = "") -> tf.Tensor:
    """Where a token of a real row stands, bool `[B, T]`."""
    return batch[f"{name}actions_mask"] & batch[PRESENT][:, None]


def each_row(batch: Mapping[str, Tensor]) -> tf.Tensor:
    """1 for every real row, float32 `[B]`."""
    return tf.cast(batch[PRESENT], tf.float32)


def pairs(policy: Policy, examples: Sequence[Example]) -> Rows:
    """Columns of two answers to each prompt, the preferred one first.

    Raises:
        TokenRLError: there are no examples, or one has not two answers that
            differ for this policy, cut as they may be.
    """
    require_rows(examples)
    for example in examples:
        if len(example.references) < 2:
            raise TokenRLError(
                f'Example "{example.key or example.prompt[:40]}" has fewer '
                "than two answers to choose from: give the preferred one and "
                "another."
            )
    prompts = [example.prompt for example in examples]
    sides = [
        policy.encode_pairs(prompts, [e.references[i] for e in examples])
        for i in (0, 1)
    ]
    columns = answer_columns(sides[0], BETTER) | answer_columns(sides[1], WORSE)
    better, worse = columns[f"{BETTER}actions"], columns[f"{WORSE}actions"]
    for example, one, two in zip(examples, better, worse, strict=True):
        if len(one) == len(two) and (one == two).all():
            raise TokenRLError(
                f'Example "{example.key or example.prompt[:40]}" prefers an '
                "answer to itself: leave such rows out, see `usable`."
            )
    return Rows(columns)


def distinct_pairs(
    policy: Policy, examples: Sequence[Example]
) -> list[Example]:
    """The examples whose two answers differ in the policy's tokens."""
    sides = [
        policy.text.encode_answers(
            [(*e.references, "", "")[i] for e in examples]
        )
        for i in (0, 1)
    ]
    one, two = (sequences(*side) for side in sides)
    return [
        example
        for example, better, worse in zip(examples, one, two, strict=True)
        if len(better) != len(worse) or (better != worse).any()
    ]


def answer_log_probs(
    policy: Policy | None,
    batch: Mapping[str, Tensor],
    name: str = "",
    mean: bool = False,
) -> tf.Tensor:
    """log p of whole answers at temperature 1, float32 `[B]`.

    Args:
        policy: scores them.
        batch: with the columns that `answer_columns` made.
        name: begins the names of the columns.
        mean: divide by the number of tokens, the stop token included.
    """
    assert policy is not None  # `Objective.check` has seen to that
    given = inputs(batch, name)
    one = tf.constant(1.0)
    log_probs = policy(given, training=True, temperature=one)["log_probs"]
    log_probs = tf.where(given["mask"], log_probs, 0.0)
    total = tf.reduce_sum(log_probs, axis=-1)
    if not mean:
        return total
    count = tf.reduce_sum(tf.cast(given["mask"], tf.float32), axis=-1)
    return tf.math.divide_no_nan(total, count)


def answer_scores(
    policy: Policy,
    batch: Mapping[str, Tensor],
    name: str = "",
    per_token: bool = False,
) -> tf.Tensor:
    """What the value head gives whole answers, float32 `[B]`.

    It is the value of the state that has seen the prompt and all of the
    answer's text, from which the stop token was chosen: the number that an
    exported reward model serves as `score`. Padding is never looked at.

    Args:
        policy: whose value head judges.
        batch: with the columns that `answer_columns` made.
        name: begins the names of the columns.
        per_token: the mean over all states of the answer instead.
    """
    given = inputs(batch, name)
    # Not `policy(given)`, which computes the log-probs of words as well.
    values = policy.state_values(policy.action_states(given, training=True))
    counts = tf.reduce_sum(tf.cast(given["mask"], tf.int32), axis=-1)
    if not per_token:
        return tf.gather(values, tf.maximum(counts - 1, 0), batch_dims=1)
    total = tf.reduce_sum(tf.where(given["mask"], values, 0.0), axis=-1)
    return tf.math.divide_no_nan(total, tf.cast(counts, tf.float32))


def score_of(example: Example) -> float:
    """The judgement at the end of an example's key: ":good", ":bad", ":0.7".

    Raises:
        TokenRLError: there is none.
    """
    _, colon, label = example.key.rpartition(":")
    label = label if colon else ""  # a key "1" is a number, not a thumb
    try:
        score = JUDGED[label] if label in JUDGED else float(label)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise TokenRLError(
            f'The answer "{example.reference[:40]}" is not judged: let its '
            f'key, "{example.key}", end in ":good", ":bad" or a number such '
            'as ":0.7".'
        )
    return score


def accuracy(margin: tf.Tensor) -> tf.Tensor:
    """1 where the preferred answer is ahead, 1/2 where neither is."""
    return 0.5 * (1.0 + tf.sign(margin))

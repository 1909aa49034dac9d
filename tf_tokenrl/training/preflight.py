"""What must hold before a run starts; each failure says its remedy."""

import sys
from collections.abc import Mapping, Sequence, Sized

from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.evaluation import blindness
from tf_tokenrl.flow import Example, Rollout
from tf_tokenrl.policies.divergence import actions_of
from tf_tokenrl.rewards import Mixture, Reward
from tf_tokenrl.training.updates.kl_loss import KlLoss


def check_parts(policy, optimizer, reference) -> None:
    """Policy, optimizer and reference must fit together."""
    if not policy.trainable_variables:
        raise TokenRLError(
            "The policy has nothing to train: set policy.trainable = True."
        )
    for name in ("clipnorm", "clipvalue", "global_clipnorm"):
        if getattr(optimizer, name, None) is not None:
            raise TokenRLError(
                f"The optimizer clips by itself ({name}), which Keras does "
                "before the replicas' gradients are summed: remove it and "
                "give the trainer gradient_clip."
            )
    if reference is policy:
        raise TokenRLError(
            "The reference is the policy itself, so KL would always be 0: "
            "give policy.frozen_copy()."
        )
    if reference is not None and reference.temperature != policy.temperature:
        raise TokenRLError(
            f"The reference has temperature {reference.temperature} and the "
            f"policy {policy.temperature}, so KL would not start at 0: build "
            "both with the same temperature."
        )


def check_reward(reward: Reward) -> None:
    """A weight that follows a mean must scale a term that is measured.

    Those are the terms of the whole; what another reward is made of is not.
    """
    for _, _, term in reward.terms():
        for part in term.within():
            _check_inner(part)


def warn(
    reward: Reward, algorithm: Algorithm, examples: Sequence[Example]
) -> None:
    """Say which terms see nothing here, and which are paid at the end."""
    blindness.warn(reward, examples)
    for _, _, term in reward.terms():
        if algorithm.sums_forward and term.looks_ahead:
            print(
                f"Reward {term!r} pays a token for what later ones decide, and "
                f"{type(algorithm).__name__} sums rewards from a token on: all "
                "of it goes to the last token (see docs/rewards.md, Credit).",
                file=sys.stderr,
            )


def check_kl_loss(
    kl_loss: KlLoss | None, policy, reference, exploration=None
) -> None:
    """KL in the loss needs a reference; exact KL, one of the same actions."""
    if kl_loss is None:
        return
    if reference is None:
        raise TokenRLError(
            f"{kl_loss!r} needs a frozen reference to compare with: give the "
            "trainer one, as in reference=policy.frozen_copy()."
        )
    if kl_loss.exact:
        ours, theirs = actions_of(policy), actions_of(reference)
        if ours != theirs:
            raise TokenRLError(
                f"The policy chooses among {ours} actions and the reference "
                f"among {theirs}: exact KL needs the same, so take k1, k2 or "
                "k3 or another reference."
            )
        if exploration is not None and exploration.uniform != 0:
            raise TokenRLError(
                "Exact KL knows no share of the uniform distribution: take "
                "k1, k2 or k3, or exploration without uniform."
            )


def _check_inner(reward: Reward) -> None:
    weights = reward.schedules() if isinstance(reward, Mixture) else []
    for _, weight in weights:
        if weight.listens:
            raise TokenRLError(
                f"{weight!r} follows the mean of a term of the whole reward, "
                f"but stands within another reward, in `{reward!r}`: add that "
                "term outside."
            )
    for part in reward.within():
        _check_inner(part)


def check_batch(trainer, examples: Sized, batch_size: int) -> None:
    """There must be examples, and the batch must split evenly.

    It is split into groups, minibatches, replicas and accumulation steps.
    """
    if not len(examples):
        raise TokenRLError("There are no examples to learn from.")
    algorithm = trainer.algorithm
    replicas = trainer.strategy.num_replicas_in_sync
    parts = {
        "samples_per_prompt": algorithm.samples_per_prompt,
        "minibatches x replicas x accumulation": algorithm.minibatches
        * replicas
        * trainer.options.accumulation,
    }
    for name, count in parts.items():
        if batch_size < 1 or batch_size % count:
            raise TokenRLError(
                f"batch_size is {batch_size}, which is not a multiple of "
                f"{name} ({count}): choose one that is."
            )


def check_whitening(algorithm: Algorithm, rollout: Rollout) -> None:
    """One action by itself, whitened, is 0 whatever it earned."""
    whiten = getattr(getattr(algorithm, "inner", algorithm), "whiten", False)
    rows = len(rollout.mask)
    if whiten == "minibatch":
        rows //= algorithm.minibatches
    if whiten and rows * rollout.mask.sum(-1).max() <= 1:
        raise TokenRLError(
            f"{type(algorithm).__name__} whitens the advantages of one action "
            "at a time, which leaves nothing to learn: take a larger batch, "
            "fewer minibatches or whiten=False."
        )


def check_learned(history: Sequence[Mapping[str, float]]) -> None:
    """A run whose gradient was always 0 has learned nothing.

    Args:
        history: the logs of the steps taken; fewer than ten prove nothing.
    """
    norms = [logs["gradient_norm"] for logs in history]
    if len(norms) >= 10 and not any(norms):
        raise TokenRLError(
            f"Nothing was learned: the gradient was 0 in all {len(norms)} "
            "steps. Give a reward that differs between answers."
        )

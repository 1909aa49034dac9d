"""Options of `train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tf_tokenrl.options.checking import (
    COMPUTE,
    OPTIMIZER,
    ROLLOUT,
    WATCH,
    Amount,
    Count,
    Dtype,
    NotNegative,
    Options,
    Positive,
    Strategy,
)


@dataclass(frozen=True)
class TrainOptions(Options):
    """Which policy, which reward, which algorithm.

    Attributes:
        policy: a policy that `sft` wrote.
        data: a folder that `prepare` wrote.
        task: name of a task, or "module:Class"; "" takes the one that
            `prepare` recorded.
        out: folder of this run.
        reward: rewards added and scaled, such as
            "rouge(variant='l') - 0.1 * kl"; "" takes the task's own.
        algorithm: "ppo", "grpo", "actor_critic", "reinforce", "mixed",
            "mixer", "dqn", with options such as "ppo(clip=0.1, epochs=2)".
        exploration: "exploration(temperature=..., uniform=...)", numbers or
            schedules such as linear(1.0, 0.7, steps=100).
        kl: KL to the reference in the loss: an estimator, "k1", "k2", "k3" or
            "exact", and what it counts, as in "k3, weight=0.1" or
            "k3, weight=adaptive(0.1, target=6.0, horizon=10000)"; "" for
            none.
        strategy: "default", "one_device", "mirrored", "multi_worker", "tpu".
        temperature: of sampling and of all log-probs; 0 keeps the policy's.
        dtype: in which the policy samples, scores and learns: "float32",
            "mixed_bfloat16" or "bfloat16"; "" keeps the policy's.
        steps: rounds of sampling and learning.
        batch_size: answers per step, over all replicas.
        like_lengths: answer prompts of like length in a step, so that little
            is padding.
        learning_rate: of Adam at the first step.
        final_learning_rate: of Adam at the last step; falls linearly.
        gradient_clip: greatest global norm of the gradient; 0 sets no limit.
        accumulation: parts in which a minibatch is computed.
        adapter: what learns instead of all weights, such as "lora(rank=16)",
            and KL is then measured from the policy without it; "" goes on
            with the policy's own, if it has one, or with all weights, and KL
            is measured from the policy as it begins.
        gradient_checkpointing: keep of each layer only what it was given and
            compute the rest again; less memory, slower updates.
        reward_processes: processes that compute rewards written in Python; 0
            computes them in this one.
        overlap: compute the rewards of half a batch while the other half is
            sampled; pays where rewards take longer than sampling.
        jit: stages that XLA compiles, "scoring", "update" or both, anew for
            each length of prompts and answers; on a CPU nothing gets faster.
        early_stopping: steps without a better mean reward that end the run;
            0 never ends it early.
        max_restores: how often a run that diverges goes back to its last good
            checkpoint with half the learning rate; 0 lets it diverge.
        monitor_every: steps between two looks at held-out answers by what is
            not rewarded; 0 never looks.
        monitor_stops: end a run whose reward rises while the task's other
            metrics fall.
        checkpoint_every: steps between two checkpoints.
        resume: go on from the newest checkpoint in `out`, with the options
            that the run began with; goes before `overwrite`.
        overwrite: replace the run that is in `out`.
        sample_answers: answers shown token by token in the report.
        seed: of sampling and order.
    """

    policy: Path = Path("runs/sft/policy.keras")
    data: Path = Path("runs/demo/data")
    task: str = ""
    out: Path = Path("runs/rl")
    reward: str = ""
    algorithm: str = "ppo"
    exploration: Annotated[str, ROLLOUT] = "exploration"
    kl: str = ""
    strategy: Annotated[Strategy, COMPUTE] = "default"
    temperature: Annotated[NotNegative, ROLLOUT] = 0.0
    dtype: Annotated[Dtype, COMPUTE] = ""
    steps: Count = 100
    batch_size: Count = 96
    like_lengths: Annotated[bool, ROLLOUT] = False
    learning_rate: Annotated[Positive, OPTIMIZER] = 3e-4
    final_learning_rate: Annotated[NotNegative, OPTIMIZER] = 0.0
    gradient_clip: Annotated[NotNegative, OPTIMIZER] = 1.0
    accumulation: Annotated[Count, OPTIMIZER] = 1
    adapter: str = ""
    gradient_checkpointing: Annotated[bool, COMPUTE] = False
    reward_processes: Annotated[Amount, ROLLOUT] = 0
    overlap: Annotated[bool, ROLLOUT] = False
    jit: Annotated[tuple[Literal["scoring", "update"], ...], COMPUTE] = ()
    early_stopping: Annotated[Amount, WATCH] = 0
    max_restores: Annotated[Amount, WATCH] = 3
    monitor_every: Annotated[Amount, WATCH] = 10
    monitor_stops: Annotated[bool, WATCH] = False
    checkpoint_every: Annotated[Count, WATCH] = 50
    resume: bool = False
    overwrite: bool = False
    sample_answers: Annotated[Amount, WATCH] = 8
    seed: int = 0

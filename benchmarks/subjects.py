"""What is measured: the project's own policy and trainer, at a given size."""

import keras
import keras_hub

from benchmarks import words
from benchmarks.options import Learning, Work
from tf_tokenrl import algorithms, rewards
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.text.tokenizer import START
from tf_tokenrl.training.options import TrainerOptions
from tf_tokenrl.training.trainer import Trainer
from tf_tokenrl.training.updates.adam import Adam
from tf_tokenrl.training.updates.kl_loss import KlLoss

SAMPLES = 4  # answers to each prompt
_BETA = 0.05  # of KL to the reference
_LEARNING_RATE = 1e-5
_LEAST_POSITIONS = 1024


def policy(work: Work) -> CausalPolicy:
    """A GPT-2 with random weights that never stops by itself."""
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=work.vocabulary,
        num_layers=work.layers,
        num_heads=work.heads,
        hidden_dim=work.width,
        intermediate_dim=4 * work.width,
        dropout=0.0,
        max_sequence_length=max(_LEAST_POSITIONS, work.prompt + work.new),
        dtype=work.dtype,
    )
    return CausalPolicy(
        keras_hub.models.GPT2CausalLM(backbone),
        tokenizer=words.tokenizer(work.vocabulary),
        max_prompt_tokens=work.prompt,
        max_new_tokens=work.new,
        answer_start_id=START,
    )


def trainer(work: Learning) -> Trainer:
    """A trainer as a user would make it, with KL to a frozen reference."""
    learner = policy(work)
    if work.gradient_checkpointing:
        learner.checkpoint_gradients()
    reward: rewards.Reward = rewards.Function(distinct_words)
    options: dict = {"samples_per_prompt": SAMPLES}
    kl_loss = None
    if work.algorithm == "rloo":
        name, options["baseline"] = "reinforce", "leave_one_out"
        reward -= _BETA * rewards.get("kl")
    else:
        name, kl_loss = "grpo", KlLoss("k3", _BETA, direct=True)
    return Trainer(
        learner,
        reward=reward,
        algorithm=algorithms.get(name, **options),
        optimizer=Adam(_LEARNING_RATE),
        reference=learner.frozen_copy(),
        kl_loss=kl_loss,
        options=TrainerOptions(accumulation=work.accumulation),
    )


def prompts(work: Work, count: int) -> list[str]:
    """Texts of `work.prompt` tokens with the one that opens an answer."""
    return words.prompts(count, work.prompt - 1, work.vocabulary)


def distinct_words(example: Example, response: Response) -> float:
    """The share of an answer's tokens that are words not yet said."""
    return len(set(response.text.split())) / max(len(response.token_ids), 1)

"""Maximum likelihood: good answers become more likely."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.objectives import base
from tf_tokenrl.training.rows import Rows

WEIGHTINGS = ("none", "gold")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Likelihood(base.Objective):
    """Negative log-likelihood of given tokens, nats per token.

        loss = -sum_t w_t log p(a_t) / sum_t w_t

    w is 1 for a token of the answer. The metric `nll` is the plain mean over
    the answers' tokens.

    Attributes:
        prompt_weight: w of a prompt's token; above 0 a policy that writes
            learns the prompts as well.
        weighting: "none"; or "gold", which multiplies the loss of each token
            by its probability now, a constant to the gradient: tokens that
            the policy would never say move it little. The divisor stays the
            sum of w.

    Source: Pang and He (2021), "Text Generation by Learning from
    Demonstrations", equation 8 with one-step returns; Wu et al. (2025), "On
    the Generalization of SFT", equation 9, called DFT there.
    """

    prompt_weight: float = 0.0
    weighting: str = "none"

    def __post_init__(self):
        if self.weighting not in WEIGHTINGS:
            raise TokenRLError(
                f'weighting is "{self.weighting}": choose one of '
                f"{', '.join(WEIGHTINGS)}."
            )

    def rows(self, policy: Policy, examples: Sequence[Example]) -> Rows:
        """See `Objective.rows`."""
        base.require_rows(examples)
        pairs = policy.encode_pairs(
            [example.prompt for example in examples],
            [example.reference for example in examples],
        )
        columns = base.answer_columns(pairs)
        answers = [np.ones(len(a), np.float32) for a in columns["actions"]]
        columns |= {"weights": answers, "answers": answers}
        if self.prompt_weight > 0.0 and policy.writes_text:
            columns = self._with_prompts(columns)
        return Rows(columns)

    def _with_prompts(self, columns: dict[str, list]) -> dict[str, list]:
        """The same with all of a prompt but its first token to be learned."""
        learned = [prompt[1:] for prompt in columns["prompt"]]

        def led(name: str, value: float) -> list[np.ndarray]:
            return [
                np.concatenate([np.full(len(tokens), value, np.float32), kept])
                for tokens, kept in zip(learned, columns[name], strict=True)
            ]

        actions = zip(learned, columns["actions"], strict=True)
        return {
            "prompt": [prompt[:1] for prompt in columns["prompt"]],
            "actions": [np.concatenate(tokens) for tokens in actions],
            "weights": led("weights", self.prompt_weight),
            "answers": led("answers", 0.0),
        }

    def counts(self, batch: Mapping[str, Tensor]) -> base.Terms:
        """See `Objective.counts`."""
        chosen = base.chosen(batch)
        return {
            "loss": tf.where(chosen, batch["weights"], 0.0),
            "nll": tf.where(chosen, batch["answers"], 0.0),
        }

    def terms(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
        seen: Mapping[str, Tensor],
    ) -> base.Terms:
        """See `Objective.terms`."""
        scores = policy(base.inputs(batch), training=True)
        nll = -scores["log_probs"]
        loss = nll
        if self.weighting == "gold":
            loss = tf.stop_gradient(tf.exp(-nll)) * nll
        return {"loss": loss, "nll": nll}

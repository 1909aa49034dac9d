"""What a teacher would have said: on-policy distillation."""

import functools

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared import checks


class Teacher(Reward):
    """How much more a teacher would have said each token, in nats.

        r_t = log q(a_t | prompt, a_<t) - log p(a_t | prompt, a_<t)

    p is the policy as it sampled and q the teacher at temperature 1. The mean
    of r_t over a_t drawn from p is -sum_a p(a) log(p(a) / q(a)), so that the
    policy climbs minus the divergence of its answers from the teacher's, and
    learns on texts of its own.

    The teacher must have the policy's tokens: every id must stand for the
    same text. That is compared with each answer; vocabularies of the same size
    prove nothing. The teacher encodes the prompts itself, with its own tokens
    that open a prompt or an answer.

    Attributes:
        policy: the path of a `.keras` file that `sft` or `train` wrote.

    Source: Agarwal et al. (2024), "On-Policy Distillation of Language
    Models: Learning from Self-Generated Mistakes", section 3, with the
    divergence KL(student || teacher); Gu et al. (2024), "MiniLLM", equation 2.

    Note:
        The exact divergence over the whole vocabulary, with its gradient, is
        `kl_loss` "exact" with the teacher as reference. For a teacher with
        other tokens take `log_likelihood - log p`.
    """

    def __init__(self, policy: str):
        self.policy = policy
        _load(policy)

    def __call__(self, examples, responses, rollout) -> np.ndarray:
        """See `Reward.__call__`.

        Raises:
            TokenRLError: the teacher has other tokens, or no room.
        """
        judge = _load(self.policy)
        self._check_tokens(judge.policy, examples, responses, rollout)
        prompts = judge.policy.encode([e.prompt for e in examples])
        asked = (*prompts, np.asarray(rollout.actions, np.int32))
        theirs = judge.log_probs(*asked, np.asarray(rollout.mask, bool))
        with np.errstate(invalid="ignore"):  # masked slots hold anything
            gap = theirs.numpy() - np.asarray(rollout.log_probs)
        return checks.placed(self, gap, examples, rollout)

    def _check_tokens(self, teacher, examples, responses, rollout) -> None:
        size = int(np.max(rollout.actions[rollout.mask], initial=0))
        known = teacher.tokenizer.vocabulary_size()
        readings = teacher.decode(rollout) if size < known else None
        for row, (example, response) in enumerate(
            zip(examples, responses, strict=True)
        ):
            if readings is None or readings[row] != response:
                raise TokenRLError(
                    f"{self!r}: the teacher reads the tokens of the answer to "
                    f"{checks.name(example)} as another text, so its "
                    "vocabulary is not the policy's: give a teacher with the "
                    "same tokenizer, or use log_likelihood, which reads texts."
                )


class _Judge:
    """A frozen policy and the graph that scores ids with it."""

    def __init__(self, path: str):
        import tensorflow as tf

        from tf_tokenrl.policies import storage

        ids, mask = (
            tf.TensorSpec([None, None], t) for t in (tf.int32, tf.bool)
        )
        self.policy = storage.load(path)
        self.policy.trainable = False
        self.log_probs = tf.function(
            self._log_probs,
            input_signature=[ids, mask, ids, mask],
            autograph=False,
        )

    def _log_probs(self, prompt_ids, prompt_mask, actions, mask):
        rollout = Rollout(prompt_ids, prompt_mask, actions, mask, None, None)
        return self.policy.score(rollout, temperature=1.0).log_probs


_load = functools.lru_cache(2)(_Judge)

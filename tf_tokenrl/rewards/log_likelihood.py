"""How likely the answer is to a frozen model with tokens of its own."""

import functools

from tf_tokenrl.flow import Example, Response, Rollout
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import Span, on_spans


class LogLikelihood(Reward):
    """log p(answer | prompt) under a frozen language model, in nats.

    The model reads the text and cuts it into tokens of its own, so that any
    policy can judge any other. The log-probability of each of its tokens is
    shared by the sampled tokens that added the same characters; that of its
    stop token, counted where the answer has stopped, goes to the last. An
    answer earns log p of its whole text, at temperature 1.

    Attributes:
        policy: the path of a `.keras` file that `sft` or `train` wrote.
        batch_size: answers judged at once.

    Note:
        `perplexity` is faster and places exactly where the frozen model has
        the policy's own tokens: it scores the sampled ids. How this model
        cuts a word, the characters behind may decide, so where rewards are
        summed from a token on all goes to the last one. Where this model
        cannot spell a character, offsets behind it are shifted; the sum
        stays.
    """

    looks_ahead = True  # one of the model's tokens may span several of ours

    def __init__(self, policy: str, batch_size: int = 64):
        self.policy = policy
        self.batch_size = batch_size
        _load(policy)

    def score_batch(self, examples, responses):
        """See `Reward.score_batch`.

        Raises:
            TokenRLError: a prompt or an answer is too long for the model.
        """
        scores = []
        for start in range(0, len(examples), self.batch_size):
            rows = slice(start, start + self.batch_size)
            scores += self._scores(examples[rows], responses[rows])
        return scores

    def score(self, example: Example, response: Response) -> list[float]:
        """See `Reward.score`."""
        return self.score_batch([example], [response])[0]

    def _scores(self, examples, responses) -> list[list[float]]:
        judge = _load(self.policy)
        prompts = [example.prompt for example in examples]
        texts = [response.text for response in responses]
        pairs = judge.policy.encode_pairs(prompts, texts)
        rows = zip(
            responses,
            judge.policy.decode(pairs),
            judge.log_probs(
                pairs.prompt_ids, pairs.prompt_mask, pairs.actions, pairs.mask
            ).numpy(),
            pairs.mask,
            strict=True,
        )
        return [
            on_spans(response, _spans(response, reading, row[mask]))
            for response, reading, row, mask in rows
        ]


def _spans(response: Response, reading: Response, log_probs) -> list[Span]:
    count = len(log_probs) - (reading.stopped and not response.stopped)
    spans = zip(reading.offsets[:count], log_probs[:count], strict=True)
    return [Span(*offset, float(amount)) for offset, amount in spans]


class _Judge:
    """A frozen policy and the graph that scores answers with it."""

    def __init__(self, path: str):
        import tensorflow as tf

        from tf_tokenrl.policies import storage

        ids, mask = (
            tf.TensorSpec([None, None], t) for t in (tf.int32, tf.bool)
        )
        self.policy = storage.load(path)
        self.policy.trainable = False
        self.log_probs = tf.function(
            self._log_probs, input_signature=[ids, mask, ids, mask]
        )

    def _log_probs(self, prompt_ids, prompt_mask, actions, mask):
        rollout = Rollout(prompt_ids, prompt_mask, actions, mask, None, None)
        return self.policy.score(rollout, temperature=1.0).log_probs


_load = functools.lru_cache(2)(_Judge)

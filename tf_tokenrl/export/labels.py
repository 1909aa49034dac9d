"""A policy that labels, as a SavedModel."""

import tensorflow as tf

from tf_tokenrl.decoding.sampling import Sampling
from tf_tokenrl.export.savedmodel import ServedPolicy, of_any_rows
from tf_tokenrl.flow import Rollout
from tf_tokenrl.text.label_codec import unpack


class ServedLabels(ServedPolicy):
    """The graphs of a `LabelPolicy`.

    `serving_default` and `score` take and give what they do for a policy that
    writes, so that the same clients ask both. One signature more asks for the
    likeliest labels alone: `tag` where words are labelled, `classify` where
    texts are.
    """

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """All three, traced."""
        name = "tag" if self._policy().unit == "word" else "classify"
        likeliest = of_any_rows(self.likeliest).get_concrete_function(
            tf.TensorSpec([None], tf.string, "text")
        )
        return super().signatures() | {name: likeliest}

    def likeliest(self, text) -> dict[str, tf.Tensor]:
        """The likeliest label of each word, or of each text.

        Args:
            text: string `[B]`; one that is too long keeps its beginning.

        Returns:
            `labels` string and `log_probs` float32 (nats, at temperature 1)
            `[B, T]`, of which the first `lengths` int32 `[B]` count;
            `truncated` bool `[B]`, the text was cut.
        """
        policy = self._policy()
        ids, lengths, truncated = policy.text.prompt_graph(text)
        seeds = tf.zeros([tf.size(text), 2], tf.int64)
        greedy = Sampling(0.0, 0, 1.0, 0)
        rollout = policy.act(ids, tf.sequence_mask(lengths), seeds, greedy)
        counts = tf.reduce_sum(tf.cast(rollout.mask, tf.int32), axis=-1)
        most = tf.reduce_max(counts)
        labels = policy.text.label_graph(rollout.actions, rollout.mask)
        return {
            "labels": labels[:, :most],
            "log_probs": rollout.log_probs[:, :most],
            "lengths": counts,
            "truncated": truncated,
        }

    def generate(
        self, prompt, seed, temperature, max_new_tokens, top_k, top_p
    ) -> dict[str, tf.Tensor]:
        """See `ServedPolicy.generate`; `max_new_tokens` means nothing.

        `text` is the labels joined by spaces, `token_ids` are their numbers;
        `stopped` is False where the text was cut, and with it its labels.
        """
        reply = super().generate(
            prompt, seed, temperature, max_new_tokens, top_k, top_p
        )
        return reply | {"stopped": ~reply["truncated"]}

    def score(self, prompt, answer) -> dict[str, tf.Tensor]:
        """See `ServedPolicy.score`; `answer` is labels joined by spaces.

        A label that the policy lacks has id -1 and log-prob -inf. `truncated`
        is True as well where the answer has more or fewer labels than the
        prompt has words; only labels of words count.
        """
        policy = self._policy()
        ids, lengths, cut = policy.text.prompt_graph(prompt)
        given, counts, cut_answer = policy.text.answer_graph(answer)
        places = tf.reduce_sum(tf.cast(unpack(ids)[2], tf.int32), axis=-1)
        mask = tf.sequence_mask(tf.minimum(counts, places), tf.shape(given)[1])
        known = mask & (given >= 0)
        actions = tf.where(known, given, 0)
        scores = policy.score(
            Rollout(ids, tf.sequence_mask(lengths), actions, mask, None, None),
            temperature=1.0,
        )
        never = tf.where(mask, float("-inf"), 0.0)
        return {
            "token_ids": given,
            "lengths": tf.minimum(counts, places),
            "log_probs": tf.where(known, scores.log_probs, never),
            "values": tf.where(mask, scores.values, 0.0),
            "truncated": cut | cut_answer | (counts != places),
        }

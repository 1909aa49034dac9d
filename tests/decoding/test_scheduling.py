"""Many prompts through few rows: the same answers, and less work."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import table, tiny
from tf_tokenrl.decoding.loop import (
    advance,
    begin,
    flatten,
    join,
    keep,
    unflatten,
)
from tf_tokenrl.decoding.sampling import row_seeds, uniforms
from tf_tokenrl.decoding.scheduling import decode

PROMPTS = [
    "the name of a given file",
    "open",
    "open",
    "",
    "return a list or value",
    "return a list or value",
    "return a list or value",
    "the number",
]
STOPS = tuple(range(3, 12))


def answering(policy, decoder=None, waits=True):
    """`decode` as one graph; called with the number of slots."""
    ids, mask = policy.encode(PROMPTS)
    lengths = mask.sum(-1).astype(np.int32)
    seeds = row_seeds(3, 0, len(PROMPTS))

    @tf.function
    def run(slots):
        return decode(
            decoder() if decoder else policy.decoder(),
            tf.constant(ids),
            tf.constant(lengths),
            seeds,
            policy.sampling.per_row(len(ids)),
            policy.max_new_tokens,
            slots if waits else None,
        )

    def answers(slots):
        found = run(tf.constant(slots))
        assert run.experimental_get_tracing_count() == 1
        return tf.nest.map_structure(lambda x: x.numpy(), found)

    return answers


def assert_same(one, other):
    np.testing.assert_array_equal(one.actions, other.actions)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_allclose(one.log_probs, other.log_probs, atol=1e-5)
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["llama", "gru", pytest.param("bart", marks=pytest.mark.slow)]
)
def test_answers_do_not_depend_on_how_many_are_under_way(name):
    policy = tiny.policy(name, stop_ids=STOPS)
    together = tiny.sample(policy, PROMPTS, seed=3)
    assert len(set(together.mask.sum(-1))) > 3
    answers = answering(policy)
    for slots in (1, 2, 3, len(PROMPTS), 100):
        assert_same(answers(slots), together)


class Counting:
    """A decoder that notes how much it is asked to read."""

    def __init__(self, decoder, reads, rows):
        self._decoder, self._reads, self._rows = decoder, reads, rows

    def __getattr__(self, name):
        return getattr(self._decoder, name)

    def prefill(self, prompt_ids, lengths, capacity):
        self._reads.assign_add(tf.shape(prompt_ids)[0])
        return self._decoder.prefill(prompt_ids, lengths, capacity)

    def step(self, token_ids, *arguments):
        self._rows.assign_add(tf.shape(token_ids)[0])
        return self._decoder.step(token_ids, *arguments)


@pytest.mark.parametrize("waits", [False, True])
def test_equal_prompts_are_read_once_and_rows_that_are_done_leave(waits):
    policy = table.policy(stop_ids=STOPS)
    reads, rows = tf.Variable(0), tf.Variable(0)
    answers = answering(
        policy, lambda: Counting(policy.decoder(), reads, rows), waits
    )
    lengths = answers(2).mask.sum(-1)
    assert reads.numpy() == len(set(PROMPTS))
    stepped = lengths - 1  # the last token of an answer is never read
    assert stepped.sum() <= rows.numpy() < stepped.max() * len(PROMPTS)


def test_a_server_may_let_rows_in_and_drop_them():
    """Two prompts; then the first is dropped and a third let in."""
    policy = tiny.shared_policy("bart")
    prompts = PROMPTS[:2] + PROMPTS[4:5]
    whole = tiny.sample(policy, prompts, seed=3)
    ids, mask = policy.encode(prompts)
    lengths = tf.constant(mask.sum(-1), tf.int32)
    noise = uniforms(row_seeds(3, 0, 3), policy.max_new_tokens)
    decoder = policy.decoder()

    def begun(*rows):
        settings = policy.sampling.per_row(len(rows))
        read = decoder.prefill(
            tf.gather(ids, rows), tf.gather(lengths, rows), 8
        )
        return begin(decoder, read, tf.gather(noise, rows), settings)

    state, first = begun(0, 1)
    state, second = advance(decoder, state, 2)
    state = unflatten(state, flatten(state))
    state, third = advance(decoder, keep(decoder, state, [1]), 1)
    more, begins = begun(2)
    state, rest = advance(decoder, join(decoder, state, more), 2)
    parts = [first[0][1:], second[0][1:], third[0], rest[0][:1]]
    seen = tf.concat(parts, axis=1)[0]
    np.testing.assert_array_equal(seen, whole.actions[1, :6])
    seen = tf.concat([begins[0], rest[0][1:]], axis=1)[0]
    np.testing.assert_array_equal(seen, whole.actions[2, :3])
    for tensor in flatten(state).values():
        assert tensor.shape[0] == 2

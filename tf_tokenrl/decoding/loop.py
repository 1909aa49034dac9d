"""The decode loop: one for every policy.

A `Decoder` knows how to read prompts and how to take one step. This module
knows when to sample, what to force, and when to stop. Answers under way are
a `State`, and all that happens to them is a function of it:

    state, columns = begin(decoder, prefill, noise, sampling)
    state, columns = advance(decoder, state, steps)
    state = keep(decoder, state, rows)
    state = join(decoder, state, more)

`rollout.decode` is a loop over these four; so is a server that streams
tokens and lets new prompts in while others are being answered.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tf_tokenrl.decoding.sampling import Sampling, draw


class Prefill(NamedTuple):
    """Prompts, read. Each tensor has one entry per row.

    Attributes:
        hidden: `[B, H]`, the states from which the next tokens are drawn.
        cache: what steps need of the past, a structure of tensors.
        forced: int32 `[B, F]`, prompt tokens that are still to be read one
            by one, and int32 `[B]`, how many of them each row has; empty for
            decoders that read whole prompts at once.
    """

    hidden: tf.Tensor
    cache: Any
    forced: tuple = ()


class Decoder:
    """What a policy gives the loop.

    The cache is a structure of tensors with one entry per row. While a chunk
    of columns is decoded, a part of it stands still and a part changes from
    step to step; here all of it changes.

    Attributes:
        joins: whether rows may be let in while others are under way.
    """

    joins = True

    def __init__(self, policy):
        self.policy = policy
        self.logits = policy.logits  # [B, H] -> float32 [B, V]
        self.values = policy.state_values  # [B, H] -> float32 [B]

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read prompts `[B, P]`; leave room for `capacity` more columns."""
        raise NotImplementedError(type(self).__name__)

    def step(self, token_ids, column, past, chunk):
        """Read `token_ids` `[B]` at a column of the chunk.

        Returns:
            Hidden states `[B, H]` and the chunk after it.
        """
        raise NotImplementedError(type(self).__name__)

    def open(self, cache) -> tuple[Any, Any]:
        """A cache as what stands still in a chunk and what changes."""
        return (), cache

    def close(self, cache, chunk, steps):
        """The cache after a chunk of `steps` columns."""
        return chunk

    def keep(self, cache, rows):
        """The cache of these rows."""
        return take(cache, rows)

    def join(self, one, other):
        """The cache of the rows of both."""
        return _stacked(one, other)

    def shapes(self, cache):
        """Shapes of a cache, or of a chunk, whatever rows it has."""
        return row_shapes(cache)


class State(NamedTuple):
    """Answers under way. Each tensor has one entry per row.

    Attributes:
        cache: the decoder's.
        forced: see `Prefill`.
        noise: float32 `[B, T, 2]`, see `sampling.uniforms`.
        sampling: fields of `Sampling` by name, each `[B]`.
        ids: int32 `[B]`, the token to be read next.
        count: int32 `[B]`, tokens chosen so far; below 0 as long as prompt
            tokens are forced.
        alive: bool `[B]`, False where the answer is complete.
    """

    cache: Any
    forced: tuple
    noise: tf.Tensor
    sampling: dict[str, tf.Tensor]
    ids: tf.Tensor
    count: tf.Tensor
    alive: tf.Tensor


class Columns(NamedTuple):
    """What was drawn, `[B, n]`: 0 where nothing was chosen."""

    actions: tf.Tensor
    mask: tf.Tensor
    log_probs: tf.Tensor
    values: tf.Tensor


def begin(
    decoder: Decoder, prefill: Prefill, noise: tf.Tensor, sampling: Sampling
) -> tuple[State, Columns]:
    """Draw the first token of each row.

    Args:
        decoder: the policy's own.
        prefill: what `decoder.prefill` gave.
        noise: float32 `[B, T, 2]`; T is the most tokens any row may take.
        sampling: fields of shape `[B]`.

    Returns:
        The state, and `Columns` `[B, 1]`.
    """
    rows = tf.shape(prefill.hidden)[0]
    count = -prefill.forced[1] if prefill.forced else tf.zeros([rows], tf.int32)
    state = State(
        prefill.cache,
        prefill.forced,
        noise,
        sampling.tensors(),
        tf.zeros([rows], tf.int32),
        count,
        sampling.max_new_tokens > 0,
    )
    state, column = _draw(decoder, state, prefill.hidden)
    return state, tf.nest.map_structure(lambda x: x[:, None], column)


def advance(
    decoder: Decoder, state: State, steps: tf.Tensor, floor: tf.Tensor = 0
) -> tuple[State, Columns]:
    """Read the last token of each row and draw the next, several times.

    Args:
        decoder: that of `begin`.
        state: answers under way.
        steps: int32, the most columns.
        floor: int32; stop as soon as no more rows than this are alive.

    Returns:
        The state, and `Columns` `[B, n]` with n at most `steps`.
    """
    past, chunk = decoder.open(state.cache)

    def more(step, chunk, ids, count, alive, columns):
        living = tf.reduce_sum(tf.cast(alive, tf.int32))
        return (step < steps) & (living > floor)

    def proceed(step, chunk, ids, count, alive, columns):
        hidden, chunk = decoder.step(ids, step, past, chunk)
        after = state._replace(count=count, alive=alive)
        after, column = _draw(decoder, after, hidden)
        columns = tf.nest.map_structure(
            lambda all_, one: tf.concat([all_, one[:, None]], axis=1),
            columns,
            column,
        )
        return step + 1, chunk, after.ids, after.count, after.alive, columns

    row = tf.TensorShape([None])
    nothing = _no_columns(tf.shape(state.ids)[0])
    step, chunk, ids, count, alive, columns = tf.while_loop(
        more,
        proceed,
        (0, chunk, state.ids, state.count, state.alive, nothing),
        shape_invariants=(
            tf.TensorShape([]),
            decoder.shapes(chunk),
            row,
            row,
            row,
            Columns(*[tf.TensorShape([None, None])] * 4),
        ),
    )
    cache = decoder.close(state.cache, chunk, step)
    return state._replace(
        cache=cache, ids=ids, count=count, alive=alive
    ), columns


def keep(decoder: Decoder, state: State, rows: tf.Tensor) -> State:
    """The state of some rows: int32 `[K]`, their numbers."""
    others = take(state._replace(cache=()), rows)
    return others._replace(cache=decoder.keep(state.cache, rows))


def join(decoder: Decoder, state: State, more: State) -> State:
    """The rows of both states, those of `more` behind."""
    others = _stacked(state._replace(cache=()), more._replace(cache=()))
    return others._replace(cache=decoder.join(state.cache, more.cache))


def keep_prompts(decoder: Decoder, prefill: Prefill, rows) -> Prefill:
    """Some of the prompts that were read, some of them perhaps often."""
    others = take(prefill._replace(cache=()), rows)
    return others._replace(cache=decoder.keep(prefill.cache, rows))


def join_prompts(decoder: Decoder, one: Prefill, other: Prefill) -> Prefill:
    """The prompts of both."""
    others = _stacked(one._replace(cache=()), other._replace(cache=()))
    return others._replace(cache=decoder.join(one.cache, other.cache))


def flatten(state: State) -> dict[str, tf.Tensor]:
    """A state as tensors by name, each with one entry per row."""
    flat = tf.nest.flatten(state)
    return {f"state_{i:03}": tensor for i, tensor in enumerate(flat)}


def unflatten(like: State, flat: dict[str, tf.Tensor]) -> State:
    """The state that `flatten` took apart; `like` is one of its kind."""
    return tf.nest.pack_sequence_as(like, [flat[k] for k in sorted(flat)])


def take(structure, rows: tf.Tensor):
    """Some rows of every tensor."""
    return tf.nest.map_structure(lambda x: tf.gather(x, rows), structure)


def row_shapes(structure):
    """The shape of every tensor, its number of rows left open."""
    return tf.nest.map_structure(
        lambda x: tf.TensorShape([None, *x.shape[1:]]), structure
    )


def state_shapes(decoder: Decoder, state: State) -> State:
    """The shape of every tensor of a state, whatever rows it has."""
    others = row_shapes(state._replace(cache=()))
    return others._replace(cache=decoder.shapes(state.cache))


def _stacked(one, other):
    return tf.nest.map_structure(
        lambda x, y: tf.concat([x, y], axis=0), one, other
    )


def _draw(decoder: Decoder, state: State, hidden) -> tuple[State, Columns]:
    """Draw a token for each row; one column `[B]`."""
    sampling = Sampling(**state.sampling)
    capacity = tf.shape(state.noise)[1]
    limit = tf.minimum(sampling.max_new_tokens, capacity)
    index = state.count
    chosen = state.alive & (index >= 0)
    place = tf.clip_by_value(index, 0, capacity - 1)
    noise = tf.gather(state.noise, place, batch_dims=1)
    ids, log_probs = draw(decoder.logits(hidden), noise, sampling)
    ids = tf.where(chosen, ids, 0)
    log_probs = tf.where(chosen, log_probs, 0.0)
    values = tf.where(chosen, decoder.values(hidden), 0.0)
    stop_ids = decoder.policy.stop_ids
    stopped = is_any(ids, stop_ids) | (index + 1 >= limit)
    state = state._replace(
        ids=_forced_or(ids, state),
        count=index + 1,
        alive=state.alive & ~(chosen & stopped),
    )
    return state, Columns(ids, chosen, log_probs, values)


def is_any(ids: tf.Tensor, stop_ids) -> tf.Tensor:
    """Whether each id is one of a list of ids."""
    stops = tf.constant(list(stop_ids), tf.int32, shape=[len(stop_ids)])
    return tf.reduce_any(ids[..., None] == stops, axis=-1)


def _forced_or(ids: tf.Tensor, state: State) -> tf.Tensor:
    """`ids`, or the prompt's own token where the prompt is not over."""
    if not state.forced:
        return ids
    forced, counts = state.forced
    place = tf.clip_by_value(
        counts + state.count, 0, tf.maximum(tf.shape(forced)[1] - 1, 0)
    )
    forced = tf.gather(tf.pad(forced, [[0, 0], [0, 1]]), place, batch_dims=1)
    return tf.where(state.count < 0, forced, ids)


def _no_columns(rows: tf.Tensor) -> Columns:
    dtypes = Columns(tf.int32, tf.bool, tf.float32, tf.float32)
    return Columns(*(tf.zeros([rows, 0], dtype) for dtype in dtypes))

"""Answering many prompts with few rows at a time.

A row whose answer is complete is not carried along: rows that are done are
dropped, and prompts that wait are read in their place.
"""

from typing import NamedTuple

import tensorflow as tf

from tf_tokenrl.backbones.packing import equal_neighbours
from tf_tokenrl.decoding.loop import (
    Columns,
    Decoder,
    Prefill,
    State,
    advance,
    begin,
    join,
    join_prompts,
    keep,
    keep_prompts,
    state_shapes,
)
from tf_tokenrl.decoding.sampling import Sampling, uniforms

_CHUNK = 32  # columns whose keys and values grow before they join the rest


class _Prompts(NamedTuple):
    """All prompts, in the order in which they are answered.

    Adjacent prompts that are equal form a group and are read once.
    """

    ids: tf.Tensor  # int32 [N, P]
    lengths: tf.Tensor  # int32 [N]
    owners: tf.Tensor  # int32 [N], each row's number in the answers
    groups: tf.Tensor  # int32 [N], of each row
    first: tf.Tensor  # int32 [G], a row of each group
    noise: tf.Tensor  # float32 [N, T, 2]
    sampling: Sampling  # fields [N]


class _Work(NamedTuple):
    """What changes from chunk to chunk."""

    state: State
    owners: tf.Tensor  # int32 [B], of the rows under way
    answers: Columns  # [N, T]
    begun: tf.Tensor  # int32, how many prompts were let in
    last: Prefill  # the prompt that was read last, one row


def decode(
    decoder: Decoder,
    prompt_ids: tf.Tensor,
    lengths: tf.Tensor,
    seeds: tf.Tensor,
    sampling: Sampling,
    capacity: int,
    slots: tf.Tensor | int | None = None,
) -> Columns:
    """Sample answers until each row has stopped or used up its tokens.

    Prompts that are equal and adjacent are read once. An answer depends on
    its own prompt, seed and settings alone, not on `slots`.

    Args:
        decoder: the policy's own.
        prompt_ids: int32 `[N, P]`, padded on the right, at least one token.
        lengths: int32 `[N]`, tokens of each prompt.
        seeds: int64 `[N, 2]`.
        sampling: fields of shape `[N]`.
        capacity: T, the most new tokens any row may take.
        slots: int32, the most rows at a time; prompts beyond wait until rows
            are done, long ones first. None, or a decoder that lets nothing in
            later, takes all rows at once.

    Returns:
        `Columns` `[N, T]`; masked slots hold zeros.
    """
    noise = uniforms(seeds, capacity)
    if not decoder.joins:
        slots = None
    prompts = _arranged(prompt_ids, lengths, noise, sampling, slots)
    loop = _Loop(decoder, prompts, capacity, slots)
    work = loop.first()
    work = tf.while_loop(
        loop.unfinished,
        lambda *work: loop.turn(_Work(*work)),
        work,
        shape_invariants=loop.shapes(work),
        parallel_iterations=1,
    )
    return work.answers


class _Loop:
    """The turns of `decode`."""

    def __init__(self, decoder, prompts: _Prompts, capacity, slots):
        self.decoder = decoder
        self.prompts = prompts
        self.slots = slots
        self.total = tf.shape(prompts.ids)[0]
        self.capacity = capacity

    def first(self) -> _Work:
        """The first prompts are read and their first tokens drawn."""
        count = self.total
        if self.slots is not None:
            count = tf.minimum(count, self.slots)
        groups = self.prompts.groups[:count]
        pool = self._prefill(self.prompts.first[: groups[-1] + 1])
        last = keep_prompts(self.decoder, pool, groups[-1:])
        read = keep_prompts(self.decoder, pool, groups)
        state, columns, owners = self._begun(read, tf.range(count))
        empty = tf.nest.map_structure(
            lambda x: tf.zeros([self.total, self.capacity], x.dtype), columns
        )
        answers = _written(empty, owners, 0 * owners, columns)
        return _Work(state, owners, answers, count, last)

    def unfinished(self, *work) -> tf.Tensor:
        """Whether a row is under way or a prompt waits."""
        work = _Work(*work)
        return tf.reduce_any(work.state.alive) | (work.begun < self.total)

    def turn(self, work: _Work) -> _Work:
        """A chunk of columns; then rows that are done make room."""
        first = work.state.count
        state, columns = advance(
            self.decoder, work.state, _CHUNK, self._floor(work)
        )
        answers = _written(work.answers, work.owners, first, columns)
        work = work._replace(state=state, answers=answers)
        work = tf.cond(
            tf.reduce_all(state.alive), lambda: work, lambda: self._kept(work)
        )
        if self.slots is None:
            return work
        rows = tf.shape(work.owners)[0]
        room = (rows <= self._few) & (work.begun < self.total)
        return tf.cond(room, lambda: self._filled(work), lambda: work)

    def shapes(self, work: _Work) -> _Work:
        """The loop's shape invariants."""
        row = tf.TensorShape([None])
        table = tf.TensorShape([None, self.capacity])
        hidden = tf.TensorShape([None, work.last.hidden.shape[-1]])
        cache = self.decoder.shapes(work.last.cache)
        forced = tuple(
            tf.TensorShape([None] * x.shape.rank) for x in work.last.forced
        )
        return _Work(
            state_shapes(self.decoder, work.state),
            row,
            Columns(*[table] * 4),
            tf.TensorShape([]),
            Prefill(hidden, cache, forced),
        )

    @property
    def _few(self) -> tf.Tensor:
        """So few rows are under way that it pays to let others in."""
        return self.slots - tf.maximum(self.slots // 4, 1)

    def _floor(self, work: _Work) -> tf.Tensor:
        """So few rows alive end a chunk early."""
        rows = tf.shape(work.owners)[0]
        if self.slots is None:
            return rows // 2
        waiting = work.begun < self.total
        return tf.where(waiting, self._few, rows // 2)

    def _kept(self, work: _Work) -> _Work:
        """Without the rows that are done."""
        alive = tf.cast(tf.where(work.state.alive)[:, 0], tf.int32)
        return work._replace(
            state=keep(self.decoder, work.state, alive),
            owners=tf.gather(work.owners, alive),
        )

    def _filled(self, work: _Work) -> _Work:
        """With as many of the waiting prompts as there is room for."""
        room = self.slots - tf.shape(work.owners)[0]
        stop = tf.minimum(work.begun + room, self.total)
        rows = tf.range(work.begun, stop)
        groups = tf.gather(self.prompts.groups, rows)
        known = self.prompts.groups[work.begun - 1]
        fresh = self.prompts.first[known + 1 : groups[-1] + 1]
        pool = tf.cond(
            tf.size(fresh) > 0,
            lambda: join_prompts(self.decoder, work.last, self._prefill(fresh)),
            lambda: work.last,
        )
        read = keep_prompts(self.decoder, pool, groups - known)
        more, columns, owners = self._begun(read, rows)
        answers = _written(work.answers, owners, 0 * owners, columns)
        return _Work(
            join(self.decoder, work.state, more),
            tf.concat([work.owners, owners], axis=0),
            answers,
            stop,
            keep_prompts(self.decoder, pool, groups[-1:] - known),
        )

    def _prefill(self, rows: tf.Tensor) -> Prefill:
        lengths = tf.gather(self.prompts.lengths, rows)
        ids = tf.gather(self.prompts.ids, rows)[:, : tf.reduce_max(lengths)]
        return self.decoder.prefill(ids, lengths, self.capacity)

    def _begun(self, read: Prefill, rows: tf.Tensor):
        """State, first column and owners of rows whose prompts were read."""
        sampling = tf.nest.map_structure(
            lambda x: tf.gather(x, rows), self.prompts.sampling.tensors()
        )
        noise = tf.gather(self.prompts.noise, rows)
        owners = tf.gather(self.prompts.owners, rows)
        state, columns = begin(self.decoder, read, noise, Sampling(**sampling))
        return state, columns, owners


def _arranged(ids, lengths, noise, sampling, slots) -> _Prompts:
    """Prompts in the order of answering: long ones first if some must wait."""
    rows = tf.shape(ids)[0]
    order = tf.range(rows)
    if slots is not None:
        order = tf.argsort(-lengths, stable=True)
        ids, lengths = tf.gather(ids, order), tf.gather(lengths, order)
        noise = tf.gather(noise, order)
        sampling = Sampling(
            **tf.nest.map_structure(
                lambda x: tf.gather(x, order), sampling.tensors()
            )
        )
    groups, first = equal_neighbours(ids, lengths)
    return _Prompts(ids, lengths, order, groups, first, noise, sampling)


def _written(table: Columns, owners, first, columns: Columns) -> Columns:
    """Answers with some columns put in their places.

    Args:
        table: `[N, T]`.
        owners: int32 `[B]`, the row of the table that each row writes.
        first: int32 `[B]`, the place of the first of its columns.
        columns: `[B, n]`.
    """
    chosen = tf.cast(tf.where(columns.mask), tf.int32)
    row, column = chosen[:, 0], chosen[:, 1]
    place = tf.stack(
        [tf.gather(owners, row), tf.gather(first, row) + column], axis=1
    )
    return tf.nest.map_structure(
        lambda all_, new: tf.tensor_scatter_nd_update(
            all_, place, tf.gather_nd(new, chosen)
        ),
        table,
        columns,
    )

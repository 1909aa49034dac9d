"""Queues without threads: times are given, so nothing is waited for."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.batching.scheduler import Queue
from tf_tokenrl.serving.batching.task import Task
from tf_tokenrl.serving.request_context import UNLIMITED
from tf_tokenrl.serving.status import StatusError

LATER = 1e12


def task(size, start=0):
    rows = np.arange(start, start + size, dtype=np.float32)
    return Task({"x": rows}, ["y"], UNLIMITED)


def queue(**options):
    return Queue(Options(**options), process=list)


def sizes(batch):
    return [one.size for one in batch]


def failure(call, *arguments):
    with pytest.raises(StatusError) as caught:
        call(*arguments)
    return caught.value.code.name, caught.value.text


def test_an_empty_queue_has_no_batch():
    empty = queue()
    assert empty.take(LATER) is None
    assert empty.due_in(LATER) == float("inf")


def test_a_batch_is_due_when_its_time_has_come():
    waiting = queue(batch_timeout_micros=5_000_000)
    waiting.add(task(1))
    now = time.perf_counter()
    assert 0 < waiting.due_in(now) <= 5
    assert waiting.take(now) is None
    assert sizes(waiting.take(now + 5)) == [1]
    assert waiting.take(LATER) is None


def test_or_when_it_is_full():
    waiting = queue(batch_timeout_micros=5_000_000, max_batch_size=3)
    waiting.add(task(2))
    waiting.add(task(1))
    assert sizes(waiting.take(time.perf_counter())) == [2, 1]


def test_what_does_not_fit_begins_the_next_batch():
    waiting = queue(batch_timeout_micros=5_000_000, max_batch_size=3)
    for size in (2, 2, 1):
        waiting.add(task(size))
    assert sizes(waiting.take(0.0)) == [2]
    assert sizes(waiting.take(0.0) or waiting.take(LATER)) == [2, 1]


def test_a_request_larger_than_a_batch():
    assert failure(queue(max_batch_size=3).add, task(4)) == (
        "INVALID_ARGUMENT",
        "Task size 4 is larger than maximum input batch size 3",
    )


def test_a_full_queue():
    full = queue(max_batch_size=2, max_enqueued_batches=2)
    for _ in range(4):
        full.add(task(1))
    assert failure(full.add, task(1)) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; "
        "currently 2 batches enqueued and max_enqueued_batches is 2",
    )
    full.take(LATER)
    full.add(task(1))


def test_a_full_queue_when_splitting():
    full = queue(
        max_batch_size=9,
        max_execution_batch_size=2,
        max_enqueued_batches=2,
        enable_large_batch_splitting=True,
    )
    full.add(task(1))
    assert failure(full.add, task(4)) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; "
        "task size is 4 but scheduling capacity is only 3 "
        "(num_enqueued_batches=1, max_enqueued_batches=2, open_batch_size=1, "
        "max_execution_batch_size=2)",
    )
    assert sizes(full.add(task(3))) == [1, 2]


@given(st.lists(st.integers(0, 6), max_size=20), st.booleans(), st.data())
def test_every_row_is_in_one_batch_and_in_order(requests, splitting, data):
    waiting = queue(
        max_batch_size=6,
        max_execution_batch_size=data.draw(st.integers(1, 6)),
        enable_large_batch_splitting=splitting,
        max_enqueued_batches=100,
    )
    start, batches = 0, []
    for size in requests:
        parts = waiting.add(task(size, start))
        assert sum(sizes(parts)) == size
        start += size
        if data.draw(st.booleans()) and (batch := waiting.take(LATER)):
            batches.append(batch)
    while batch := waiting.take(LATER):
        batches.append(batch)
    rows = [row for batch in batches for t in batch for row in t.feeds["x"]]
    assert rows == list(range(start))
    most = waiting._options.execution_size
    assert all(sum(sizes(batch)) <= most for batch in batches)

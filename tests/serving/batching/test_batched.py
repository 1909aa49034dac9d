"""Real models behind a gate, so that tests decide who meets in a batch."""

import contextlib
import random
import threading
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from tests.support import exports, served
from tf_tokenrl.serving.batching.batched import Batched, Batcher
from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.batching.scheduler import Scheduler
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import Cancellation, RequestContext
from tf_tokenrl.serving.status import StatusError

SECONDS = 20


class Gated:
    """A servable whose runs are noted, and wait while the gate is closed."""

    def __init__(self, servable):
        self.signatures = servable.signatures
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.rows = []
        self.calls = []
        self._servable = servable

    def run(self, feeds, fetches, context):
        self.rows.append(len(next(iter(feeds.values()))))
        self.calls.append(context)
        self.entered.release()
        assert self.gate.wait(SECONDS)
        return self._servable.run(feeds, fetches, context)

    def close(self):
        self.gate.set()


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("models"), 1)
    servable = Servable(f"{base}/1", ["serve"], tf.compat.v1.ConfigProto())
    yield servable
    servable.close()


@pytest.fixture
def batched(half):
    """Opens a batched servable over a gated one."""
    with contextlib.ExitStack() as stack:

        def make(threads=1, **options):
            scheduler = Scheduler(threads)
            stack.callback(scheduler.close)
            gated = Gated(half)
            made = Batched(gated, scheduler, Options(**options))
            stack.callback(made.close)
            return made, gated

        yield make


def ask(batched, values, signature="serving_default", context=None):
    """The answers to `[rows, 1]` values, or to rows, in the order asked."""
    known = batched.signatures[signature]
    ((_, info),) = known.inputs.items()
    fetches = [known.outputs[name].name for name in known.outputs]
    feeds = {
        info.name: np.asarray(values, tf.as_dtype(info.dtype).as_numpy_dtype)
    }
    (answer, *_) = batched.run(feeds, fetches, context or RequestContext())
    return answer


@contextlib.contextmanager
def together(batched, gated, requests):
    """Futures of requests that all wait while one run holds the thread."""
    gated.gate.clear()
    with futures.ThreadPoolExecutor(len(requests) + 1) as pool:
        first = pool.submit(ask, batched, [[0]])
        assert gated.entered.acquire(timeout=SECONDS)
        others = []
        for request in requests:
            others.append(pool.submit(request))
            while sum(waiting(batched)) < len(others):
                assert not others[-1].done(), others[-1].exception()
                threading.Event().wait(0.001)
        try:
            yield others
        finally:
            gated.gate.set()
        first.result()


def waiting(batched):
    """The tasks in each queue."""
    with batched._scheduler._changed:
        return [
            len(batch)
            for _, _, queue in batched._queues
            for batch in queue._batches
        ]


def failure(future):
    error = future.exception(SECONDS)
    assert isinstance(error, StatusError), error
    return error.code.name, error.text


def test_who_waits_together_runs_together(batched):
    server, gated = batched()
    requests = [lambda n=n: ask(server, [[n], [-n]]) for n in range(5)]
    with together(server, gated, requests) as answers:
        gated.gate.set()
        for n, answer in enumerate(answers):
            expected = [[n / 2 + 2], [-n / 2 + 2]]
            assert answer.result(SECONDS).tolist() == expected
    assert gated.rows == [1, 10]


def test_outputs_that_not_everybody_wants(batched):
    server, gated = batched()
    both = server.signatures["subtract"]
    names = {a: info.name for a, info in both.inputs.items()}
    feeds = {names["a"]: np.float32([5]), names["b"]: np.float32([2])}

    def run(*outputs):
        wanted = [both.outputs[name].name for name in outputs]
        return [
            array.tolist()
            for array in server.run(feeds, wanted, RequestContext())
        ]

    requests = [
        lambda: run("sum"),
        lambda: run("difference"),
        lambda: run("difference", "sum"),
    ]
    with together(server, gated, requests) as answers:
        gated.gate.set()
        found = [answer.result(SECONDS) for answer in answers]
    assert found == [[[7.0]], [[3.0]], [[3.0], [7.0]]]
    assert gated.rows == [1, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"max_batch_size": 5},
        {"max_batch_size": 8, "allowed_batch_sizes": (2, 5, 8)},
        {"max_batch_size": 64, "batch_timeout_micros": 500},
        {
            "max_batch_size": 8,
            "enable_large_batch_splitting": True,
            "max_execution_batch_size": 3,
            "allowed_batch_sizes": (2, 3),
        },
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_everybody_gets_their_own_rows(batched, options, threads):
    """Many clients at random: answers and batch sizes are as they must be."""
    server, gated = batched(threads, max_enqueued_batches=1000, **options)

    def client(seed):
        draw, rows = random.Random(seed), 0
        for _ in range(15):
            size = draw.randint(0, 5)
            values = [[draw.randint(-99, 99)] for _ in range(size)]
            answer = ask(server, np.reshape(values, [size, 1]))
            assert answer.tolist() == [[v / 2 + 2] for (v,) in values]
            rows += size
        return rows

    with futures.ThreadPoolExecutor(8) as pool:
        rows = sum(pool.map(client, range(8), timeout=SECONDS))
    most = options.get("max_execution_batch_size", options["max_batch_size"])
    assert max(gated.rows) <= most
    allowed = {0, *options.get("allowed_batch_sizes", range(most + 1))}
    assert allowed.issuperset(gated.rows)
    assert sum(gated.rows) >= rows


def test_a_request_in_parts_comes_back_whole(batched):
    server, gated = batched(
        max_batch_size=7,
        enable_large_batch_splitting=True,
        max_execution_batch_size=3,
    )
    values = np.arange(7.0)[:, None]
    assert ask(server, values).tolist() == (values / 2 + 2).tolist()
    assert gated.rows == [3, 3, 1]


def test_what_belongs_to_no_signature_runs_alone(batched, half):
    server, gated = batched()
    both = server.signatures["subtract"]
    feed = {both.inputs["a"].name: np.float32([1])}
    with pytest.raises(StatusError):  # b is missing, says the runtime
        server.run(feed, [both.outputs["sum"].name], RequestContext())
    x = server.signatures["serving_default"]
    feed = {x.inputs["x"].name: np.float64([[1]])}
    with pytest.raises(StatusError) as caught:
        server.run(feed, [x.outputs["y"].name], RequestContext())
    assert caught.value.text == (
        "Expects arg[0] to be float but double is provided"
    )
    assert len(gated.rows) == 2


def test_who_asks_to_be_alone_is_alone(batched):
    server, gated = batched(batch_timeout_micros=2**40, max_batch_size=2)
    context = RequestContext(alone=True)
    assert ask(server, [[1]], context=context).tolist() == [[2.5]]
    assert gated.calls == [context]


def test_errors_before_a_batch_is_formed(batched):
    server, _ = batched(max_batch_size=2)
    with pytest.raises(StatusError, match="at least one dimension"):
        ask(server, 1.0)
    with pytest.raises(StatusError, match="Task size 3 is larger than"):
        ask(server, [[1], [2], [3]])


def test_a_full_queue_refuses_and_works_on(batched):
    server, gated = batched(max_batch_size=1, max_enqueued_batches=2)
    requests = [lambda: ask(server, [[1]])] * 2
    with together(server, gated, requests) as answers:
        with pytest.raises(StatusError, match="is full; currently 2") as caught:
            ask(server, [[2]])
        assert caught.value.code.name == "UNAVAILABLE"
        gated.gate.set()
        for answer in answers:
            assert answer.result(SECONDS).tolist() == [[2.5]]
    assert ask(server, [[2]]).tolist() == [[3.0]]


def test_an_error_is_that_of_the_whole_batch(batched):
    server, gated = batched()
    requests = [lambda: ask(server, [[1]]), lambda: ask(server, [[1, 2]])]
    with together(server, gated, requests) as answers:
        gated.gate.set()
        for answer in answers:
            code, text = failure(answer)
            assert code == "FAILED_PRECONDITION"
            assert text.startswith("Tensors with name 'serving_default_x:0'")
    assert ask(server, [[2]]).tolist() == [[3.0]]


def test_outputs_without_rows_are_an_error(batched):
    server, _ = batched()
    with pytest.raises(StatusError, match="has 0 dimensions"):
        ask(server, ["a"], "join")


def test_everybody_has_a_deadline_of_their_own(batched):
    server, gated = batched()
    requests = [
        lambda: ask(server, [[1]], context=RequestContext(timeout_in_ms=50)),
        lambda: ask(server, [[2]]),
    ]
    with together(server, gated, requests) as answers:
        assert failure(answers[0]) == (
            "RESOURCE_EXHAUSTED",
            "Run() timeout exceeded while waiting in batching queue",
        )
        gated.gate.set()
        assert answers[1].result(SECONDS).tolist() == [[3.0]]
    assert gated.rows == [1, 1]


def test_a_deadline_during_the_run_frees_the_one_who_waits(batched):
    server, gated = batched()
    gated.gate.clear()
    with pytest.raises(StatusError) as caught:
        ask(server, [[1]], context=RequestContext(timeout_in_ms=50))
    assert caught.value.code.name == "DEADLINE_EXCEEDED"
    assert gated.calls[0].cancellation.cancelled
    assert gated.calls[0].timeout_in_ms <= 50
    gated.gate.set()
    assert ask(server, [[2]]).tolist() == [[3.0]]


@pytest.mark.parametrize(
    ("times", "low", "high"),
    [((60_000, 90_000), 60_000, 90_000), ((60_000, 0), 0, 0)],
)
def test_the_run_has_the_time_of_the_one_who_has_most(
    batched, times, low, high
):
    server, gated = batched()
    requests = [
        lambda time=time: ask(server, [[1]], context=RequestContext(time))
        for time in times
    ]
    with together(server, gated, requests) as answers:
        gated.gate.set()
        for answer in answers:
            answer.result(SECONDS)
    assert low <= gated.calls[-1].timeout_in_ms <= high


def test_the_last_one_who_cancels_ends_the_run(batched):
    server, gated = batched()
    gated.gate.clear()
    end = Cancellation()
    with futures.ThreadPoolExecutor(1) as pool:
        context = RequestContext(cancellation=end)
        answer = pool.submit(ask, server, [[1]], context=context)
        assert gated.entered.acquire(timeout=SECONDS)
        end.cancel()
        assert failure(answer)[0] == "CANCELLED"
    assert gated.calls[0].cancellation.cancelled
    gated.gate.set()
    assert ask(server, [[2]]).tolist() == [[3.0]]


def test_one_who_stays_keeps_the_run(batched):
    server, gated = batched()
    end = Cancellation()
    requests = [
        lambda: ask(server, [[1]], context=RequestContext(cancellation=end)),
        lambda: ask(server, [[2]]),
    ]
    with together(server, gated, requests) as answers:
        end.cancel()
        assert failure(answers[0])[0] == "CANCELLED"
        gated.gate.set()
        assert answers[1].result(SECONDS).tolist() == [[3.0]]
    assert not gated.calls[-1].cancellation.cancelled


def test_closing_fails_what_waits(half):
    scheduler = Scheduler(1)
    gated = Gated(half)
    server = Batched(gated, scheduler, Options())
    with together(server, gated, [lambda: ask(server, [[1]])]) as answers:
        server.close()
        assert failure(answers[0]) == ("CANCELLED", "Session has been closed.")
    scheduler.close()


@pytest.mark.slow
def test_generation_does_not_depend_on_the_batch():
    """Seeds are per row: who else is in the batch changes nothing."""
    path = exports.path("lstm")
    servable = Servable(str(path), ["serve"], tf.compat.v1.ConfigProto())
    batcher = Batcher(Options(max_batch_size=16, batch_timeout_micros=2000), 2)
    joined = batcher.wrap(servable, str(path))
    known = servable.signatures["serving_default"]
    fetches = [info.name for info in known.outputs.values()]

    def feeds(number):
        options = {**exports.FREE, "prompt": f"open file {number}"}
        options["seed"] = number
        return {
            info.name: np.array(
                [options[name]], tf.as_dtype(info.dtype).as_numpy_dtype
            )
            for name, info in known.inputs.items()
        }

    with futures.ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: joined.run(feeds(n), fetches), range(8))
        )
    for number, answer in enumerate(answers):
        alone = servable.run(feeds(number), fetches)
        for one, other in zip(answer, alone, strict=True):
            if one.dtype == np.float32:
                np.testing.assert_allclose(one, other, atol=1e-5)
            else:
                np.testing.assert_array_equal(one, other)
    joined.close()
    batcher.close()

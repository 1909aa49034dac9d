"""What is counted, under the names of TensorFlow Serving, for Prometheus.

The counts are those of the process, as in the real server. Times are in
microseconds.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from tf_tokenrl.serving.repository import Repository
from tf_tokenrl.serving.status import StatusError

REGISTRY = CollectorRegistry()
_PREFIX = ":tensorflow:serving:"
_CREATED = re.compile(r"(# (HELP|TYPE) )?\S*_created[{ ]")


def exponential(scale: float, power: float, count: int) -> list[float]:
    """The limits of a histogram's buckets: `scale * power^i`."""
    return [float(f"{scale * power**i:g}") for i in range(count)]


def _histogram(name: str, text: str, labels, buckets) -> Histogram:
    return Histogram(
        f"{_PREFIX}{name}", text, labels, buckets=buckets, registry=REGISTRY
    )


def _counter(name: str, text: str, labels=()) -> Counter:
    return Counter(f"{_PREFIX}{name}", text, labels, registry=REGISTRY)


_LATENCY = exponential(10, 1.8, 33)
_SIZE = exponential(1, 2, 14)

REQUEST_COUNT = _counter(
    "request_count", "The total number of requests.", ("model_name", "status")
)
REQUEST_LATENCY = _histogram(
    "request_latency",
    "Distribution of wall time (in microseconds) for TensorFlow Serving "
    "request.",
    ("model_name", "API", "entrypoint"),
    _LATENCY,
)
RUNTIME_LATENCY = _histogram(
    "runtime_latency",
    "Distribution of wall time (in microseconds) for TensorFlow runtime.",
    ("model_name", "API", "runtime"),
    _LATENCY,
)
EXAMPLE_COUNTS = _histogram(
    "request_example_counts",
    "The number of tensorflow.Examples per request.",
    ("model",),
    exponential(1, 2, 15),
)
EXAMPLE_COUNT_TOTAL = _counter(
    "request_example_count_total",
    "The total number of tensorflow.Examples.",
    ("model",),
)
WARMUP_LATENCY = _histogram(
    "model_warmup_latency",
    "Distribution of wall time (in microseconds) for warming up the model.",
    ("model_path", "status"),
    _LATENCY,
)
WARMUP_RECORDS_READ = _counter(
    "model_warmup_records_read",
    "The number of warm-up records read.",
    ("model_path",),
)
QUEUING_LATENCY = _histogram(
    "batching_session:queuing_latency",
    "Distribution of wall time spent (in microseconds) in queuing",
    ("thread_pool_name",),
    exponential(100, 1.2, 52),
)
WRAPPED_RUN_COUNT = _counter(
    "batching_session:wrapped_run_count",
    "Total count of run calls on the wrapped session",
)
INPUT_BATCH_SIZE = _histogram(
    "batching_session:input_batch_size",
    "Tracks the batch size distribution on the inputs.",
    (),
    _SIZE,
)
PROCESSED_BATCH_SIZE = _histogram(
    "batching_session:processed_batch_size",
    "Tracks the batch size distribution on processing.",
    (),
    _SIZE,
)
PADDING_SIZE = _histogram(
    "batching_session:padding_size",
    "Tracks the padding size distribution on batches.",
    ("execution_batch_size",),
    _SIZE,
)
_COUNTERS_WITHOUT_TOTAL = (
    "request_count",
    "model_warmup_records_read",
    "batching_session:wrapped_run_count",
)


def request(
    repository: Repository, model: str, api: str, entrypoint: str
) -> contextlib.AbstractContextManager[None]:
    """Count a request, and time it if it succeeds.

    Models that do not exist count as one, without a name, so that the table
    does not grow with what clients think of.

    Args:
        repository: which models there are.
        model: the one asked for.
        api: "Predict" and the like.
        entrypoint: "GRPC" or "REST".
    """
    known = model if repository.versions(model) else ""

    def record(status: str, duration: float) -> None:
        REQUEST_COUNT.labels(known, status).inc()
        if status == "OK":
            REQUEST_LATENCY.labels(known, api, entrypoint).observe(duration)

    return _timed(record)


def runtime(model: str, api: str) -> contextlib.AbstractContextManager[None]:
    """Time a run of the model, unless it fails."""

    def record(status: str, duration: float) -> None:
        if status == "OK":
            RUNTIME_LATENCY.labels(model, api, "TF1").observe(duration)

    return _timed(record)


def warmup(path: str) -> contextlib.AbstractContextManager[None]:
    """Time the warm-up of a version, and note how it ends."""
    return _timed(
        lambda status, duration: WARMUP_LATENCY.labels(path, status).observe(
            duration
        )
    )


def examples(model: str, count: int) -> None:
    """Count the examples of a request."""
    EXAMPLE_COUNTS.labels(model).observe(count)
    EXAMPLE_COUNT_TOTAL.labels(model).inc(count)


def microseconds_since(start: float) -> float:
    """The time since a reading of `time.perf_counter`."""
    return (time.perf_counter() - start) * 1e6


@contextlib.contextmanager
def _timed(record: Callable[[str, float], None]) -> Iterator[None]:
    start = time.perf_counter()
    status = "UNKNOWN"
    try:
        yield
        status = "OK"
    except StatusError as error:
        status = error.code.name
        raise
    finally:
        record(status, microseconds_since(start))


def page() -> str:
    """All counts, in Prometheus' text format."""
    text = generate_latest(REGISTRY).decode()
    for name in _COUNTERS_WITHOUT_TOTAL:
        text = text.replace(f"{_PREFIX}{name}_total", f"{_PREFIX}{name}")
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not _CREATED.match(line))

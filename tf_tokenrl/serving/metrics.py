"""What is counted, under the stock server's names, for Prometheus.

The counts are those of the process, as in the real server. Times are in
microseconds.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from tf_tokenrl.serving.status import StatusError

REGISTRY = CollectorRegistry()
_SERVING = ":tensorflow:serving:"
_TENSORFLOW = ":tensorflow:"


def exponential(scale: float, power: float, count: int) -> list[float]:
    """The limits of a histogram's buckets: `scale * power^i`."""
    return [float(f"{scale * power**i:g}") for i in range(count)]


def _histogram(
    name: str, text: str, labels, buckets, prefix: str = _SERVING
) -> Histogram:
    return Histogram(
        f"{prefix}{name}", text, labels, buckets=buckets, registry=REGISTRY
    )


def _counter(
    name: str, text: str, labels=(), prefix: str = _SERVING
) -> Counter:
    return Counter(f"{prefix}{name}", text, labels, registry=REGISTRY)


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
LOAD_ATTEMPT_COUNT = _counter(
    "cc:saved_model:load_attempt_count",
    "The number of times a SavedModel was loaded, or was not.",
    ("model_path", "status"),
    _TENSORFLOW,
)
LOAD_LATENCY = _counter(
    "cc:saved_model:load_latency",
    "Latency in microseconds for SavedModels that were successfully loaded.",
    ("model_path",),
    _TENSORFLOW,
)
GRAPH_RUNS = _counter(
    "core:graph_runs",
    "The number of graph executions used to collect graph_run_time_usecs.",
    prefix=_TENSORFLOW,
)
GRAPH_RUN_TIME = _counter(
    "core:graph_run_time_usecs",
    "The total time spent on executing graphs in microseconds.",
    prefix=_TENSORFLOW,
)
GRAPH_RUN_TIMES = _histogram(
    "core:graph_run_time_usecs_histogram",
    "The wall-clock time spent on executing graphs in microseconds.",
    (),
    exponential(1000, 2, 20),
    _TENSORFLOW,
)
_COUNTERS_WITHOUT_TOTAL = (
    f"{_SERVING}request_count",
    f"{_SERVING}model_warmup_records_read",
    f"{_SERVING}batching_session:wrapped_run_count",
    f"{_TENSORFLOW}cc:saved_model:load_attempt_count",
    f"{_TENSORFLOW}cc:saved_model:load_latency",
    f"{_TENSORFLOW}core:graph_runs",
    f"{_TENSORFLOW}core:graph_run_time_usecs",
)


def request(
    model: str, api: str, entrypoint: str
) -> contextlib.AbstractContextManager[None]:
    """Count a request, and time it if it succeeds.

    Args:
        model: the one asked for; "" for any that does not exist, so that the
            table does not grow with what clients think of.
        api: "Predict" and the like.
        entrypoint: "GRPC" or "REST".
    """

    def record(status: str, duration: float) -> None:
        REQUEST_COUNT.labels(model, status).inc()
        if status == "OK":
            REQUEST_LATENCY.labels(model, api, entrypoint).observe(duration)

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


def load(path: str) -> contextlib.AbstractContextManager[None]:
    """Count a SavedModel that is loaded, and time it if that succeeds."""

    def record(status: str, duration: float) -> None:
        ended = "success" if status == "OK" else "fail"
        LOAD_ATTEMPT_COUNT.labels(path, ended).inc()
        if status == "OK":
            LOAD_LATENCY.labels(path).inc(int(duration))

    return _timed(record)


def graph_run() -> contextlib.AbstractContextManager[None]:
    """Count and time a run of a graph, unless it fails."""

    def record(status: str, duration: float) -> None:
        if status == "OK":
            GRAPH_RUNS.inc()
            GRAPH_RUN_TIME.inc(int(duration))
            GRAPH_RUN_TIMES.observe(duration)

    return _timed(record)


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
    """All counts, in Prometheus' text format.

    Labels stand in the stock server's order, where `prometheus_client` would
    sort them: its own tests, and dashboards, look for the whole text.
    """
    return "".join(_lines(family) for family in REGISTRY.collect())


def _lines(family: Metric) -> str:
    name, kind = family.name, family.type
    if kind == "counter" and name not in _COUNTERS_WITHOUT_TOTAL:
        name += "_total"
    lines = [f"# HELP {name} {family.documentation}", f"# TYPE {name} {kind}"]
    for sample in family.samples:
        if sample.name.endswith("_created"):
            continue
        labels = ",".join(
            f'{label}="{_escaped(value)}"'
            for label, value in sample.labels.items()
        )
        which = name if kind == "counter" else sample.name
        labels = f"{{{labels}}}" if labels else ""
        lines.append(f"{which}{labels} {floatToGoString(sample.value)}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    for plain, written in (("\\", "\\\\"), ("\n", "\\n"), ('"', '\\"')):
        value = value.replace(plain, written)
    return value

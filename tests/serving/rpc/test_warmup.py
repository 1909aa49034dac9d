"""Records that run before a version is available."""

import functools

import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tests.support import reloading, served
from tests.support.asking import X, ask, examples, failure, spec
from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.rpc.warmup import warm_up


def predict_log(signature="", **inputs):
    log = PredictionLog()
    log.predict_log.request.CopyFrom(ask(signature, **inputs))
    return log


def judge_logs():
    classify, regress, both = (PredictionLog() for _ in range(3))
    request = classify.classify_log.request
    request.model_spec.CopyFrom(spec("any"))
    request.input.CopyFrom(examples(1.0))
    request = regress.regress_log.request
    request.model_spec.CopyFrom(spec("any", "regress"))
    request.input.CopyFrom(examples(1.0))
    request = both.multi_inference_log.request
    request.tasks.add(
        model_spec=spec("any"), method_name="tensorflow/serving/classify"
    )
    request.input.CopyFrom(examples(1.0))
    return [classify, regress, both]


def write(version, records):
    """Records, or bytes that are none, where a version has them."""
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir(exist_ok=True)
    if isinstance(records, bytes):
        file.write_bytes(records)
        return file
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            if not isinstance(record, bytes):
                record = record.SerializeToString()
            writer.write(record)
    return file


class Counting(Servable):
    """Counts its runs."""

    runs = 0

    def run(self, *arguments):
        self.runs += 1
        return super().run(*arguments)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    @functools.cache
    def loaded(kind):
        base = served.put(tmp_path_factory.mktemp(kind), 1, kind)
        return Counting(str(base / "1"), ["serve"], tf.compat.v1.ConfigProto())

    yield loaded
    for kind in ("half", "judge"):
        loaded(kind).close()


@pytest.fixture
def warm(tmp_path, load):
    """Warm a servable up with records; how often did it run?"""

    def warmed(records, kind="half", **flags):
        write(tmp_path, records)
        servable = load(kind)
        servable.runs = 0
        warm_up(servable, str(tmp_path), Flags(**flags))
        return servable.runs

    return warmed


def test_every_record_runs(warm):
    assert warm([predict_log(x=X), predict_log("shout", text=[b"a"])]) == 2
    assert warm(judge_logs(), "judge") == 3


def test_as_often_as_the_flag_says_or_not_at_all(warm):
    records = [predict_log(x=X), PredictionLog()]
    assert warm(records, num_request_iterations_for_warmup=3) == 3
    assert warm(records, enable_model_warmup=False) == 0


def test_no_file_is_no_fault(load, tmp_path):
    warm_up(load("half"), str(tmp_path), Flags())


def test_a_thousand_records_are_read(warm):
    assert warm([PredictionLog()] * 999 + [predict_log(x=X)]) == 1


# On the wire: a version whose records fail is not served.


def other_log(kind):
    log = PredictionLog()
    getattr(log, kind).SetInParent()
    return log


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with reloading.running(tmp_path_factory.mktemp("warm")) as made:
        yield made


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            [predict_log("nosuch")],
            'FAILED_PRECONDITION: Serving signature key "nosuch" not found.',
        ),
        (
            b"a line that is no record\n",
            "DATA_LOSS: corrupted record at 0 (Is this even a TFRecord "
            "file?). Please verify your warmup data is in TFRecord format.",
        ),
        (
            [b"\xff\xff"],
            "INVALID_ARGUMENT: Failed to parse warmup record from {file}",
        ),
        (
            [other_log("session_run_log")],
            "UNIMPLEMENTED: Unsupported log_type for warmup: 5",
        ),
        (
            [other_log("predict_streamed_log")],
            "UNIMPLEMENTED: Unsupported log_type for warmup: 7",
        ),
        (
            [other_log("multi_inference_log")],
            "INVALID_ARGUMENT: MultiInferenceRequest has no tasks.",
        ),
        (
            [PredictionLog()] * 1001,
            "INVALID_ARGUMENT: Number of warmup records exceeds the maximum "
            "(1000) at {file}",
        ),
    ],
)
def test_a_record_that_fails_fails_the_load(running, records, message):
    name = f"model-{len(list(running.folder.iterdir()))}"
    base = served.put(running.folder / name, 3)
    file = write(base / "3", records)
    error = message.format(file=file)
    assert running.refusal(reloading.listing(running.folder, name)) == (
        "UNKNOWN",
        f"1 model(s) did not become available: {{{{{{name: {name} version: 3}} "
        f"due to error: {error}}}, }}",
    )
    assert failure(running.predict, ask(name=name, x=X)) == (
        "NOT_FOUND",
        f"Servable not found for request: Latest({name})",
    )
    assert running.states(name) == {3: "END"}

"""Requests that a version answers before anybody else may ask it."""

import logging
from collections.abc import Iterator

import grpc
from google.protobuf.message import DecodeError
from tensorflow.errors import DataLossError
from tensorflow.io import gfile

# What reads TFRecords in public says by itself that it is deprecated, or
# needs a graph.
from tensorflow.python.lib.io._pywrap_record_io import RecordIterator
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tf_tokenrl.serving import metrics
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.rpc import classify, multi_inference, predict, regress
from tf_tokenrl.serving.status import StatusError, invalid

logger = logging.getLogger(__name__)
_FILE = "assets.extra/tf_serving_warmup_requests"
_MOST_RECORDS = 1000
_RUNS = {
    "classify_log": classify.run,
    "multi_inference_log": multi_inference.run,
    "predict_log": predict.run,
    "regress_log": regress.run,
}


def warm_up(servable: Servable, path: str, flags: Flags) -> None:
    """Run the requests of `assets.extra/tf_serving_warmup_requests`.

    Args:
        servable: what `path` holds, loaded.
        flags: how often each request runs, and whether any does.

    Raises:
        StatusError: the file is no TFRecord file of PredictionLogs, has more
            than 1000, or one fails.
    """
    file = f"{path}/{_FILE}"
    if not flags.enable_model_warmup or not gfile.exists(file):
        return
    count = 0
    with metrics.warmup(path):
        for count, log in enumerate(_logs(file), start=1):
            for _ in range(max(flags.num_request_iterations_for_warmup, 1)):
                _run(servable, log, flags)
            metrics.WARMUP_RECORDS_READ.labels(path).inc()
            if count > _MOST_RECORDS:
                raise invalid(
                    "Number of warmup records exceeds the maximum "
                    f"({_MOST_RECORDS}) at {file}"
                )
    logger.info(
        "Finished reading warmup data for model at %s. Number of warmup "
        "records read: %d.",
        file,
        count,
    )


def _logs(file: str) -> Iterator[PredictionLog]:
    try:
        for record in RecordIterator(file, ""):
            yield PredictionLog.FromString(record)
    except DataLossError as error:
        raise StatusError(
            grpc.StatusCode.DATA_LOSS,
            f"{error.message}. Please verify your warmup data is in TFRecord "
            "format.",
        ) from error
    except DecodeError as error:
        raise invalid(f"Failed to parse warmup record from {file}") from error


def _run(servable: Servable, log: PredictionLog, flags: Flags) -> None:
    kind = log.WhichOneof("log_type")
    if kind in _RUNS:
        _RUNS[kind](servable, getattr(log, kind).request, flags)
    elif kind is not None:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise StatusError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Unsupported log_type for warmup: {number}",
        )

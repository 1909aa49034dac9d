"""Warm-up records: requests that a server runs before it shows a version.

TensorFlow plans and allocates at the first requests of each shape; with these
records a new version does so before users come to it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

FILE = "tf_serving_warmup_requests"  # the name that TensorFlow Serving reads
BATCHES = (1, 8)
_OPTIONS = {
    "seed": 0,
    "temperature": 1.0,
    "max_new_tokens": 2,
    "top_k": 8,
    "top_p": 0.9,
}
_TEXTS = ("prompt", "answer", "text")
_WORD = "a "  # at least one token however texts are split


def write(
    policy, name: str, signatures: Mapping[str, tf.Graph], folder: Path
) -> None:
    """Write one record per signature, batch size and prompt length.

    Args:
        policy: whose longest prompt counts.
        name: of the model in the requests.
        signatures: those of the SavedModel, as concrete functions; one with
            an input that no user gives (a state, say) is left out.
        folder: `assets.extra` of the version.
    """
    with tf.io.TFRecordWriter(str(folder / FILE)) as file:
        for signature, function in signatures.items():
            specs = tf.nest.flatten(function.structured_input_signature)
            for request in _requests(policy, specs):
                request.model_spec.name = name
                request.model_spec.signature_name = signature
                log = PredictionLog()
                log.predict_log.request.CopyFrom(request)
                file.write(log.SerializeToString())


def _requests(policy, specs: list[tf.TensorSpec]) -> Iterator[PredictRequest]:
    if {spec.name for spec in specs} - {*_OPTIONS, *_TEXTS}:
        return
    for rows in BATCHES:
        for words in (1, policy.max_prompt_tokens):
            request = PredictRequest()
            for spec in specs:
                value = _OPTIONS.get(spec.name, (_WORD * words).encode())
                request.inputs[spec.name].CopyFrom(
                    tf.make_tensor_proto(value, spec.dtype, [rows])
                )
            yield request

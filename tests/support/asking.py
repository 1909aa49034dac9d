"""Requests to a running server, and what it says when it refuses them."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest

SECONDS = 60  # far more than anything takes, on a busy machine too
X = np.float32([[1.0], [2.0]])


def ask(signature="", outputs=(), name="half", **inputs):
    """A PredictRequest."""
    request = PredictRequest(output_filter=outputs)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        if not isinstance(value, TensorProto):
            value = tf.make_tensor_proto(value)
        request.inputs[alias].CopyFrom(value)
    return request


def with_version(request, version=0, label=""):
    if label:
        request.model_spec.version_label = label
    else:
        request.model_spec.version.value = version
    return request


def spec(name, signature="", version=None):
    made = ModelSpec(name=name, signature_name=signature)
    if version is not None:
        made.version.value = version
    return made


def example(**features):
    """A tf.Example of float features."""
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def examples(*values, context=None):
    """An Input with one example, of one feature "x", per value."""
    rows = [example() if v is None else example(x=v) for v in values]
    made = Input()
    if context is None:
        made.example_list.examples.extend(rows)
    else:
        made.example_list_with_context.examples.extend(rows)
        made.example_list_with_context.context.CopyFrom(example(x=context))
    return made


def failure(method, request, seconds=SECONDS):
    """The name of the code and the text that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=seconds)
    return caught.value.code().name, caught.value.details()

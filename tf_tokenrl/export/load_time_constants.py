"""What is made of weights once, when a SavedModel is loaded."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_tokenrl.runtime.tracing import concrete

_ALIGNED = 64  # bytes; a stretch of memory that begins so is never copied


class Prepared(tf.saved_model.experimental.TrackableResource):
    """Tensors computed of a model's weights as soon as these are loaded.

    A SavedModel stores the weights alone. What is prepared of them is a
    resource, as a table is: a server fills it before it shows the version,
    and graphs read it where they would otherwise prepare at every call. It
    takes memory, and nothing on disk.

    Args:
        prepare: computes a structure of tensors, all of one dtype, whose
            shapes are known.
        name: no other resource of the SavedModel has it.
    """

    def __init__(self, prepare: Callable[[], Any], name: str):
        super().__init__()
        self._name = name
        self._prepare = prepare
        traced = concrete(prepare)
        self._like = traced.structured_outputs
        (self._dtype,) = {x.dtype for x in tf.nest.flatten(self._like)}
        self._unit = _ALIGNED // self._dtype.size

    def read(self) -> Any:
        """The structure that was prepared."""
        whole = tf.raw_ops.ReadVariableOp(
            resource=self.resource_handle, dtype=self._dtype
        )
        parts, start = [], 0
        for tensor in tf.nest.flatten(self._like):
            size = int(np.prod(tensor.shape))
            part = tf.slice(whole, tf.constant([start], tf.int64), [size])
            parts.append(tf.reshape(part, tensor.shape))
            start += size + self._missing(size)
        return tf.nest.pack_sequence_as(self._like, parts)

    def _missing(self, size: int) -> int:
        return -size % self._unit

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(
            dtype=self._dtype, shape=[None], shared_name=self._name
        )

    def _initialize(self) -> None:
        flat = []
        for tensor in tf.nest.flatten(self._prepare()):
            tensor = tf.reshape(tensor, [-1])
            missing = self._missing(tensor.shape[0])
            flat += [tensor, tf.zeros([missing], self._dtype)]
        tf.raw_ops.AssignVariableOp(
            resource=self.resource_handle, value=tf.concat(flat, axis=0)
        )

    def _destroy_resource(self) -> None:
        tf.raw_ops.DestroyResourceOp(
            resource=self.resource_handle, ignore_lookup_error=True
        )

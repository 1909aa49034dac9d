"""The input of Classify, Regress and MultiInference: tf.Examples."""

from collections.abc import Iterable, Sequence

import numpy as np
from tensorflow_serving.apis.input_pb2 import Input

from tf_tokenrl.serving import metrics
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import RequestContext
from tf_tokenrl.serving.status import invalid


def run(
    servable: Servable,
    given: Input,
    feeds: Iterable[str],
    fetches: Sequence[str],
    context: RequestContext,
    model: str,
    api: str,
) -> tuple[int, dict[str, np.ndarray]]:
    """Feed serialised examples to tensors, the same to each, and count them.

    Args:
        model: the name that metrics give to the servable,
        api: and to what is done.

    Returns:
        How many examples there were, and the arrays by the names of
        `fetches`.

    Raises:
        StatusError: there is no example, or the model fails.
    """
    examples = _serialized(given)
    with metrics.runtime(model, api):
        arrays = servable.run(dict.fromkeys(feeds, examples), fetches, context)
    metrics.examples(model, len(examples))
    return len(examples), dict(zip(fetches, arrays, strict=True))


def _serialized(given: Input) -> np.ndarray:
    """The examples as strings, `[B]`.

    A context goes before each example in one serialisation: where both have
    a feature, the example's comes last and counts.
    """
    context = b""
    if given.WhichOneof("kind") == "example_list_with_context":
        context = given.example_list_with_context.context.SerializeToString()
        examples = given.example_list_with_context.examples
    else:
        examples = given.example_list.examples
    if not examples:
        raise invalid("Input is empty.")
    return np.array(
        [context + example.SerializeToString() for example in examples],
        dtype=object,
    )

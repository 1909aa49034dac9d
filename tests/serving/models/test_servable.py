import numpy as np
import pytest
import tensorflow as tf

from tests.support import served
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import Cancellation, RequestContext
from tf_tokenrl.serving.status import StatusError


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("half"), 1)
    servable = Servable(str(base / "1"), ["serve"], tf.compat.v1.ConfigProto())
    yield servable
    servable.close()


def run(servable, name, context, **inputs):
    signature = servable.signatures[name]
    feeds = {signature.inputs[k].name: v for k, v in inputs.items()}
    names = sorted(signature.outputs)
    arrays = servable.run(
        feeds, [signature.outputs[alias].name for alias in names], context
    )
    return dict(zip(names, arrays, strict=True))


BAD = {"a": np.float32([1, 2]), "b": np.float32([1, 2, 3])}


def test_a_run_that_can_be_ended_gives_the_same(half):
    x = np.float32([[1.0]])
    for context in (
        RequestContext(),
        RequestContext(0, Cancellation()),
        RequestContext(20_000, Cancellation()),
    ):
        assert run(half, "serving_default", context, x=x)["y"] == 2.5


def test_a_run_that_can_be_ended_fails_alike(half):
    texts = set()
    for context in (
        RequestContext(),
        RequestContext(0, Cancellation()),
        RequestContext(20_000, Cancellation()),
    ):
        with pytest.raises(StatusError) as caught:
            run(half, "subtract", context, **BAD)
        texts.add(str(caught.value))
    (text,) = texts
    assert text.startswith("INVALID_ARGUMENT") and "[2] vs. [3]" in text


def test_a_caller_that_has_gone_already_gets_nothing(half):
    gone = Cancellation()
    gone.cancel()
    with pytest.raises(StatusError) as caught:
        run(
            half,
            "spin",
            RequestContext(20_000, gone),
            count=np.int32([2**31 - 1]),
        )
    assert str(caught.value) == "CANCELLED: Cancelled"


def test_ended_and_failed_runs_leave_nothing_to_later_ones(half):
    """More of them than there are queues."""
    x = np.float32([[1.0]])
    for _ in range(70):
        gone = Cancellation()
        gone.cancel()
        with pytest.raises(StatusError, match="Cancelled"):
            run(half, "serving_default", RequestContext(0, gone), x=x)
        with pytest.raises(StatusError, match="Incompatible shapes"):
            run(half, "subtract", RequestContext(0, Cancellation()), **BAD)
    assert len(half._interruption._free) == 64
    sums = run(
        half,
        "subtract",
        RequestContext(0, Cancellation()),
        a=BAD["a"],
        b=BAD["a"],
    )
    assert sums["sum"].tolist() == [2, 4]


def test_a_tag_that_is_not_there(tmp_path):
    base = served.put(tmp_path, 1)
    with pytest.raises(StatusError, match="could not be found in SavedModel"):
        Servable(str(base / "1"), ["train"], tf.compat.v1.ConfigProto())

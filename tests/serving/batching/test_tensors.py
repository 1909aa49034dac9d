import numpy as np
import pytest

from tf_tokenrl.serving.batching import tensors
from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.batching.task import Task
from tf_tokenrl.serving.request_context import UNLIMITED
from tf_tokenrl.serving.status import StatusError

PADDED = Options(pad_variable_length_inputs=True)


def task(**feeds):
    return Task(feeds, ["y"], UNLIMITED)


def failure(call, *arguments):
    with pytest.raises(StatusError) as caught:
        call(*arguments)
    return caught.value.code.name, caught.value.text


def test_rows_follow_each_other():
    tasks = [
        task(x=np.float32([[1], [2]]), s=np.array([b"a", b"b"], object)),
        task(x=np.float32([[3]]), s=np.array([b"cc"], object)),
    ]
    feeds = tensors.joined(tasks, Options())
    assert feeds["x"].tolist() == [[1], [2], [3]]
    assert feeds["s"].tolist() == [b"a", b"b", b"cc"]
    parts = tensors.divided({"y": np.arange(3)}, tasks, 3)
    assert [part["y"].tolist() for part in parts] == [[0, 1], [2]]


def test_padding_to_an_allowed_size_repeats_the_last_task():
    options = Options(max_batch_size=4, allowed_batch_sizes=(4,))
    tasks = [task(x=np.int32([1])), task(x=np.int32([2, 3]))]
    assert tensors.joined(tasks, options)["x"].tolist() == [1, 2, 3, 2]
    parts = tensors.divided({"y": np.arange(4)}, tasks, 4)
    assert [part["y"].tolist() for part in parts] == [[0], [1, 2]]


def test_unequal_shapes():
    tasks = [task(x=np.zeros([1, 2])), task(x=np.zeros([1, 3]))]
    assert failure(tensors.joined, tasks, Options()) == (
        "FAILED_PRECONDITION",
        "Tensors with name 'x' from different tasks have different shapes and "
        "padding is turned off. Set pad_variable_length_inputs to true, or "
        "ensure that all tensors with the same name have equal dimensions "
        "starting with the first dim.",
    )
    ranks = [task(x=np.zeros([1])), task(x=np.zeros([1, 3]))]
    assert failure(tensors.joined, ranks, PADDED)[0] == "FAILED_PRECONDITION"


def test_unequal_shapes_are_padded_with_their_first_value():
    tasks = [
        task(x=np.int32([[5, 6]]), s=np.array([[b"a"]], object)),
        task(x=np.int32([[7, 8, 9]]), s=np.array([[b"b", b"c"]], object)),
    ]
    feeds = tensors.joined(tasks, PADDED)
    assert feeds["x"].tolist() == [[5, 6, 5], [7, 8, 9]]
    assert feeds["s"].tolist() == [[b"a", b"a"], [b"b", b"c"]]


def test_what_cannot_be_padded():
    tasks = [task(x=np.zeros([1, 0])), task(x=np.zeros([1, 2]))]
    assert failure(tensors.joined, tasks, PADDED) == (
        "INVALID_ARGUMENT",
        "Got empty tensor in batch of non-empty tensors.",
    )
    high = [task(x=np.zeros([1] * 6 + [n])) for n in (1, 2)]
    assert failure(tensors.joined, high, PADDED) == (
        "INVALID_ARGUMENT",
        "Only tensors with rank from 1 to 6 can be padded.",
    )


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        (
            {"x": np.float32(1)},
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            {"x": np.zeros([2]), "y": np.zeros([3])},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_inputs_that_have_no_rows(feeds, text):
    assert failure(tensors.check, feeds) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"text", "Batched output tensor has 0 dimensions"),
        (
            np.zeros([2]),
            "Batched output tensor's 0th dimension does not equal the sum of "
            "the 0th dimension sizes of the input tensors",
        ),
    ],
)
def test_outputs_that_have_other_rows(value, text):
    one = task(x=np.zeros([1]))
    assert failure(tensors.divided, {"y": value}, [one], 1) == (
        "FAILED_PRECONDITION",
        text,
    )

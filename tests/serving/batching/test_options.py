import os

import pytest
from google.protobuf import text_format

from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.schema import BatchingParameters
from tf_tokenrl.serving.status import StatusError


def of(text):
    return Options.of(text_format.Parse(text, BatchingParameters()))


def test_defaults_are_those_of_the_real_server():
    assert of("") == Options(
        max_batch_size=1000,
        batch_timeout_micros=0,
        max_enqueued_batches=10,
        num_batch_threads=os.cpu_count(),
    )


def test_a_whole_file():
    options = of(
        "max_batch_size { value: 8 } batch_timeout_micros { value: 100 } "
        "max_enqueued_batches { value: 3 } num_batch_threads { value: 2 } "
        'thread_pool_name { value: "pool" } allowed_batch_sizes: 2 '
        "allowed_batch_sizes: 4 pad_variable_length_inputs: true "
        "enable_large_batch_splitting { value: true } "
        "max_execution_batch_size { value: 4 }"
    )
    assert options == Options(8, 100, 3, 2, "pool", (2, 4), True, True, 4)
    assert options.execution_size == 4


def test_padding_goes_to_the_next_allowed_size():
    options = Options(max_batch_size=8, allowed_batch_sizes=(2, 4, 8))
    assert [options.padded(n) for n in (1, 2, 3, 4, 5, 8)] == [2, 2, 4, 4, 8, 8]
    assert Options().padded(5) == 5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be positive"),
        ("max_enqueued_batches { }", "max_enqueued_batches must be positive"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be"),
        ("batch_timeout_micros { value: -1 }", "must be non-negative; was -1"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; "
            "last entry was 4; expected 8",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 4 "
            "allowed_batch_sizes: 4",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 8 "
            "enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 4 }",
            "must be equal to max_execution_batch_size; last entry was 8; "
            "expected 4",
        ),
        (
            "max_batch_size { value: 8 } max_execution_batch_size { value: 9 } "
            "enable_large_batch_splitting { value: true }",
            "max_batch_size must be greater than or equal to",
        ),
    ],
)
def test_sizes_that_contradict_each_other(text, sentence):
    with pytest.raises(StatusError) as caught:
        of(text)
    assert sentence in caught.value.text

import logging

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, parse


def test_defaults_are_those_of_the_real_server_on_loopback():
    flags = parse([])
    assert flags == Flags()
    assert (flags.port, flags.model_name) == (8500, "default")
    assert flags.host == "127.0.0.1"
    assert flags.load_retry_interval_micros == 60_000_000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port=9000", "--model_name=m"],
        ["--port", "9000", "--model_name", "m"],
    ],
)
def test_values_after_an_equals_sign_or_a_space(arguments):
    assert parse(arguments) == Flags(port=9000, model_name="m")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("", True),
        ("=true", True),
        ("=1", True),
        ("=false", False),
        ("=0", False),
    ],
)
def test_booleans(argument, value):
    flags = parse([f"--xla_cpu_compilation_enabled{argument}"])
    assert flags.xla_cpu_compilation_enabled is value


def test_flags_not_acted_on_are_named_in_one_warning(caplog):
    arguments = ["--prefer_tflite_model", "--mixed_precision=a", "--port=1"]
    with caplog.at_level(logging.WARNING):
        assert parse(arguments) == Flags(port=1)
    (record,) = caplog.records
    assert "--mixed_precision, --prefer_tflite_model" in record.getMessage()


def test_nothing_is_said_of_flags_that_are_switched_off(caplog):
    parse(["--prefer_tflite_model=false", "--num_tflite_pools=0"])
    parse(["--use_alts_credentials=false"])
    assert not caplog.records


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--prot=1", 'Unknown flag "--prot". Did you mean "--port"?'),
        ("--port=many", "--port: invalid int value: 'many'"),
        ("--port=70000", "is no port"),
        ("--rest_api_port=-2", "-1 for a free one"),
        ("--max_num_load_retries=-1", "must be from 0 to"),
        ("--xla_cpu_compilation_enabled=maybe", "neither true nor false"),
        ("--use_alts_credentials", "knows no ALTS"),
        ("models", 'Unknown flag "models"'),
    ],
)
def test_bad_flags(argument, sentence):
    with pytest.raises(TokenRLError) as caught:
        parse([argument])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "flag",
    [
        "--per_process_gpu_memory_fraction=nan",
        "--per_process_gpu_memory_fraction=-0.5",
        "--per_process_gpu_memory_fraction=inf",
        "--rest_api_timeout_in_ms=-1",
        "--file_system_poll_wait_seconds=-1",
        "--load_retry_interval_micros=9223372036854775808",
        "--streaming_queue=-1",
        "--port=65536",
        "--rest_api_port=8500",
        "--rest_api_port=-2",
        "--max_num_load_retries=1.5",
    ],
)
def test_numbers_out_of_range_are_refused_by_name(flag):
    with pytest.raises(TokenRLError, match=flag.partition("=")[0]):
        parse([flag])

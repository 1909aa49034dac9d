import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import schema


def read(tmp_path, text, message):
    path = tmp_path / "file.config"
    path.write_text(text)
    return schema.read(str(path), message(), "some_flag")


def test_an_ssl_config(tmp_path):
    text = 'server_key: "k\\n" server_cert: "c" client_verify: true'
    ssl = read(tmp_path, text, schema.SSLConfig)
    assert (ssl.server_key, ssl.server_cert) == ("k\n", "c")
    assert ssl.client_verify and not ssl.custom_ca


def test_batching_parameters(tmp_path):
    text = """
        max_batch_size { value: 32 }
        allowed_batch_sizes: 8 allowed_batch_sizes: 32
        pad_variable_length_inputs: true
        thread_pool_name { value: "batches" }
        enable_large_batch_splitting { value: true }
    """
    batching = read(tmp_path, text, schema.BatchingParameters)
    assert batching.max_batch_size.value == 32
    assert list(batching.allowed_batch_sizes) == [8, 32]
    assert batching.thread_pool_name.value == "batches"
    assert not batching.HasField("batch_timeout_micros")


def test_a_monitoring_config(tmp_path):
    text = 'prometheus_config { enable: true path: "/metrics" }'
    prometheus = read(tmp_path, text, schema.MonitoringConfig).prometheus_config
    assert prometheus.enable and prometheus.path == "/metrics"


def test_what_cannot_be_used_is_one_sentence(tmp_path):
    with pytest.raises(
        TokenRLError,
        match="text-format tensorflow.serving.SSLConfig in .*: 1:1",
    ):
        read(tmp_path, "server_kye: 1", schema.SSLConfig)
    with pytest.raises(TokenRLError, match='--some_flag "/no/file": No such'):
        schema.read("/no/file", schema.SSLConfig(), "some_flag")

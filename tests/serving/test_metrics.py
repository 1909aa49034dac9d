"""The page as a Prometheus server would read it."""

import numpy as np
import pytest
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest

from tests.support import served
from tests.support.asking import SECONDS, X, ask, examples, failure, spec
from tests.support.rest_client import Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.status import StatusError


@pytest.fixture
def counts(client):
    """What has been added to each sample since the test began."""

    def read():
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families(client)
            for sample in family.samples
        }

    before = read()

    def added(name, **labels):
        full = name if name[0] == ":" else f":tensorflow:serving:{name}"
        key = (full, *sorted(labels.items()))
        return read()[key] - before.get(key, 0)

    return added


def families(client):
    code, text = client.ask("GET", "/counts")
    assert code == 200
    assert client.headers["content-type"].startswith("text/plain")
    return list(text_string_to_metric_families(text.decode()))


def test_requests_are_counted_wherever_they_come_in(counts, client, prediction):
    prediction.Predict(ask(x=X), timeout=SECONDS)
    client.post("half:predict", {"instances": [[1.0]]})
    client.post("half:predict", "?")
    failure(prediction.Predict, ask("nosuch"))
    count = "request_count_total"  # the parser's name for the plain one
    assert counts(count, model_name="half", status="OK") == 2
    invalid = counts(count, model_name="half", status="INVALID_ARGUMENT")
    missing = counts(count, model_name="half", status="FAILED_PRECONDITION")
    assert (invalid, missing) == (1, 1)
    latency = "request_latency_count"
    for api, entrypoint in (("Predict", "GRPC"), ("predict", "REST")):
        labels = {"model_name": "half", "API": api, "entrypoint": entrypoint}
        assert counts(latency, **labels) == 1
        assert counts("request_latency_sum", **labels) > 0
        assert counts("request_latency_bucket", **labels, le="+Inf") == 1
    labels = {"model_name": "half", "API": "Predict", "runtime": "TF1"}
    assert counts("runtime_latency_count", **labels) == 2


def test_examples_are_counted(counts, client, prediction):
    request = ClassificationRequest(
        model_spec=spec("judge"), input=examples(0.5, 0.25, 0.75)
    )
    prediction.Classify(request, timeout=SECONDS)
    request = {"signature_name": "regress", "examples": [{"x": 1.0}]}
    assert client.post("judge:regress", request)[0] == 200
    assert counts("request_example_count_total", model="judge") == 4
    assert counts("request_example_counts_count", model="judge") == 2
    assert counts("request_example_counts_bucket", model="judge", le="1.0") == 1


def test_names_that_clients_think_of_make_no_rows(counts, client, prediction):
    for name in ("unthought", "unheard", "unseen"):
        client.post(f"{name}:predict", {"instances": [1]})
    failure(prediction.Predict, ask(name="unknown"))
    assert counts("request_count_total", model_name="", status="NOT_FOUND") == 4
    text = client.ask("GET", "/counts")[1]
    assert b"unknown" not in text and b"unseen" not in text


def test_the_page_has_the_names_of_the_real_server(client, prediction):
    prediction.Predict(ask(x=X), timeout=SECONDS)
    text = client.ask("GET", "/counts")[1].decode()
    prefix, core = ":tensorflow:serving:", ":tensorflow:core:graph_run"
    loads = ":tensorflow:cc:saved_model:load_"
    assert f"# TYPE {core}s counter\n{core}s " in text
    assert f"# TYPE {loads}attempt_count counter\n" in text
    assert f"# TYPE {prefix}request_count counter\n" in text
    assert f'{prefix}request_count{{model_name="half",status="OK"}} ' in text
    assert f"# TYPE {prefix}request_latency histogram\n" in text
    labels = 'model_name="half",API="Predict",entrypoint="GRPC"'
    assert f"\n{prefix}request_latency_count{{{labels}}} " in text
    assert "_created" not in text and "request_count_total" not in text
    found = {family.name for family in families(client)}
    assert {
        f"{prefix}request_count",
        f"{prefix}request_latency",
        f"{prefix}runtime_latency",
        f"{prefix}request_example_counts",
        f"{prefix}request_example_count",
        f"{prefix}model_warmup_latency",
        f"{prefix}model_warmup_records_read",
        f"{prefix}batching_session:queuing_latency",
        f"{prefix}batching_session:wrapped_run_count",
        f"{loads}attempt_count",
        f"{loads}latency",
        f"{core}s",
        f"{core}_time_usecs",
        f"{core}_time_usecs_histogram",
    } <= found


def test_loads_are_counted_however_they_end(client, tmp_path):
    good = served.put(tmp_path / "good", 1) / "1"
    bad = served.put(tmp_path / "bad", 1) / "1"
    (bad / "saved_model.pb").write_bytes(b"no graph")
    Servable(str(good), ["serve"], tf.compat.v1.ConfigProto()).close()
    with pytest.raises(StatusError):
        Servable(str(bad), ["serve"], tf.compat.v1.ConfigProto())
    found = {
        (sample.labels["model_path"], sample.labels["status"]): sample.value
        for family in families(client)
        for sample in family.samples
        if family.name == ":tensorflow:cc:saved_model:load_attempt_count"
    }
    assert found[str(good), "success"] == found[str(bad), "fail"] == 1
    assert (str(good), "fail") not in found


def test_runs_of_graphs_are_counted(counts, prediction):
    prediction.Predict(ask(x=X), timeout=SECONDS)
    bad = ask("subtract", a=np.float32([1, 2]), b=np.float32([1, 2, 3]))
    failure(prediction.Predict, bad)
    core = ":tensorflow:core:graph_run"
    assert counts(f"{core}s_total") == 1
    assert counts(f"{core}_time_usecs_histogram_count") == 1
    assert counts(f"{core}_time_usecs_total") > 0


def test_only_that_path_has_the_page(client):
    assert client.ask("GET", "/monitoring/prometheus/metrics") == (404, b"")


def test_no_page_unless_enabled(tmp_path):
    base = served.put(tmp_path / "models", 1)
    config = tmp_path / "monitoring.config"
    config.write_text("prometheus_config { path: '/counts' }")
    flags = Flags(
        model_base_path=str(base),
        monitoring_config_file=str(config),
        port=0,
        rest_api_port=-1,
    )
    with Server(flags) as server:
        client = Client(server.http_port)
        assert client.ask("GET", "/counts") == (404, b"")
        client.close()
    config.write_text("prometheus_config { enable: true path: 'counts' }")
    with pytest.raises(TokenRLError, match='must begin with "/"'):
        Server(flags)
    config.write_text("prometheus_config { enabled: true }")
    with pytest.raises(
        TokenRLError, match="text-format tensorflow.serving.Monit"
    ):
        Server(flags)

"""The deployment files agree with each other and with the real flags."""

import re
from pathlib import Path

import pytest
import yaml

from tf_tokenrl.serving import parse

SERVING = Path(__file__).parents[2] / "serving"
MANIFESTS = sorted(SERVING.glob("kubernetes/*.yaml"))


def read(name):
    return yaml.safe_load((SERVING / name).read_text("utf-8"))


@pytest.fixture
def pod():
    return read("kubernetes/deployment.yaml")["spec"]["template"]


@pytest.fixture
def container(pod):
    (only,) = pod["spec"]["containers"]
    return only


@pytest.fixture
def compose():
    return read("docker-compose.yaml")["services"]["serving"]


def test_the_kustomization_names_files_that_exist():
    kustomization = read("kustomization.yaml")
    (config,) = kustomization["configMapGenerator"]
    for name in (*kustomization["resources"], *config["files"]):
        assert (SERVING / name).is_file()
        assert ".." not in name
    text = (SERVING / "kustomization.yaml").read_text("utf-8")
    switched_on = yaml.safe_load(
        re.sub(r"^# (?=components|  - )", "", text, flags=re.M)
    )
    (component,) = switched_on["components"]
    assert (SERVING / component / "kustomization.yaml").is_file()


def test_labels_select_the_pods(pod):
    labels = pod["metadata"]["labels"].items()
    deployment = read("kubernetes/deployment.yaml")["spec"]
    assert deployment["selector"]["matchLabels"].items() <= labels
    for name in ("service", "pods"):
        service = read(f"kubernetes/{name}.yaml")["spec"]
        assert service["selector"].items() <= labels
    policy = read("kubernetes/network.yaml")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels


def test_ports_agree(container, compose):
    named = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert named == {"grpc": 8500, "rest": 8501}
    for name in ("service", "pods"):
        for port in read(f"kubernetes/{name}.yaml")["spec"]["ports"]:
            assert named[port["targetPort"]] == port["port"]
    for rule in read("kubernetes/network.yaml")["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= named.keys()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (action,) = (
            container[probe][kind]
            for kind in ("httpGet", "tcpSocket")
            if kind in container[probe]
        )
        assert action["port"] in named
    for arguments in (container["args"], compose["command"]):
        assert "--port=8500" in arguments
        assert "--rest_api_port=8501" in arguments


def test_ports_are_published_on_loopback_only():
    for service in read("docker-compose.yaml")["services"].values():
        assert service["ports"]
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:")


def test_the_embedded_server_acts_on_every_flag(container, compose, caplog):
    assert container["args"] == compose["command"]
    flags = parse(container["args"])
    assert flags.model_config_file == "/config/models.config"
    assert flags.enable_batching
    assert not caplog.records


def test_the_files_in_the_flags_are_mounted(container, compose):
    mounted = {v.split(":")[1] for v in compose["volumes"]}
    (config,) = read("kustomization.yaml")["configMapGenerator"]
    for path in re.findall(r"/config/\S+", " ".join(container["args"])):
        assert path in mounted
        assert Path(path).name in config["files"]
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert mounts["config"] == "/config"
    assert mounts["savedmodels"] == "/models"
    assert "/models" in mounted


def test_every_volume_is_defined_and_claimed(pod, container):
    volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
    assert {m["name"] for m in container["volumeMounts"]} == set(volumes)
    claim = read("kubernetes/claim.yaml")["metadata"]["name"]
    upload = read("kubernetes/upload.yaml")["spec"]["volumes"]
    for volume in (volumes["savedmodels"], *upload):
        assert volume["persistentVolumeClaim"]["claimName"] == claim
    (config,) = read("kustomization.yaml")["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == config["name"]


def test_the_container_can_change_nothing(pod, container, compose):
    context = container["securityContext"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert all(
        mount.get("readOnly") or mount["name"] == "scratch"
        for mount in container["volumeMounts"]
    )
    for service in read("docker-compose.yaml")["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert all(volume.endswith(":ro") for volume in service["volumes"])


def test_one_pinned_image(container, compose):
    assert container["image"] == compose["image"]
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", compose["image"])


def test_probes_ask_for_a_configured_model(container, compose):
    names = re.findall(
        r'name: "(\w+)"', (SERVING / "models.config").read_text("utf-8")
    )
    status = f"/v1/models/{names[0]}"
    assert container["readinessProbe"]["httpGet"]["path"] == status
    assert status in compose["healthcheck"]["test"][-1]


def test_every_image_has_a_version():
    for service in read("docker-compose.yaml")["services"].values():
        assert re.fullmatch(r"\S+:v?\d+\.\d+\.\d+", service["image"])


def test_what_is_mounted_is_there():
    for service in read("docker-compose.yaml")["services"].values():
        for volume in service["volumes"]:
            assert (SERVING / volume.split(":")[0]).resolve().exists()


def test_tls_is_added_to_the_server_that_is_there(container):
    component = read("kubernetes/tls/kustomization.yaml")
    (patch,) = component["patches"]
    assert patch["target"] == {"kind": "Deployment", "name": "serving"}
    argument, mount, volume = (
        operation["value"] for operation in yaml.safe_load(patch["patch"])
    )
    assert argument == f"--ssl_config_file={mount['mountPath']}/ssl.config"
    assert mount["name"] == volume["name"]
    walkthrough = (SERVING / "tls.md").read_text("utf-8")
    secret = volume["secret"]["secretName"]
    assert f"secret generic {secret} --from-file=ssl.config" in walkthrough


def test_prometheus_asks_where_metrics_are(pod, compose):
    (job,) = read("prometheus.yaml")["scrape_configs"]
    notes = pod["metadata"]["annotations"]
    assert job["metrics_path"] == notes["prometheus.io/path"]
    assert f'path: "{job["metrics_path"]}"' in (
        SERVING / "monitoring.config"
    ).read_text("utf-8")
    port = notes["prometheus.io/port"]
    assert job["static_configs"] == [{"targets": [f"serving:{port}"]}]
    assert f"--rest_api_port={port}" in compose["command"]
    (source,) = read("grafana/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_the_autoscaler_reads_the_metric_that_the_adapter_makes():
    scaler = read("kubernetes/autoscaler.yaml")["spec"]
    (rule,) = read("kubernetes/adapter.yaml")["rules"]["custom"]
    (metric,) = scaler["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    assert scaler["scaleTargetRef"]["name"] == "serving"
    assert "replicas" not in read("kubernetes/deployment.yaml")["spec"]

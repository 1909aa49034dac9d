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
    (service,) = read("docker-compose.yaml")["services"].values()
    return service


@pytest.mark.parametrize(
    "path", [*MANIFESTS, SERVING / "kustomization.yaml"], ids=lambda p: p.name
)
def test_every_manifest_says_what_it_is(path):
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        assert document["apiVersion"] and document["kind"]
        if document["kind"] != "Kustomization":
            assert document["metadata"]["name"]


def test_the_kustomization_names_files_that_exist():
    kustomization = read("kustomization.yaml")
    (config,) = kustomization["configMapGenerator"]
    for name in (*kustomization["resources"], *config["files"]):
        assert (SERVING / name).is_file()
        assert ".." not in name


def test_labels_select_the_pods(pod):
    labels = pod["metadata"]["labels"].items()
    deployment = read("kubernetes/deployment.yaml")["spec"]
    service = read("kubernetes/service.yaml")["spec"]
    assert deployment["selector"]["matchLabels"].items() <= labels
    assert service["selector"].items() <= labels


def test_ports_agree(container, compose):
    named = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert named == {"grpc": 8500, "rest": 8501}
    for port in read("kubernetes/service.yaml")["spec"]["ports"]:
        assert named[port["targetPort"]] == port["port"]
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


def test_ports_are_published_on_loopback_only(compose):
    assert compose["ports"]
    for port in compose["ports"]:
        assert port.startswith("127.0.0.1:")


def test_the_embedded_server_knows_every_flag(container, compose, caplog):
    assert container["args"] == compose["command"]
    flags = parse(container["args"])
    assert flags.model_config_file == "/config/models.config"
    (warning,) = caplog.records
    assert "--batching_parameters_file" in warning.getMessage()


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
    assert compose["read_only"]
    assert all(volume.endswith(":ro") for volume in compose["volumes"])


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

import pytest
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.models.version_labels import VersionLabels
from tf_tokenrl.serving.status import StatusError


def models(**labels):
    return [ModelConfig(name="m", version_labels=labels)]


def available(*numbers):
    return lambda name, number: name == "m" and number in numbers


def test_before_the_first_configuration():
    with pytest.raises(StatusError) as caught:
        VersionLabels(lenient=False).number("m", "stable")
    assert str(caught.value) == (
        "UNAVAILABLE: Model labels does not init yet.stable"
    )


def test_a_label_names_an_available_version_of_its_own_model():
    labels = VersionLabels(lenient=False).after(models(stable=1), available(1))
    assert labels.number("m", "stable") == 1
    for model, label in (("m", "canary"), ("n", "stable")):
        with pytest.raises(StatusError) as caught:
            labels.number(model, label)
        assert str(caught.value) == (
            f"INVALID_ARGUMENT: Unrecognized servable version label: {label}"
        )


@pytest.mark.parametrize("lenient", [False, True])
def test_a_label_moves_to_available_versions_only(lenient):
    first = VersionLabels(lenient).after(models(stable=1), available(1))
    with pytest.raises(StatusError) as caught:
        first.after(models(stable=2), available(1))
    assert str(caught.value) == (
        "FAILED_PRECONDITION: Request to assign label to version 2 of model "
        "m, which is not currently available for inference"
    )
    assert first.number("m", "stable") == 1
    second = first.after(models(stable=2), available(2))
    assert second.number("m", "stable") == 2


def test_a_new_label_may_run_ahead_when_told_so():
    labels = VersionLabels(lenient=True).after(models(canary=5), available())
    assert labels.number("m", "canary") == 5
    with pytest.raises(StatusError, match="not currently available"):
        VersionLabels(lenient=False).after(models(canary=5), available())


def test_labels_that_are_listed_no_longer_are_gone():
    labels = VersionLabels(lenient=True).after(models(a=1), available(1))
    with pytest.raises(StatusError, match="Unrecognized"):
        labels.after(models(b=1), available(1)).number("m", "a")

from pathlib import Path

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.config import configuration

ONE = 'config { name: "m" base_path: "/m" model_platform: "tensorflow" }'


def models(**flags):
    return configuration(Flags(**flags)).model_config_list.config


def models_of(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_text(f"model_config_list {{ {text} }}")
    return models(model_config_file=str(path))


def test_flags_name_one_model():
    (model,) = models(model_name="m", model_base_path="/m")
    assert (model.name, model.base_path) == ("m", "/m")


def test_a_relative_base_path_flag_starts_from_the_working_directory():
    (model,) = models(model_base_path="m")
    assert model.base_path == str(Path.cwd() / "m")


def test_a_file_names_several(tmp_path):
    text = ONE + ONE.replace('"m"', '"n"').replace(
        "}", 'version_labels { key: "stable" value: 3 } }'
    )
    first, second = models_of(tmp_path, text)
    assert (first.name, second.name) == ("m", "n")
    assert second.version_labels == {"stable": 3}


def test_the_deprecated_model_type_still_names_the_platform(tmp_path):
    text = 'config { name: "m" base_path: "gs://m" model_type: TENSORFLOW }'
    assert len(models_of(tmp_path, text)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE + ONE, "Illegal to list model m multiple times in config list"),
        (
            ONE.replace('"/m"', '"models/m"'),
            "Expected model m to have an absolute path or URI; got "
            "base_path()=models/m",
        ),
        (
            ONE.replace('"tensorflow"', '"caffe"'),
            "Model m requests unsupported platform caffe",
        ),
        (
            ONE.replace('model_platform: "tensorflow"', ""),
            "Illegal setting neither ModelServerConfig::model_type "
            "(deprecated) nor ModelServerConfig::model_platform, model name "
            "is m",
        ),
        (
            ONE.replace("}", "model_type: TENSORFLOW }"),
            "Illegal setting both ModelServerConfig::model_type (deprecated) "
            "and ModelServerConfig::model_platform.",
        ),
        (
            "config { nmae: 1 }",
            "Error parsing text-format tensorflow.serving.ModelServerConfig",
        ),
    ],
)
def test_a_configuration_the_real_server_rejects(tmp_path, text, message):
    with pytest.raises(TokenRLError) as caught:
        models_of(tmp_path, text)
    assert message in str(caught.value)
    assert "models.config" in str(caught.value)


def test_nothing_to_serve():
    with pytest.raises(TokenRLError, match="give --model_base_path"):
        models()


def test_no_such_file():
    with pytest.raises(TokenRLError, match='"/no/file": No such file'):
        models(model_config_file="/no/file")

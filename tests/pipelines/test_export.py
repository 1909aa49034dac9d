import json
import shutil

import pytest
import tensorflow as tf

from pipelines.export import ExportOptions, main
from tf_tokenrl.errors import TokenRLError


def test_versions_count_up_and_are_never_overwritten(policy_file, tmp_path):
    model = tmp_path / "headline"
    assert main(ExportOptions(policy_file, model)) == model / "1"
    assert main(ExportOptions(policy_file, model, version=7)) == model / "7"
    assert sorted(p.name for p in model.iterdir()) == ["1", "7"]
    loaded = tf.saved_model.load(model / "7")
    assert {"serving_default", "score"} <= set(loaded.signatures)
    card = json.loads((model / "7/assets.extra/model_card.json").read_text())
    assert "run" not in card and "metrics" not in card
    assert card["policy"]["max_new_tokens"] == 8
    assert card["tokenizer"]["vocabulary_size"] == 320
    before = sorted(model.rglob("*"))
    with pytest.raises(TokenRLError, match="next number"):
        main(ExportOptions(policy_file, model, version=7))
    assert sorted(model.rglob("*")) == before


def test_the_model_card_tells_of_the_run(policy_file, tmp_path):
    run = tmp_path / "rl"
    run.mkdir()
    shutil.copy(policy_file, run / "policy.keras")
    (run / "log.csv").write_text("step,reward,kl\n1,0.25,\n2,0.5,nan\n")
    options = {"command": "train", "data": "d", "reward": "rouge", "seed": 3}
    (run / "options.json").write_text(json.dumps(options))
    (run / "versions.json").write_text('{"keras": "3"}')
    path = main(
        ExportOptions(run / "policy.keras", tmp_path / "model"),
        {"rouge": {"mean": 0.4}},
    )
    card = json.loads((path / "assets.extra" / "model_card.json").read_text())
    assert card["run"] == {
        "name": "rl",
        "options": options,
        "versions": {"keras": "3"},
    }
    assert (card["data"], card["reward"]) == ("d", "rouge")
    assert card["metrics"] == {
        "reward": 0.5,
        "kl": None,
        "rouge": {"mean": 0.4},
    }

import json
import shutil

import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export.savedmodel import next_version
from tf_tokenrl.parity import golden_answers
from tf_tokenrl.pipelines.export import ExportOptions, main
from tf_tokenrl.policies import storage


def test_versions_count_up_and_are_never_overwritten(policy_file, tmp_path):
    model = tmp_path / "headline"
    assert main(ExportOptions(policy_file, model)) == model / "1"
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("sun moon\n\nstar\n")
    options = ExportOptions(policy_file, model, version=7, prompts=prompts)
    assert main(options) == model / "7"
    found = sorted(p.name for p in model.iterdir())
    assert found == ["1", "7", "7.answers.jsonl"]
    loaded = tf.saved_model.load(model / "7")
    assert {"serving_default", "score"} <= set(loaded.signatures)
    kept = golden_answers.read(model / "7.answers.jsonl")
    assert [answer.prompt for answer in kept] == ["sun moon", "star"]
    for answer in kept:
        assert _agrees(loaded.signatures["serving_default"], answer)
    assert next_version(model) == model / "8"
    card = json.loads((model / "7/assets.extra/model_card.json").read_text())
    assert "run" not in card and "metrics" not in card
    assert card["policy"]["max_new_tokens"] == 8
    assert card["tokenizer"]["vocabulary_size"] == 320
    before = sorted(model.rglob("*"))
    with pytest.raises(TokenRLError, match="next number"):
        main(ExportOptions(policy_file, model, version=7))
    assert sorted(model.rglob("*")) == before


def test_a_reward_model_is_one_export_more(policy_file, tmp_path):
    options = dict(policy=policy_file, model=tmp_path / "m", reward_model=True)
    path = main(ExportOptions(**options))
    loaded = tf.saved_model.load(path)
    assert set(loaded.signatures) == {"serving_default", "reward"}
    with pytest.raises(TokenRLError, match="writes no answers"):
        (tmp_path / "prompts.txt").write_text("sun\n")
        main(ExportOptions(**options, prompts=tmp_path / "prompts.txt"))
    tagger = storage.save(tiny.shared_label_policy(), tmp_path / "tags.keras")
    with pytest.raises(TokenRLError, match="LabelPolicy, which judges no"):
        main(ExportOptions(tagger, tmp_path / "n", reward_model=True))
    assert not (tmp_path / "n").exists()


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


def _agrees(served, answer):
    """The signature answers as the record says."""
    reply = served(
        prompt=tf.constant([answer.prompt]),
        seed=tf.constant([0], tf.int64),
        temperature=tf.zeros([1]),
        top_k=tf.constant([0]),
        top_p=tf.ones([1]),
        max_new_tokens=tf.constant([0]),
    )
    length = reply["lengths"][0]
    ids = tuple(reply["token_ids"][0, :length].numpy())
    return (ids, reply["text"][0].numpy().decode()) == (
        answer.token_ids,
        answer.text,
    )


@pytest.mark.parametrize("text", [None, "\n \n"])
def test_without_prompts_nothing_is_exported(policy_file, tmp_path, text):
    prompts = tmp_path / "prompts.txt"
    if text:
        prompts.write_text(text)
    model = tmp_path / "headline"
    with pytest.raises(TokenRLError, match="prompts"):
        main(ExportOptions(policy_file, model, prompts=prompts))
    assert not model.exists()

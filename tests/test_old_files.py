"""Files that commit 50f483e wrote still load and give the same numbers.

`support/make_old_files.py` made the archive with that commit.
"""

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl import cli, rewards
from tf_tokenrl.decoding.sampling import row_seeds
from tf_tokenrl.flow import Example
from tf_tokenrl.policies import storage
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.policies.encoder_decoder import EncoderDecoderPolicy
from tf_tokenrl.policies.label import LabelPolicy
from tf_tokenrl.policies.recurrent import RecurrentPolicy
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.training.updates.adam import Adam

ARCHIVE = Path(__file__).parent / "support" / "old_files.tar.xz"
KINDS = {
    "gpt2": CausalPolicy,
    "llama": CausalPolicy,
    "lstm": RecurrentPolicy,
    "gru": RecurrentPolicy,
    "bart": EncoderDecoderPolicy,
    "t5": EncoderDecoderPolicy,
    "tagger": LabelPolicy,
    "classifier": LabelPolicy,
}
CLOCK = {"seconds", "tokens_per_second"}


def unpack(folder):
    shutil.unpack_archive(ARCHIVE, folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The unpacked archive; leave it as it is."""
    return unpack(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def asked(files):
    return json.loads((files / "asked.json").read_text())


@pytest.fixture(scope="module")
def expected(files):
    """kind -> "what/name" -> array."""
    found = {}
    for path, array in np.load(files / "expected.npz").items():
        kind, name = path.split("/", 1)
        found.setdefault(kind, {})[name] = array
    return found


def arrays(name, values):
    """The fields of a named tuple as the archive names them."""
    return {
        f"{name}/{field}": np.asarray(value)
        for field, value in values._asdict().items()
        if value is not None
    }


def assert_same(found, expected):
    """Numbers nearly, all else exactly."""
    assert set(found) >= set(expected)
    for name, array in expected.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(
                found[name], array, rtol=0, atol=1e-5, err_msg=name
            )
        else:
            np.testing.assert_array_equal(found[name], array, name)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] * (kind == "t5"))
        for kind in KINDS
    ],
)
def test_a_policy_samples_and_scores_as_before(kind, files, asked, expected):
    policy = storage.load(files / "policies" / f"{kind}.keras")
    assert type(policy) is KINDS[kind]
    assert policy.temperature == 0.7

    @tf.function
    def act(ids, mask, seeds):
        return policy.act(ids, mask, seeds)

    ids, mask = policy.encode(asked["prompts"])
    pairs = policy.encode_pairs(asked["prompts"], asked["answers"][kind])
    found = {
        **arrays("rollout", act(ids, mask, row_seeds(1, 0, len(ids)))),
        **arrays("pairs", pairs),
        **arrays("scores", policy.score(pairs)),
    }
    assert_same(found, expected[kind])


def test_a_warm_start_comes_with_its_optimizer(files):
    """Keras reads what the library's own loader leaves out."""
    policy = keras.saving.load_model(files / "sft" / "policy.keras")
    assert type(policy) is CausalPolicy
    assert type(policy.optimizer) is Adam
    assert int(policy.optimizer.iterations) == 4  # 2 epochs of 2 batches


def replies(path, name, **inputs):
    """What a SavedModel replies to the embedded server."""
    servable = Servable(str(path), ["serve"], tf.compat.v1.ConfigProto())
    signature = servable.signatures[name]
    feeds = {signature.inputs[k].name: v for k, v in inputs.items()}
    outputs = {k: info.name for k, info in signature.outputs.items()}
    values = servable.run(feeds, list(outputs.values()))
    return {
        f"reply/{k}": plain(v) for k, v in zip(outputs, values, strict=True)
    }


def plain(value):
    """Bytes as the archive holds them, without pickle."""
    return value.astype("S") if value.dtype == object else value


def test_an_export_answers_as_before(files, asked, expected):
    """The first prompt greedily, the others by chance."""
    prompts = np.array([prompt.encode() for prompt in asked["prompts"]])
    rows = len(prompts)
    found = replies(
        files / "exports" / "writer" / "1",
        "serving_default",
        prompt=prompts,
        seed=np.arange(rows, dtype=np.int64),
        temperature=np.array([0.0, *[1.0] * (rows - 1)], np.float32),
        max_new_tokens=np.zeros(rows, np.int32),
        top_k=np.zeros(rows, np.int32),
        top_p=np.ones(rows, np.float32),
    )
    assert_same(found, expected["writer"])


def test_an_export_that_labels_answers_as_before(files, asked, expected):
    prompts = np.array([prompt.encode() for prompt in asked["prompts"]])
    found = replies(files / "exports" / "tags" / "1", "tag", text=prompts)
    assert_same(found, expected["tags"])


def test_an_exported_reward_model_judges_as_before(files, asked, expected):
    """As the reward that a run reads it by."""
    path = files / "exports" / "judge" / "1"
    policy = storage.load(files / "policies" / "gpt2.keras")
    rollout = policy.encode_pairs(asked["prompts"], asked["answers"]["gpt2"])
    examples = [Example(prompt) for prompt in asked["prompts"]]
    reward = rewards.get("reward_model", path=str(path))
    found = reward(examples, policy.decode(rollout), rollout)
    assert_same({"reply/rewards": found}, expected["judge"])


def log(folder):
    """What a run logged, without what the clock says; nan where nothing."""
    with open(folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted(set(rows[0]) - CLOCK)
    table = [[float(row[name] or "nan") for name in names] for row in rows]
    return names, np.array(table)


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_before(tmp_path, monkeypatch, capsys):
    """From its checkpoint; its paths are relative to the folder it was in."""
    monkeypatch.chdir(unpack(tmp_path))
    cli.run(["train", "--config=rl/options.json", "--resume"])
    assert "Resumed after 2 steps." in capsys.readouterr().out
    names, rows = log(tmp_path / "rl")
    old_names, old_rows = log(tmp_path / "straight")
    assert names == old_names and len(rows) == 4
    np.testing.assert_allclose(rows, old_rows, rtol=0, atol=1e-6)
    policy = storage.load("rl/policy.keras")
    old = storage.load("straight/policy.keras")
    pairs = zip(policy.get_weights(), old.get_weights(), strict=True)
    for weights, old_weights in pairs:
        np.testing.assert_allclose(weights, old_weights, rtol=0, atol=1e-6)


def test_the_report_of_an_old_run_is_written(files, tmp_path):
    run = files / "straight"
    cli.run(["report", f"--run={run}", f"--out={tmp_path / 'report.html'}"])
    assert "rewards/chrf" in (tmp_path / "report.html").read_text()

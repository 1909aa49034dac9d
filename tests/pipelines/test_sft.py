import csv
import dataclasses
import io
import json
import math
import os
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from tf_tokenrl import cli, runs, tasks
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.sft import SftOptions, main
from tf_tokenrl.policies import storage
from tf_tokenrl.policies.from_scratch import ModelOptions
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.updates.adam import Adam


@pytest.fixture(scope="module")
def options(data, tmp_path_factory):
    return SftOptions(
        data=data,
        out=tmp_path_factory.mktemp("sft") / "run",
        model=ModelOptions("gru", layers=1, width=16, heads=2),
        max_prompt_tokens=24,
        max_new_tokens=8,
        learning_rate=1e-2,
        warmup=2,
        epochs=3,
    )


@pytest.fixture(scope="module")
def policy(options):
    return storage.load(main(options))


def log(folder) -> list[dict[str, str]]:
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def same_weights(one, two) -> None:
    one, two = storage.load(one).get_weights(), storage.load(two).get_weights()
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_learns_and_says_how_well(options, policy):
    found = [row["validation/nll"] for row in log(options.out)]
    losses = [float(value) for value in found if value]
    assert len(losses) == 3 and losses[-1] < losses[0] < math.log(320)
    results = json.loads((options.out / "results.json").read_text())
    validation = tasks.get("headline", data=str(options.data)).examples(
        "validation"
    )
    learner = Learner(policy, Likelihood(), Adam(0.1))
    nll = learner.measure(validation)["nll"]
    assert results["validation_nll"] == pytest.approx(nll, rel=1e-4)
    assert results["validation_nll"] == pytest.approx(min(losses), rel=1e-4)
    assert results["validation_perplexity"] == pytest.approx(math.exp(nll))
    assert results["validation_rows"] == len(validation)


def test_the_policy_has_no_moments_of_adam(options, policy):
    with zipfile.ZipFile(options.out / "policy.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    names: list[str] = []
    h5py.File(content).visit(names.append)
    assert names and not [name for name in names if "optimizer" in name]


def test_the_run_can_be_made_again_from_its_folder(options, policy):
    again = runs.read_options(options.out / "options.json", SftOptions)
    # What `prepare` recorded is part of what the run was.
    assert again == dataclasses.replace(options, task="headline")
    versions = json.loads((options.out / "versions.json").read_text())
    assert {"python", "tensorflow", "keras", "tf_tokenrl"} <= set(versions)
    assert (policy.max_prompt_tokens, policy.max_new_tokens) == (24, 8)


def test_a_finished_run_is_replaced_only_when_told_to(options, policy):
    before = (options.out / "policy.keras").read_bytes()
    with pytest.raises(TokenRLError, match="earlier run.*--overwrite"):
        main(options)
    assert (options.out / "policy.keras").read_bytes() == before


def test_a_moved_run_goes_on_and_ends_the_same(options, policy, tmp_path):
    """Stopped after its first step, and the project folder renamed."""
    shutil.copytree(options.out, tmp_path / "run")
    shutil.copytree(options.data, tmp_path / "data")
    (tmp_path / "run" / "policy.keras").unlink()
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    shutil.rmtree(newest)
    main(
        dataclasses.replace(
            options,
            data=tmp_path / "data",
            out=tmp_path / "run",
            resume=True,
        )
    )
    same_weights(tmp_path / "run/policy.keras", options.out / "policy.keras")
    clock = {"seconds", "tokens_per_second"}
    found, wanted = (
        [{k: v for k, v in r.items() if k not in clock} for r in log(folder)]
        for folder in (tmp_path / "run", options.out)
    )
    assert found == wanted


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 4}, "epochs was 3, now 4.*falls until the last"),
        ({"seed": 1}, "seed was 0, now 1"),
    ],
)
def test_another_run_is_not_gone_on_with(options, policy, changes, sentence):
    with pytest.raises(TokenRLError, match=sentence):
        main(dataclasses.replace(options, resume=True, **changes))


def test_a_mistyped_folder_is_not_resumed(options, tmp_path):
    out = tmp_path / "rum"
    with pytest.raises(TokenRLError, match="no run in.*to resume"):
        main(dataclasses.replace(options, out=out, resume=True))
    assert not out.exists()


@pytest.mark.parametrize("rate", [1e4, 1e20])
def test_a_run_that_diverges_ends_in_one_sentence(options, tmp_path, rate):
    wild = dataclasses.replace(
        options, out=tmp_path / "run", learning_rate=rate, warmup=0
    )
    with pytest.raises(TokenRLError, match="lower --learning-rate") as caught:
        main(wild)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "policy.keras").exists()


def test_time_that_is_up_saves_what_was_learned(options, tmp_path):
    limited = dataclasses.replace(
        options, out=tmp_path / "run", seconds=1e-9, checkpoint_every=1
    )
    path = main(limited)
    assert len(log(tmp_path / "run")) == 1
    assert storage.load(path).count_params() > 0


def test_ctrl_c_leaves_a_run_that_can_go_on(options, tmp_path, monkeypatch):
    taken = Learner.step

    def step(self, *given):
        if self.finished_steps == 4:
            os.kill(os.getpid(), 2)
        return taken(self, *given)

    monkeypatch.setattr(Learner, "step", step)
    with pytest.raises(KeyboardInterrupt):
        main(dataclasses.replace(options, out=tmp_path / "run"))
    left = sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir())
    assert left[-1] == "step-00000005"
    found = storage.load(tmp_path / "run/checkpoints" / left[-1])
    assert found.decode(found.encode_pairs(["sun"], ["moon"]))
    monkeypatch.setattr(Learner, "step", taken)
    main(dataclasses.replace(options, out=tmp_path / "run", resume=True))
    assert (tmp_path / "run" / "policy.keras").exists()


def test_an_unknown_architecture(options):
    with pytest.raises(TokenRLError, match='Did you mean "gpt2"'):
        main(SftOptions(data=options.data, model=ModelOptions("gtp2")))


def test_gold_is_an_option_of_the_command(options, tmp_path):
    flags = [f"--data={options.data}", f"--out={tmp_path}", "--epochs=1"]
    flags += ["--model.architecture=gru", "--model.width=8"]
    cli.run(["sft", *flags, "--weighting=gold", "--accumulation=2"])
    assert (tmp_path / "policy.keras").exists()

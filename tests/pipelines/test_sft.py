import csv
import json
import math

import pytest

from pipelines.sft import SftOptions, main
from tf_tokenrl import runs, tasks
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import storage
from tf_tokenrl.policies.from_scratch import ModelOptions
from tf_tokenrl.training.objectives import likelihood

# The critic learns nothing here, as Keras remarks.
pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")


@pytest.fixture(scope="module")
def options(data, tmp_path_factory):
    return SftOptions(
        data=data,
        out=tmp_path_factory.mktemp("sft") / "run",
        model=ModelOptions("gpt2", layers=1, width=16, heads=2),
        max_prompt_tokens=24,
        max_new_tokens=8,
        learning_rate=1e-2,
        warmup=2,
        epochs=3,
    )


@pytest.fixture(scope="module")
def policy(options):
    return storage.load(main(options))


def test_it_learns_and_says_how_well(options, policy):
    with open(options.out / "history.csv", newline="") as file:
        losses = [float(row["val_nll"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0] < math.log(320)
    results = json.loads((options.out / "results.json").read_text())
    validation = tasks.get("headline", data=str(options.data)).examples(
        "validation"
    )
    nll = likelihood.nll(policy, validation)
    assert results["validation_nll"] == pytest.approx(nll, rel=1e-4)
    assert results["validation_nll"] == pytest.approx(min(losses), rel=1e-4)
    assert results["validation_perplexity"] == pytest.approx(math.exp(nll))


def test_the_run_can_be_made_again_from_its_folder(options, policy):
    again = runs.read_options(options.out / "options.json", SftOptions)
    assert again == options
    versions = json.loads((options.out / "versions.json").read_text())
    assert {"python", "tensorflow", "keras", "tf_tokenrl"} <= set(versions)
    assert (policy.max_prompt_tokens, policy.max_new_tokens) == (24, 8)


def test_an_unknown_architecture(options):
    with pytest.raises(TokenRLError, match='Did you mean "gpt2"'):
        main(SftOptions(data=options.data, model=ModelOptions("gtp2")))

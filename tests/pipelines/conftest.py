"""Two hundred toy rows, prepared, and a policy that has learned nothing."""

import json
import random

import keras
import pytest

from tf_tokenrl.pipelines import prepare
from tf_tokenrl.policies import from_scratch, storage
from tf_tokenrl.text.tokenizer import load_tokenizer

WORDS = ["sun", "moon", "star", "sky", "cloud", "rain", "wind", "storm"]


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    """A file of texts, each headed by its first words."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    with path.open("w") as file:
        for number in range(200):
            words = draw.choices(WORDS, k=draw.randint(4, 9))
            row = {
                "text": " ".join([*words, str(number)]),
                "title": " ".join(words[:2]),
            }
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="session")
def data(rows, tmp_path_factory):
    options = prepare.PrepareOptions(
        data=str(rows),
        source="text",
        target="title",
        out=tmp_path_factory.mktemp("prepared") / "data",
        vocabulary_size=320,
        max_prompt_tokens=24,
        max_answer_tokens=8,
    )
    return prepare.main(options)


@pytest.fixture(scope="session")
def policy_file(data, tmp_path_factory):
    keras.utils.set_random_seed(0)
    policy = from_scratch.build(
        from_scratch.ModelOptions("gpt2", layers=1, width=16, heads=2),
        load_tokenizer(data / "tokenizer.spm"),
        max_prompt_tokens=24,
        max_new_tokens=8,
    )
    return storage.save(policy, tmp_path_factory.mktemp("m") / "policy.keras")

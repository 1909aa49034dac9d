"""A small batch with every awkward row there is, and files for rewards."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.flow import Example, Response, Rollout
from tf_tokenrl.policies import storage


def respond(pieces, stopped=True) -> Response:
    """A response of one token per piece of text, then a stop token."""
    offsets, end = [], 0
    for piece in pieces:
        offsets.append((end, end + len(piece)))
        end = offsets[-1][1]
    ids = tuple(sum(piece.encode()) % 97 + 2 for piece in pieces)
    if stopped:
        ids, offsets = (*ids, 1), [*offsets, (end, end)]
    return Response("".join(pieces), ids, tuple(offsets), stopped)


def roll_out(responses, columns=12, junk=0.0, interior=True) -> Rollout:
    """A rollout of these responses; `junk` fills the masked slots.

    With `interior` every second slot of the first row is a forced token.
    """
    mask = np.zeros((len(responses), columns), bool)
    for row, response in enumerate(responses):
        step = 2 if interior and row == 0 else 1
        mask[row, : step * len(response.token_ids) : step] = True
    random = np.random.default_rng(0)
    log_probs = np.full(mask.shape, junk, np.float32)
    reference = np.full(mask.shape, junk, np.float32)
    log_probs[mask] = -random.random(mask.sum())
    reference[mask] = -random.random(mask.sum())
    actions = np.zeros(mask.shape, np.int32)
    actions[mask] = [i for r in responses for i in r.token_ids]
    prompts = np.ones((len(responses), 2), np.int32)
    values = np.full(mask.shape, junk, np.float32)
    return Rollout(
        prompts, prompts > 0, actions, mask, log_probs, values, reference
    )


@pytest.fixture
def make_response():
    return respond


@pytest.fixture
def make_rollout():
    return roll_out


@pytest.fixture
def examples():
    return [
        Example("Say it.", ("Returns the sum.", "the sum of x"), "two"),
        Example("No reference.", (), "none"),
        Example("Empty reference.", ("",)),
        Example("Empty answer.", ("Something",)),
        Example("Cut off.", ("the sum the sum",)),
    ]


@pytest.fixture
def responses():
    return [
        respond(["Return", "s", " the", " sum", "."]),
        respond(["the", " cat"]),
        respond(["the", " cat"]),
        respond([]),
        respond(["the", " sum", " the", " sum", " the", " sum"], False),
    ]


class Judge(tf.Module):
    """Scores of any shape that a learned model may give."""

    spec = {"prompt": tf.TensorSpec([None], tf.string)}
    spec |= {"answer": tf.TensorSpec([None], tf.string)}

    @tf.function(input_signature=[spec["prompt"], spec["answer"]])
    def lengths(self, prompt, answer):
        more = tf.strings.length(answer) - tf.strings.length(prompt)
        return {"score": tf.cast(more, tf.float32) / 10}

    @tf.function(input_signature=[spec["prompt"], spec["answer"]])
    def spans(self, prompt, answer):
        """1 for the first character, 2 for the next two, 9 for none."""
        spans = tf.constant([[[0, 1], [1, 3], [0, 0]]])
        rows = tf.size(answer)
        scores = tf.repeat([[1.0, 2.0, 9.0]], rows, axis=0)
        return {"scores": scores, "offsets": tf.repeat(spans, rows, axis=0)}

    @tf.function(input_signature=[spec["prompt"], spec["answer"]])
    def wrong(self, prompt, answer):
        size = tf.cast(tf.strings.length(answer), tf.float32)
        return {"a": size, "b": size}


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """The folder of a SavedModel with three signatures."""
    path, model = tmp_path_factory.mktemp("judge"), Judge()
    tf.saved_model.save(
        model,
        path,
        signatures={
            "serving_default": model.lengths,
            "spans": model.spans,
            "wrong": model.wrong,
        },
    )
    return str(path)


@pytest.fixture(scope="session")
def ratings(tmp_path_factory):
    """A feedback file."""
    path = tmp_path_factory.mktemp("ratings") / "ratings.jsonl"
    rows = [
        {"prompt": "Say it.", "answer": "Returns the sum.", "score": 1},
        {"prompt": " Say it.", "answer": "Returns the sum.\n", "score": 0.5},
        {"prompt": "Cut off.", "answer": "", "score": -1.0},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.fixture(scope="session")
def language_model(tmp_path_factory):
    """The file of a tiny policy."""
    policy = tiny.policy("gru", max_prompt_tokens=40, max_new_tokens=40)
    path = tmp_path_factory.mktemp("policy") / "policy.keras"
    return str(storage.save(policy, path))


def letters(texts):
    """An encoder of texts that needs no network: how often is each letter?"""
    return [[text.count(c) + 0.1 for c in "abcdehmnorstu ."] for text in texts]


@pytest.fixture(scope="session")
def expressions(judge, ratings, language_model):
    """The rewards that cannot be built from their names alone."""
    return {
        "clip": "clip(length, low=2, high=4)",
        "dense": "dense(bleu)",
        "normalize": "normalize(length)",
        "regex": "regex(pattern='[A-Z].*')",
        "human_ratings": f"human_ratings(path={ratings!r}, unrated=-0.25)",
        "reward_model": f"reward_model(path={judge!r}, signature='spans')",
        "log_likelihood": f"log_likelihood(policy={language_model!r})",
        "similarity": "similarity(encoder='tests.rewards.conftest:letters')",
    }

"""A small batch with every awkward row there is."""

import numpy as np
import pytest

from tf_tokenrl.flow import Example, Response, Rollout


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

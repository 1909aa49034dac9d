"""Stored answers come back as the policy sampled them."""

import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl import algorithms
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, FeedbackStore, Judgement
from tf_tokenrl.feedback.signals import Scored, scored
from tf_tokenrl.flow import Batch
from tf_tokenrl.training.rollouts.logged import ends_of, logged

PROMPTS = ["open a file", "return the name of a list", "open a list"]


def answers(policy, version=3, **sampling):
    """What a server would have stored of sampled answers."""
    rollout = tiny.sample(policy, PROMPTS, seed=4, **sampling)
    responses = policy.decode(rollout)
    options = {"temperature": policy.temperature} | sampling
    return [
        Answer(
            model="m",
            version=version,
            prompt=prompt,
            text=response.text,
            token_ids=response.token_ids,
            log_probs=tuple(rollout.log_probs[row][rollout.mask[row]].tolist()),
            finish="stop" if response.stopped else "length",
            **options,
        )
        for row, (prompt, response) in enumerate(
            zip(PROMPTS, responses, strict=True)
        )
    ]


@pytest.fixture(scope="module")
def policy():
    return tiny.shared_policy("llama")


def test_through_the_store_every_weight_is_one(policy, tmp_path):
    given = answers(policy)
    with FeedbackStore(f"sqlite:///{tmp_path}/feedback.db") as store:
        store.append(given)
        store.append(
            Judgement(answer=answer.key, kind="score", score=row)
            for row, answer in enumerate(given)
        )
        rows = list(scored(store.read(), ends_of(policy)))
    found = logged(policy, rows)
    assert found.rows == (0, 1, 2) and not found.dropped
    rollout = found.rollout
    for row, answer in enumerate(given):
        assert tuple(rollout.actions[row][rollout.mask[row]]) == (
            answer.token_ids
        )
    np.testing.assert_allclose(found.rewards.sum(-1), [0, 1, 2])
    assert not found.rewards[~rollout.mask].any()
    scores = policy.score(rollout)
    algorithm = algorithms.get("off_policy")
    targets = algorithm.targets(rollout, found.rewards)
    _, metrics = algorithm.loss(Batch(rollout, found.rewards, targets), scores)
    np.testing.assert_allclose(
        metrics["weight"].numpy()[rollout.mask], 1.0, atol=1e-5
    )
    assert not metrics["weight_capped"].numpy().any()


def test_what_has_no_weight_is_dropped_and_counted(policy):
    rows = []
    for sampling in (
        {},
        {"temperature": 0.5},
        {"top_p": 0.8},
        {"top_k": 2},
        {"temperature": 0.0},
    ):
        rows += answers(policy, **sampling)
    rows += answers(policy, version=1)
    rows += [rows[0].model_copy(update={"log_probs": ()})]
    given = [Scored(a, (0.0,) * len(a.token_ids)) for a in rows]
    found = logged(policy, given, oldest_version=2)
    assert found.rows == (0, 1, 2)
    assert found.dropped == {
        "other temperature": 3,
        "top-k or top-p": 6,
        "greedy": 3,
        "old version": 3,
        "no log-probs": 1,
    }
    nothing = logged(policy, given[3:6])
    assert nothing.rollout is None and not nothing.rows


def test_offsets_are_those_of_the_ids(policy):
    ends = ends_of(policy)
    for answer in answers(policy):
        found = ends(answer)
        assert len(found) == len(answer.token_ids)
        assert found[-1] == len(answer.text)
        half = found[len(found) // 2]
        cut = answer.model_copy(update={"text": answer.text[:half]})
        assert max(ends(cut), default=0) == half  # ended by a stop text
        with pytest.raises(TokenRLError, match="do not spell its text"):
            ends(answer.model_copy(update={"text": answer.text + "!"}))

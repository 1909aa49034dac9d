"""Judgements as a task like others."""

import pytest

from tf_tokenrl import tasks
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, FeedbackStore, Judgement

SPLITS = ("train", "validation", "test")


@pytest.fixture
def store(tmp_path):
    with FeedbackStore(f"sqlite:///{tmp_path}/feedback.db") as opened:
        yield opened


def fill(store, prompts=60):
    for number in range(prompts):
        good, bad = (
            Answer(model="m", prompt=f"prompt {number}", text=f"{word}{number}")
            for word in ("good", "bad")
        )
        store.append(
            [
                good,
                bad,
                Judgement(answer=good.key, kind="thumb", score=1),
                Judgement(answer=bad.key, kind="thumb", score=-1),
                Judgement(answer=good.key, kind="pair", other=bad.key),
                Judgement(answer=bad.key, kind="edit", edit=f"best{number}"),
                Judgement(answer=bad.key, kind="score", score=0.25),
            ]
        )


@pytest.mark.parametrize("by", ["store", "url"])
def test_each_prompt_is_in_one_split_with_its_good_answers(store, by):
    fill(store)
    given = store if by == "store" else store.name
    task = tasks.get("feedback", store=given)
    found = {split: task.examples(split) for split in SPLITS}
    every = [example for split in SPLITS for example in found[split]]
    assert len({e.prompt for e in every}) == len(every) == 60
    assert len(found["train"]) > 35
    for example in every:
        number = example.prompt.split()[1]
        assert example.references == (f"best{number}", f"good{number}")
    pairs = [p for split in SPLITS for p in task.preferences(split)]
    assert len(pairs) == 60
    assert all(p.better.startswith("good") for p in pairs)
    opinions = [o for split in SPLITS for o in task.opinions(split)]
    assert {(o.answer[:3], o.good) for o in opinions} == {
        ("goo", True),
        ("bad", False),
    }
    scored = [s for n in SPLITS for s in task.scored(n, lambda a: [4])]
    assert len(scored) == 60 and not scored[0].answer.token_ids


def test_what_was_read_before_can_be_left_out(store):
    fill(store, 20)
    last = list(store.read())[-1].position
    with pytest.raises(TokenRLError, match="collect edits"):
        tasks.get("feedback", store=store, after=last).examples("train")


def test_store_and_split_must_be_there(store):
    with pytest.raises(TokenRLError, match="needs a store"):
        tasks.get("feedback")
    with pytest.raises(TokenRLError, match='no split "dev"'):
        tasks.get("feedback", store=store).examples("dev")

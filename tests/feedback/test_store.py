"""What the store keeps, refuses, forgets; on SQLite and on PostgreSQL."""

import json
import math
import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, FeedbackStore, Judgement, user_hash


def statuses(receipts):
    return [receipt.status for receipt in receipts]


def thumb(key, answer, score=1, **fields):
    return Judgement(
        key=key, answer=answer, kind="thumb", score=score, **fields
    )


def keys(store, after=0):
    return [judged.judgement.key for judged in store.read(after)]


def test_what_is_appended_is_read_back(store, answer):
    first, second = answer("a", user_hash="u1"), answer("b", label="canary")
    said = [
        Judgement(key="1", answer="a", kind="score", score=0.1, rater="u2"),
        thumb("2", "b", -1, comment="worse"),
        Judgement(key="3", answer="a", kind="pair", other="b", side="left"),
        Judgement(key="4", answer="b", kind="edit", edit="Better."),
        Judgement(key="5", answer="a", kind="span", start=0, end=4, score=-1.5),
    ]
    receipts = store.append([first, second, *said])
    assert statuses(receipts) == ["stored"] * 7
    found = list(store.read())
    assert [judged.judgement for judged in found] == said
    about = {"a": first, "b": second}
    assert all(f.answer == about[f.judgement.answer] for f in found)
    assert [f.other for f in found] == [None, None, second, None, None]
    assert store.get("b") == second
    assert store.counts() == {"answers": 2, "judgements": 5}


def test_positions_go_on_where_they_ended(store, answer):
    store.append([answer("a"), *(thumb(str(n), "a") for n in range(5))])
    found = list(store.read(limit=2))
    assert [j.judgement.key for j in found] == ["0", "1"]
    assert keys(store, found[-1].position) == ["2", "3", "4"]
    store.ack("learner", found[-1].position)
    store.ack("learner", found[0].position)  # an old one takes nothing back
    assert store.position("learner") == found[-1].position
    assert store.position("other") == 0
    with pytest.raises(TokenRLError, match="the last one is"):
        store.ack("learner", 10**6)


def test_pages_join_without_a_gap(store, answer, monkeypatch):
    monkeypatch.setattr("tf_tokenrl.feedback.store._PAGE", 3)
    store.append([answer("a"), *(thumb(str(n), "a") for n in range(10))])
    assert keys(store) == [str(n) for n in range(10)]
    assert len(list(store.read(limit=7))) == 7


def test_receipt_says_what_happened_to_each(store, answer):
    batch = [
        thumb("k1", "a"),
        thumb("k2", "a"),
        thumb("k1", "a"),
        thumb("k2", "a", -1),
        thumb("k3", "unknown"),
        answer("a"),
        {"answer": "a", "kind": "thumb", "score": 7, "key": "k4"},
        "no record",
    ]
    wanted = ["stored", "stored", "duplicate", "conflict", "refused", "stored"]
    receipts = store.append(batch)
    assert statuses(receipts) == [*wanted, "refused", "refused"]
    assert [r.key for r in receipts[:4]] == ["k1", "k2", "k1", "k2"]
    assert "k2" in receipts[3].reason
    assert "unknown" in receipts[4].reason
    assert "thumb is 1 (up) or -1 (down)" in receipts[6].reason
    again = store.append(batch)
    assert statuses(again)[:6] == [
        "duplicate", "duplicate", "duplicate", "conflict", "refused",
        "duplicate",
    ]  # fmt: skip
    assert store.counts() == {"answers": 1, "judgements": 2}


def test_a_retry_with_another_clock_is_the_same_record(store, answer):
    later = datetime.now(UTC) + timedelta(hours=1)
    assert statuses(store.append([answer("a")])) == ["stored"]
    assert statuses(store.append([answer("a", time=later)])) == ["duplicate"]
    assert store.get("a").time < later


@pytest.mark.parametrize("through", ["batch", "alone"])
def test_judgement_of_an_unknown_answer_is_refused(store, answer, through):
    others = [answer("a"), thumb("1", "a")] if through == "batch" else []
    receipts = store.append([*others, thumb("2", "b")])
    assert receipts[-1].status == "refused"
    assert '"b"' in receipts[-1].reason
    assert keys(store) == [j.key for j in others[1:]]


def test_span_must_lie_in_the_text(store, answer):
    def span(key, start, end):
        return {
            "key": key, "answer": "a", "kind": "span", "score": 1,
            "start": start, "end": end,
        }  # fmt: skip

    places = [(0, 3), (2, 3), (3, 4), (1, 1), (2, 1), (-1, 2)]
    spans = [span(str(n), *place) for n, place in enumerate(places)]
    receipts = store.append([answer("a", text="💩ab"), *spans])
    assert statuses(receipts[1:]) == ["stored"] * 2 + ["refused"] * 4
    assert "3 characters" in receipts[3].reason


def test_pair_needs_one_prompt(store, answer):
    pair = Judgement(answer="a", kind="pair", other="b")
    store.append([answer("a"), answer("b", prompt="else")])
    (receipt,) = store.append([pair])
    assert receipt.status == "refused" and "prompt" in receipt.reason


def test_what_databases_change_or_refuse_comes_back_equal(store, answer):
    odd = {
        "nul": {"text": "a\x00b"},
        "escape": {"text": "a\\u0000b"},
        "surrogate": {"text": "a\ud800b", "prompt": "\udfff"},
        "infinite": {"log_probs": (-math.inf, math.inf, -0.0)},
        "nan": {"log_probs": (math.nan, -1e-45, -3.4e38)},
        "seed": {"seed": 2**63 - 1},
        "unicode": {"text": "👩‍👩‍👧 é مرحبا\r\n ", "model": "模型"},
    }
    made = [answer(key, **fields) for key, fields in odd.items()]
    more = [answer(f"n{n}") for n in range(500 - len(made))]
    large = {"key": "large", "model": "m", "prompt": "", "text": ""}
    large["seed"] = 2**64 - 1
    receipts = store.append([*made, large, *more])
    refused = [r for r in receipts if r.status != "stored"]
    assert [r.key for r in refused] == ["large"]
    assert "`seed`" in refused[0].reason
    for wanted in made:
        found = store.get(wanted.key)
        for name in Answer.model_fields:
            given, kept = getattr(wanted, name), getattr(found, name)
            if name == "log_probs":  # by bits: NaN equals nothing
                given, kept = (struct.pack("<3f", *x) for x in (given, kept))
            assert given == kept, (wanted.key, name)


def test_times_are_instants(store, answer):
    west, east = timezone(timedelta(hours=-3)), timezone(timedelta(hours=8))
    times = {
        "a": datetime(2026, 1, 1, 12, 0, tzinfo=UTC),
        "b": datetime(2026, 1, 1, 9, 0, tzinfo=west),
        "c": datetime(2026, 1, 1, 13, 0, 0, 1, tzinfo=UTC),
    }
    store.append([answer(key, time=time) for key, time in times.items()])
    for key, time in times.items():
        found = store.get(key).time
        assert found == time and found.tzinfo is not None
    cut = datetime(2026, 1, 1, 20, 30, tzinfo=east)
    assert store.delete(older_than=cut) == {"answers": 2, "judgements": 0}
    assert [a.key for _, a in store.answers()] == ["c"]
    with pytest.raises(TokenRLError, match="time"):
        answer("d", time=datetime(2026, 1, 1))
    with pytest.raises(TokenRLError, match="no time zone"):
        store.delete(older_than=datetime(2026, 1, 1))


def test_a_clock_set_back_changes_no_position(store, answer):
    now = datetime.now(UTC)
    store.append([answer("a"), thumb("late", "a", time=now)])
    seen = list(store.read())[-1].position
    store.append([thumb("early", "a", time=now - timedelta(hours=1))])
    assert keys(store, seen) == ["early"]


def test_a_user_is_exported_and_forgotten(store, answer, url):
    ann, bob = (user_hash(name, "secret") for name in ("ann", "bob"))
    assert ann != user_hash("ann", "another secret")
    store.append(
        [
            answer("a", user_hash=ann, text="very private words"),
            answer("b", user_hash=bob),
            thumb("1", "a", rater=ann),
            thumb("2", "a", rater=bob),
            thumb("3", "b", rater=ann),
            thumb("4", "b", rater=bob),
            Judgement(key="5", answer="b", kind="pair", other="a"),
        ]
    )
    lines = [json.loads(line) for line in store.export(ann)]
    assert [line["key"] for line in lines] == ["a", "1", "2", "3", "5"]
    assert store.delete(user_hash=ann) == {"answers": 1, "judgements": 4}
    assert keys(store) == ["4"]
    assert not list(store.export(ann))
    if url.startswith("sqlite"):  # nothing is left in the files either
        path = store._database.url.database
        for suffix in ("", "-wal"):
            with open(path + suffix, "rb") as file:
                assert b"very private words" not in file.read()


def test_an_export_can_be_appended_elsewhere(store, answer, tmp_path):
    store.append(
        [
            answer("a", log_probs=(-math.inf, -1.0, -2.0), ends=(1, 2, 2)),
            answer("b", text="x\x00 \ud800 💩"),
            Judgement(key="1", answer="a", kind="pair", other="b"),
        ]
    )
    lines = list(store.export())
    with FeedbackStore(f"sqlite:///{tmp_path}/copy.db") as copy:
        receipts = copy.append(map(json.loads, lines))
        assert statuses(receipts) == ["stored"] * 3
        assert list(copy.export()) == lines
        assert statuses(store.append(map(json.loads, lines))) == (
            ["duplicate"] * 3
        )


def test_numbers_of_deleted_rows_are_not_given_again(store, answer):
    store.append([answer("a", user_hash="u"), thumb("1", "a")])
    (first,) = store.read()
    store.delete(user_hash="u")
    store.append([answer("a"), thumb("2", "a")])
    (second,) = store.read()
    assert second.position > first.position


def test_deleting_through_the_database_leaves_no_judgement(store, answer):
    store.append([answer("a"), answer("b"), thumb("1", "a")])
    store.append([Judgement(answer="b", kind="pair", other="a")])
    with store._database.writing() as connection:
        connection.execute(sa.text("DELETE FROM answers WHERE key = 'a'"))
    assert keys(store) == []
    assert store.counts() == {"answers": 1, "judgements": 0}

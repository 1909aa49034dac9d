from collections import Counter

import pytest

from tf_tokenrl.datasets import screening
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example


def example(prompt, *references):
    return Example(prompt, references)


def test_each_row_meets_one_fate():
    rows = [
        example("a text", "an answer"),
        example("A  text.", "An answer."),
        example("a text", "a second answer"),
        example("", "an answer"),
        example("no answer"),
        example("short", "one"),
        example("seen before", "an answer"),
    ]
    earlier = {"seen before"}
    kept, counts = screening.screen(rows, earlier, 2)
    assert earlier == {"seen before", "a text"}
    assert kept == [rows[0], rows[2]]
    assert counts == {
        screening.REPEATED: 1,
        screening.EMPTY: 1,
        screening.UNANSWERED: 1,
        screening.SHORT: 1,
        screening.LEAKED: 1,
    }
    assert len(kept) + counts.total() == len(rows)


def test_repeats_stay_when_wanted():
    rows = [example("a", "b")] * 3
    assert screening.screen(rows, set(), deduplicate=False).examples == rows


def test_rewriting_drops_empty_references_only():
    row = Example("P", ("A", " ", "B"), "key")
    found = screening.rewrite(row, str.lower, str.strip)
    assert found == Example("p", ("A", "B"), "key")


def test_samples_are_in_order_and_repeatable():
    rows = [example(str(i)) for i in range(100)]
    drawn = screening.sample(rows, 10, seed=1)
    assert drawn == screening.sample(rows, 10, seed=1)
    assert drawn != screening.sample(rows, 10, seed=2)
    assert [rows.index(r) for r in drawn] == sorted(map(rows.index, drawn))
    assert len({row.prompt for row in drawn}) == 10
    assert (
        screening.sample(rows, 0, 1) == screening.sample(rows, 100, 1) == rows
    )
    with pytest.raises(TokenRLError, match="-1"):
        screening.sample(rows, -1, seed=1)


class Words:
    """Tokens are words: a processor whose limits one can count."""

    def encode(self, text):
        return text.split()

    def decode(self, ids):
        return " ".join(ids)


def test_prompts_are_cut_and_long_answers_dropped():
    rows = [
        example("a b c d", "x y"),
        example("a b", "x y z"),
        example("a b c", "x", "a long second reference"),
    ]
    kept, counts = screening.fit(rows, Words(), 3, 2)
    assert [(e.prompt, e.reference) for e in kept] == [
        ("a b c", "x y"),
        ("a b c", "x"),
    ]
    assert counts == {screening.LONG: 1, screening.TRUNCATED: 1}
    with pytest.raises(TokenRLError, match="2 tokens or more"):
        screening.fit(rows, Words(), 0, 2)


def test_shortening_keeps_every_token_that_counts():
    rows = [example("x" * 1000, "a"), example("short", "b")]
    long, short = screening.shorten(rows, 10)
    assert len(long.prompt) >= 10 * 16
    assert short == rows[1]
    assert screening.corpus([short], 10) == ["short", "b"]


def test_an_emptied_split_says_what_emptied_it():
    screening.require_rows("test", [example("a")], Counter())
    with pytest.raises(TokenRLError, match="test split .*too short: 3"):
        screening.require_rows("test", [], Counter({screening.SHORT: 3}))


def test_counts_are_told_in_the_order_of_the_steps():
    counts = Counter({screening.TRUNCATED: 1, screening.ROWS_IN: 2, "x": 0})
    assert list(screening.in_order(counts)) == ["rows in", "prompts cut"]


def test_characters_are_words_where_there_are_no_spaces():
    rows = [Example("p", ("猫坐在",)), Example("q", ("猫",))]
    found = screening.screen(rows, set(), min_answer_words=3)
    assert found.examples == rows[:1]

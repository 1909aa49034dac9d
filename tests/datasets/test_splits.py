from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.datasets import splits


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_normal_form_is_idempotent(text):
    once = splits.normal_form(text)
    assert splits.normal_form(once) == once


def test_normal_form_ignores_case_space_and_the_last_full_stop():
    assert splits.normal_form(" The\n cat  SAT. ") == "the cat sat"
    assert splits.normal_form("?!") == "?!"
    assert splits.normal_form("Caf\u00e9") == splits.normal_form("Cafe\u0301")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 + 2", "2 * 2"),
        ("5 / 2", "5 - 2"),
        ("a < b", "a > b"),
        ("-5", "5"),
        ("1.5", "15"),
        ("5!", "5"),
        ("10²", "102"),
        ("f(x)", "f[x]"),
        ("What is C?", "What is C++?"),
        ("C#", "C"),
        ("done 😀", "done 😡"),
        ("दिन", "दान"),
        ("resume", "résumé"),
        ("הֶחָתוּל", "החתול"),
        ("می\u200cخواهم", "میخواهم"),
        ("x = y", "x ≠ y"),
        ("(a b) c", "a (b c)"),
    ],
)
def test_signs_that_carry_meaning_stay(one, other):
    assert splits.normal_form(one) != splits.normal_form(other)


def test_relatives_share_a_split():
    loose = splits.loose_form
    assert loose("The cat -- SAT.") == loose("the cat, sat!") == "the cat sat"


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_every_key_has_a_place(key):
    assert 0 <= splits.fraction(key) < 1
    assert splits.split_of(key) in splits.SPLITS


def test_shares_are_80_10_10():
    found = Counter(splits.split_of(f"key {i}") for i in range(20_000))
    for name, share in zip(splits.SPLITS, (0.8, 0.1, 0.1), strict=True):
        assert found[name] / 20_000 == pytest.approx(share, abs=0.01)


def test_places_never_change():
    # The first six bytes of SHA-256 of "abc" are ba 78 16 bf 8f 01.
    assert splits.fraction("abc") == 0xBA7816BF8F01 / 2**48

"""Sticky, exact, and other people each time."""

import subprocess
import sys

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.online.split import BUCKETS, Split

USERS = [f"user {n}" for n in range(10_000)]


def canaries(split, users=USERS):
    return {user for user in users if split.label(user) == "canary"}


def test_shares_are_exact_over_the_buckets(monkeypatch):
    for share in (0.0, 0.1, 0.5, 1.0):
        split = Split(8, share)
        monkeypatch.setattr(Split, "bucket", lambda self, user: user)
        found = [split.label(bucket) for bucket in range(BUCKETS)]
        assert found.count("canary") == round(share * BUCKETS)


def test_users_spread_over_the_buckets():
    assert 850 <= len(canaries(Split(8, 0.1))) <= 1150
    assert not canaries(Split(8, 0.0))


def test_nobody_leaves_the_canary_when_its_share_grows():
    assert canaries(Split(8, 0.1)) < canaries(Split(8, 0.2))


def test_names_of_labels_move_nobody():
    named = Split(8, 0.1, stable="a", canary="b")
    found = {user for user in USERS if named.label(user) == "b"}
    assert found == canaries(Split(8, 0.1))


def test_each_canary_gets_other_people():
    both = canaries(Split(7, 0.1)) & canaries(Split(8, 0.1))
    assert 50 <= len(both) <= 160  # about 1% of all


def test_another_process_says_the_same():
    code = (
        "from tf_tokenrl.online.split import Split;"
        "print([Split(8, 0.5).label(f'user {n}') for n in range(50)])"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.strip() == str([Split(8, 0.5).label(u) for u in USERS[:50]])


@pytest.mark.parametrize(
    ("users", "chance"), [(3, 0.729), (10, 0.349), (20, 0.122), (44, 0.0097)]
)
def test_few_users_may_all_miss_the_canary(users, chance):
    found = Split(8, 0.1).chance_of_nobody(users)
    assert found == pytest.approx(chance, rel=0.01)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_must_be_one(share):
    with pytest.raises(TokenRLError, match="share"):
        Split(8, share)

"""The gate itself, over hundreds of simulated comparisons."""

import random

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, Judged, Judgement
from tf_tokenrl.online import PairGate

STABLE, CANARY = (
    Answer(key=str(v), model="m", version=v, prompt="p", text="t")
    for v in (7, 8)
)
OTHER = STABLE.model_copy(update={"key": "9", "version": 9})


def vote(for_canary, rater, **fields):
    better, worse = (CANARY, STABLE) if for_canary else (STABLE, CANARY)
    said = Judgement(
        answer=better.key, kind="pair", other=worse.key, rater=rater, **fields
    )
    return Judged(1, said, better, worse)


def compare(rng, preference, votes=200, raters=None, **options):
    """The first decision of a comparison, and after how many votes."""
    gate = PairGate(stable=7, canary=8, **options)
    for number in range(votes):
        rater = f"r{number if raters is None else rng.randrange(raters)}"
        chance = preference(rater) if callable(preference) else preference
        found = gate.add(vote(rng.random() < chance, rater))
        if found.verdict != "go on":
            return found, number + 1
    return found, votes


def shares(runs, preference, **options):
    """Share of promotions, of roll-backs, and median votes of a decision."""
    rng = random.Random(3)
    found = [compare(rng, preference, **options) for _ in range(runs)]
    said = [decision.verdict for decision, _ in found]
    counts = sorted(n for d, n in found if d.verdict != "go on")
    middle = counts[len(counts) // 2] if counts else None
    return said.count("promote") / runs, said.count("roll back") / runs, middle


def test_no_difference_is_rarely_called_one():
    """300 comparisons, a look after each of 200 votes."""
    promoted, rolled_back, _ = shares(300, 0.5)
    print(f"no difference: {promoted:.3f} promoted, {rolled_back:.3f} back")
    assert promoted + rolled_back <= 0.05


def test_a_bad_version_is_rolled_back_and_never_promoted():
    """300 comparisons: with 0 promotions, fewer than 1% are (rule of three)."""
    promoted, rolled_back, votes = shares(300, 0.3)
    print(f"0.3 preferred: {rolled_back:.3f} back after {votes} votes")
    assert promoted == 0
    assert rolled_back >= 0.97 and votes <= 80


def test_a_better_version_is_promoted():
    promoted, rolled_back, votes = shares(200, 0.65)
    print(f"0.65 preferred: {promoted:.3f} promoted after {votes} votes")
    assert promoted >= 0.85 and rolled_back <= 0.01
    assert 60 <= votes <= 110


@pytest.mark.parametrize("raters", [10, 40])
def test_raters_of_strong_taste_decide_nothing(raters):
    """Each prefers one arm in 79% of votes; on average none is better."""

    def shared(runs):
        rng = random.Random(5)
        decided = 0
        for _ in range(runs):
            tastes = {f"r{n}": rng.choice((0.21, 0.79)) for n in range(raters)}
            found, _ = compare(rng, tastes.__getitem__, 400, raters)
            decided += found.verdict != "go on"
        return decided / runs

    assert shared(100) <= 0.05


def test_one_rater_decides_nothing():
    gate = PairGate(stable=7, canary=8)
    for _ in range(500):
        found = gate.add(vote(True, "one"))
    assert found[:4] == ("go on", 1, 0, 500)
    assert found.evidence == pytest.approx(1.0)


def test_what_is_not_blind_or_of_other_versions_does_not_count():
    gate = PairGate(stable=7, canary=8)
    for number in range(100):
        gate.add(vote(True, f"a{number}", blind=False))
        said = Judgement(answer="8", kind="pair", other="9", rater=f"b{number}")
        gate.add(Judged(1, said, CANARY, OTHER))
        thumb = Judgement(answer="8", kind="thumb", score=1, rater=f"c{number}")
        gate.add(Judged(1, thumb, CANARY))
    assert gate.decision()[:4] == ("go on", 0, 0, 100)


def test_arms_of_the_wrong_size_stop_a_promotion():
    gate = PairGate(stable=7, canary=8, share=0.1)
    for number in range(30):
        gate.add(vote(True, f"r{number}"))
    assert gate.decision().verdict == "promote"
    gate.served(7, 9463)
    gate.served(8, 768)  # its share would be 1,051
    assert gate.decision().verdict == "stop"


def test_right_arms_do_not_stop():
    rng = random.Random(1)
    stopped = 0
    for _ in range(100):
        gate = PairGate(stable=7, canary=8, share=0.1)
        for _ in range(1000):
            gate.served(8 if rng.random() < 0.1 else 7)
            if gate.decision().verdict == "stop":
                stopped += 1
                break
    assert stopped <= 1


@pytest.mark.parametrize(
    "options", [{"canary": 7}, {"alpha": 0}, {"share": 1}, {"share_alpha": 2}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(TokenRLError):
        PairGate(**{"stable": 7, "canary": 8} | options)

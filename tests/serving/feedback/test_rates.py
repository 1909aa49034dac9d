from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl.serving.feedback.rates import Rates


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 8)), max_size=30),
    st.floats(0.1, 5),
)
def test_nobody_gets_more_than_rate_and_burst(calls, rate):
    now = [0.0]
    rates = Rates(rate, 8, lambda: now[0])
    taken = 0
    for pause, count in calls:
        now[0] += pause
        wait = rates.wait("a", count)
        taken += 0 if wait else count
        assert taken <= 8 + rate * now[0] + 1e-6
        if wait:  # and who waits as told gets it
            now[0] += wait + 1e-6
            assert rates.wait("a", count) == 0
            taken += count


def test_senders_do_not_share(monkeypatch):
    rates = Rates(1, 2, lambda: 0.0)
    assert [rates.wait(who, 2) for who in "aab"] == [0, 2, 0]
    assert rates.wait("c", 3) == float("inf")

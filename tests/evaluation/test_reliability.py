import numpy as np
import pytest

from tf_tokenrl.evaluation.reliability import (
    expected_error,
    reliability,
    table,
)


def test_confidence_beside_accuracy():
    """Gaps of ln 3 are said with 3/4; two of three pairs are right."""
    gaps = np.log(3) * np.array([1.0, 1.0, -1.0])
    (found,) = reliability(gaps)
    assert (found.low, found.high, found.pairs) == (0.7, 0.8, 3)
    assert found.confidence == pytest.approx(0.75)
    assert found.accuracy == pytest.approx(2 / 3)
    assert expected_error([found]) == pytest.approx(0.75 - 2 / 3)
    assert "0.75  0.67" in table([found])


def test_a_model_of_constants_is_half_right():
    (found,) = reliability(np.zeros(4))
    assert found.accuracy == 0.5 and found.confidence == 0.5


def test_a_judge_who_is_as_sure_as_right_has_no_error():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0, 4, 40_000)
    right = rng.random(len(sure)) < 1 / (1 + np.exp(-sure))
    found = reliability(np.where(right, sure, -sure))
    assert expected_error(found) < 0.01
    assert sum(b.pairs for b in found) == len(sure)

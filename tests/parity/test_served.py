import pytest

from tests.support import tiny, toy
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.parity.served import record, served_equals_trainer, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policy():
    return tiny.policy("gpt2")


@pytest.fixture(scope="module")
def savedmodel(policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "headline" / "1"
    policy.export(path)
    return path


def test_the_policy_that_is_served(policy, savedmodel):
    found = served_equals_trainer(record(policy, toy.EXAMPLES), savedmodel)
    assert found["equal"]
    assert found["prompts"] == found["identical_answers"] == 8
    assert found["largest_log_prob_gap"] <= 1e-4


def test_a_policy_that_learned_on_since(policy, savedmodel):
    """Nearly the same: most answers are equal, their log-probs are not."""
    later = policy.frozen_copy()
    later.set_weights([1.01 * w for w in policy.get_weights()])
    found = served_equals_trainer(record(later, toy.EXAMPLES), savedmodel)
    assert not found["equal"]
    assert found["largest_log_prob_gap"] > 1e-4


def test_a_server_that_does_not_start(tmp_path):
    with (
        pytest.raises(TokenRLError, match="did not start") as caught,
        serving(tmp_path / "headline" / "1"),
    ):
        pytest.fail("it started")
    assert "\n" not in str(caught.value)

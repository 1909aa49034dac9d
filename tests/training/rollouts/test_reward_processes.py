"""Rewards in processes of their own give the same numbers and errors."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import reward_processes_check as check
from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response, Rollout
from tf_tokenrl.training.rollouts.reward_processes import RewardProcesses

ROWS = 23
CHECK = "tests.support.processes.reward_processes_check"


@pytest.fixture(scope="module")
def processes():
    with RewardProcesses(2) as made:
        yield made


@pytest.fixture
def batch():
    """Answers of different lengths to numbered prompts."""
    examples, responses = [], []
    for row in range(ROWS):
        text = "the sum of x and y is what it returns"[: row + 1]
        ids = (5,) * len(text)
        offsets = tuple((i, i + 1) for i in range(len(text)))
        examples.append(Example(f"p{row}", ("it returns the sum",), f"r{row}"))
        responses.append(Response(text, ids, offsets, row % 2 == 0))
    mask = np.arange(ROWS) <= np.arange(ROWS)[:, None]
    values = np.where(mask, -0.5, 0.0).astype(np.float32)
    ids = np.zeros(mask.shape, np.int32)
    rollout = Rollout(ids, mask, ids, mask, values, values, 2 * values)
    return examples, responses, rollout


def scored(processes, reward, batch):
    """What the processes say that a batch earns."""
    with reward.scored_by(processes):
        return reward(*batch)


@pytest.mark.parametrize(
    "text",
    [
        "rouge + 0.3 * bleu - 0.1 * kl",
        "dense(chrf) - repetition - unfinished",
        "length(target=3) + distinct + sentiment + token_accuracy",
        f"'{CHECK}:Fails'(prompts=['none of them'])",
    ],
)
def test_the_numbers_are_those_of_one_process(processes, batch, text):
    there = scored(processes, rewards.parse(text), batch)
    here = rewards.parse(text)(*batch)
    np.testing.assert_array_equal(there, here)


def test_the_rows_are_spread(processes, batch):
    found = np.unique(scored(processes, check.Pid(), batch)[batch[2].mask])
    found = set(found[found > 0].astype(int))
    assert os.getpid() % 1_000_000 not in found
    assert 1 <= len(found) <= 2


def test_they_start_without_tensorflow(processes, batch):
    assert "tensorflow" in sys.modules
    assert not scored(processes, check.HasTensorflow(), batch).any()


def test_the_first_error_is_told_and_the_next_batch_works(processes, batch):
    reward = check.Fails(["p20", "p7", "p3"])
    for _ in range(3):
        with pytest.raises(TokenRLError, match='KeyError.* example "r3"') as e:
            scored(processes, reward, batch)
    assert "reward_processes_check.py" in str(e.value)
    assert "Traceback" in e.value.__notes__[0]
    assert scored(processes, check.Fails(), batch).sum() == pytest.approx(
        0.5 * ROWS
    )


def test_ctrl_c_does_not_reach_them(processes, batch):
    assert scored(processes, check.Presses(), batch).sum() == ROWS


def test_a_process_that_dies_is_told_and_replaced(processes, batch):
    with pytest.raises(TokenRLError, match="killed by signal 9.*memory"):
        scored(processes, check.Dies(), batch)
    assert scored(processes, check.Fails(), batch).sum() == pytest.approx(
        0.5 * ROWS
    )


def test_what_cannot_travel_is_named(processes, batch):
    class Local(check.Pid):
        pass

    with pytest.raises(TokenRLError, match="Local.* cannot be sent"):
        scored(processes, Local(), batch)
    with pytest.raises(TokenRLError, match="cannot be built in a process"):
        scored(processes, check.Unreadable(), batch)


def test_batch_rewards_stay_here(processes, batch):
    seen = []

    class Together(check.Pid):
        def score_batch(self, examples, responses):
            seen.append(os.getpid())
            return [1.0] * len(examples)

    assert scored(processes, Together(), batch).sum() == ROWS
    assert seen == [os.getpid()]


def test_an_interrupted_batch_leaves_nothing_behind(processes, batch):
    """As a second Ctrl-C does, an error falls between two answers."""
    from tf_tokenrl.training.rollouts import reward_processes

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reward_processes, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scored(processes, check.Fails(["p0"]), batch)
    assert scored(processes, check.Fails(), batch).sum() == pytest.approx(
        0.5 * ROWS
    )


def test_nothing_is_left_after_the_block(batch):
    before = set(multiprocessing.active_children())
    with RewardProcesses(1) as processes:
        scored(processes, check.Fails(), batch)
        assert len(set(multiprocessing.active_children()) - before) == 1
    assert set(multiprocessing.active_children()) == before


def test_none_start_nothing(batch):
    before = set(multiprocessing.active_children())
    with RewardProcesses(0) as processes:
        scored(processes, check.Fails(), batch)
        assert set(multiprocessing.active_children()) == before
    with pytest.raises(TokenRLError, match="0 or more"):
        RewardProcesses(-1)


def test_they_end_when_their_parent_is_killed(tmp_path):
    """Who waits for the pipe waits for all who hold it."""
    code = """
        import os, signal
        from tests.support.processes import reward_processes_check as check
        from tf_tokenrl.flow import Example, Response
        from tf_tokenrl.training.rollouts import reward_processes

        if __name__ == "__main__":
            with reward_processes.RewardProcesses(1) as processes:
                rows = [Example("x")], [Response("a", (5,), ((0, 1),), True)]
                processes(check.Fails(), *rows)
                os.kill(os.getpid(), signal.SIGKILL)
    """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == -signal.SIGKILL


def test_a_reward_that_hangs_is_given_up(batch):
    with (
        RewardProcesses(1, seconds=5) as processes,
        pytest.raises(TokenRLError, match="No reward came.*5 seconds"),
    ):
        scored(processes, check.Hangs(), batch)

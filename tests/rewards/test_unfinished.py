"""The penalty of an answer that was cut off."""

import numpy as np

from tf_tokenrl import rewards


def test_only_the_cut_answer_is_marked_once_on_its_last_token(
    examples, responses, make_rollout
):
    rollout = make_rollout(responses)
    result = rewards.get("unfinished")(examples, responses, rollout)
    assert result.sum() == 1
    assert result[4, np.flatnonzero(rollout.mask[4])[-1]] == 1

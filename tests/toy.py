"""A tiny run: a few prompts, one token to count, and a trainer."""

import keras

from tests import tiny
from tf_tokenrl import algorithms
from tf_tokenrl.flow import Example
from tf_tokenrl.rewards import Reward
from tf_tokenrl.trainer import Trainer

EXAMPLES = [
    Example(prompt, (prompt,), f"row-{index}")
    for index, prompt in enumerate(
        [
            "the name",
            "open a given file",
            "return",
            "the number of a list",
            "value or name",
            "a file",
            "list the given value",
            "open the list",
        ]
    )
]


class Count(Reward):
    """`worth` for each occurrence of one token, on the token itself."""

    def __init__(self, token: int = 5, worth: float = 1.0):
        self.token = token
        self.worth = worth

    def score(self, example, response):
        return [self.worth * (i == self.token) for i in response.token_ids]


def trainer(
    name: str = "gru",
    algorithm: str = "ppo",
    learning_rate: float = 1e-2,
    options: dict | None = None,
    policy: dict | None = None,
    **settings,
):
    """A trainer over a fresh tiny policy, in the current strategy's scope."""
    made = tiny.policy(name, **(policy or {}))
    settings.setdefault("reference", made.frozen_copy())
    settings.setdefault("reward", Count())
    return Trainer(
        made,
        algorithm=algorithms.get(algorithm, **(options or {})),
        optimizer=keras.optimizers.Adam(learning_rate, epsilon=1e-5),
        **settings,
    )

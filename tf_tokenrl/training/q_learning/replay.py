"""What was lived through, to be learned from again."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tf_tokenrl.training.q_learning.agents import (
    PyUniformReplayBuffer,
    Trajectory,
    time_step,
    to_array_spec,
)


class Replay:
    """TF-Agents' uniform replay buffer, filled answer by answer.

    Args:
        spec: of one frame; an agent's `collect_data_spec`.
        capacity: frames held; an answer of L tokens takes L + 1, for its last
            state is a frame too. The oldest frames are overwritten.
    """

    def __init__(self, spec: Trajectory, capacity: int):
        self.buffer = PyUniformReplayBuffer(to_array_spec(spec), capacity)

    def __len__(self) -> int:
        """Frames that are in it."""
        return int(self.buffer.size)

    def add(self, states: Sequence, actions: Sequence[int]) -> None:
        """Add one whole answer.

        Args:
            states: L + 1 time steps.
            actions: the L tokens chosen between them.
        """
        end = time_step.restart(states[0].observation)
        following = [*states[1:], end]
        for now, action, later in zip(
            states, [*actions, 0], following, strict=True
        ):
            frame = Trajectory(
                now.step_type,
                now.observation,
                np.int32(action),
                (),
                later.step_type,
                later.reward,
                later.discount,
            )
            self.buffer.add_batch(tf.nest.map_structure(_row, frame))

    def draw(self, rows: int, frames: int, seed: Sequence[int]) -> Trajectory:
        """`rows` stretches of `frames` neighbours, `[rows, frames, ...]`.

        A stretch may run into the next answer; the agent leaves out what
        starts at the end of one, and the discount 0 at the end cuts the rest.

        Args:
            rows: how many.
            frames: how long, not longer than what is in the buffer.
            seed: the same draws from the same buffer for the same seed.
        """
        with _numpy_seed(seed):  # the buffer draws with NumPy's global state
            drawn = self.buffer.get_next(rows, frames)
        return tf.nest.map_structure(tf.constant, drawn)


def _row(x) -> np.ndarray:
    return np.asarray(x)[None]


@contextlib.contextmanager
def _numpy_seed(seed: Sequence[int]) -> Iterator[None]:
    before = np.random.get_state()
    np.random.seed(np.random.SeedSequence(seed).generate_state(4))
    try:
        yield
    finally:
        np.random.set_state(before)

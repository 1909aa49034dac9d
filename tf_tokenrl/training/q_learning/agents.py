"""The one place where TF-Agents is imported, with its reasons to fail.

TF-Agents is written for Keras 2 and finds it as `tf.keras`. Which Keras that
is, TensorFlow decides once per process, by `TF_USE_LEGACY_KERAS`. Policies
are Keras 3 all the same, for they use `import keras`.
"""

import contextlib
import importlib.util
import io
import warnings

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError

if importlib.util.find_spec("tf_agents") is None:
    raise TokenRLError(
        "Q-learning needs TF-Agents, which is not installed and whose pinned "
        "requirements install on Python 3.11 only: use that Python."
    )
if not tf.keras.layers.Layer.__module__.startswith("tf_keras"):
    raise TokenRLError(
        "Q-learning needs TF-Agents, and TF-Agents Keras 2 as tf.keras: set "
        "TF_USE_LEGACY_KERAS=1 before TensorFlow is imported."
    )

# On import its dependency gym prints advice, and others warn.
with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tf_agents.agents.dqn.dqn_agent import DdqnAgent, DqnAgent
    from tf_agents.environments.py_environment import PyEnvironment
    from tf_agents.networks.network import Network
    from tf_agents.replay_buffers.py_uniform_replay_buffer import (
        PyUniformReplayBuffer,
    )
    from tf_agents.specs.array_spec import BoundedArraySpec
    from tf_agents.specs.tensor_spec import from_spec, to_array_spec
    from tf_agents.trajectories import time_step
    from tf_agents.trajectories.trajectory import Trajectory

__all__ = [
    "BoundedArraySpec",
    "DdqnAgent",
    "DqnAgent",
    "Network",
    "PyEnvironment",
    "PyUniformReplayBuffer",
    "Trajectory",
    "from_spec",
    "time_step",
    "to_array_spec",
]

"""A policy as the network of a TF-Agents agent."""

import tensorflow as tf

from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.q_learning.agents import Network
from tf_tokenrl.training.q_learning.q_values import q_values


class QNetwork(Network):
    """`q_values` of a policy, whose own weights the agent trains.

    The network is a Keras 2 layer and the policy a Keras 3 model. They share
    nothing but `tf.Variable`s.

    Args:
        input_tensor_spec: of `TokenEnvironment`'s observations.
        policy: gives the values.
        actions: how many there are.
        name: for TF-Agents' messages.
    """

    def __init__(
        self, input_tensor_spec, policy: Policy, actions: int, name="QNetwork"
    ):
        super().__init__(input_tensor_spec, state_spec=(), name=name)
        self._policy = lambda: policy  # hidden from Keras 2's tracking
        # A policy has its variables; TF-Agents need not try it out.
        self._network_output_spec = tf.TensorSpec([actions], tf.float32)
        self.built = True

    def call(
        self, observation, step_type=None, network_state=(), training=False
    ):
        """Q float32 `[B, V]`, and the state, which there is none of."""
        return q_values(self._policy(), observation), network_state

    @property
    def weights(self) -> list[tf.Variable]:
        """Those of the policy, in its order."""
        return _values(self._policy().weights)

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """Those that the agent changes."""
        return _values(self._policy().trainable_weights)

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """Those that stay."""
        return _values(self._policy().non_trainable_weights)

    @property
    def losses(self) -> list:
        """Regularisation is not of the reward's making: none."""
        return []


def _values(variables) -> list[tf.Variable]:
    return [variable.value for variable in variables]

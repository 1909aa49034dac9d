"""Q-learning: the token environment, and TF-Agents' DQN on it.

`dqn` holds the options and `q_values` reads Q out of a policy; the other
modules need TF-Agents, which `agents` alone imports.
"""

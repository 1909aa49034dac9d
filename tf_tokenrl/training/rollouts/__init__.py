"""Where rollouts come from: sampling, imitation, exploration, rewards."""

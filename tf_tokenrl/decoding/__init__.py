"""From prompts to rollouts: the decode loop, sampling, prefixes, caches."""

"""The life of a model's versions: found, loaded, served, unloaded."""

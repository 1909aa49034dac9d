"""Requests joined into one run of a model.

    batcher = batcher_for(flags)
    servable = batcher.wrap(Servable(path, tags, config), path)

What is wrapped is used like a servable; its `run` waits for others to join.
"""

from tf_tokenrl.serving.batching.batched import Batcher, batcher_for

__all__ = ["Batcher", "batcher_for"]

"""Make one policy of the weights of several."""

from pathlib import Path

from tf_tokenrl.options.fuse import FuseOptions
from tf_tokenrl.policies import fusion, storage


def main(options: FuseOptions) -> Path:
    """Fuse, save, and say where."""
    policies = [storage.load(path) for path in options.policies]
    if options.method == "interpolation":
        fused = fusion.interpolate(policies, options.weights)
    else:
        base = storage.load(options.base)
        fused = fusion.add_task_vectors(base, policies, options.weights)
    path = storage.save(fused, options.out)
    print(f"Fused policy: {path}")
    return path

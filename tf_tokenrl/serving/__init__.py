"""The embedded server: TensorFlow Serving's two APIs in one process.

    with serving.Server(serving.Flags(model_base_path=path, port=0)) as server:
        client = Client(f"localhost:{server.port}", model="default")

It serves any SavedModel through the session of the TensorFlow runtime, as
the stock server does, and knows nothing of the models of this project.

TensorFlow is imported with the first server, so that the flags are read, and
mistakes in them reported, at once.
"""

import importlib

from tf_tokenrl.serving.flags import Flags, parse

__all__ = ["Flags", "Server", "parse", "serve"]


def __getattr__(name: str):
    if name in ("Server", "serve"):
        module = importlib.import_module("tf_tokenrl.serving.server")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Which extra of the package brings a module that is not installed."""

import contextlib
import importlib.metadata
import re
from collections.abc import Iterator

from tf_tokenrl.errors import TokenRLError

_DISTRIBUTION = "tf_tokenrl"
# Modules that are not called as the distribution that brings them.
_BROUGHT_BY = {
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "harper": "harper-py",
    "language_tool_python": "language-tool-python",
    "tensorflow_serving": "tensorflow-serving-api",
}


def extra_of(module: str) -> str | None:
    """The first extra that installs `module`, None if none does.

    Args:
        module: a name as in `import`, such as "keras_hub.models".
    """
    top = module.partition(".")[0]
    wanted = _BROUGHT_BY.get(top, top.lower().replace("_", "-"))
    for line in importlib.metadata.requires(_DISTRIBUTION) or ():
        # Such as: keras-hub>=0.29; extra == "train"
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if name and extra and name[0].lower() == wanted:
            return extra[1]
    return None


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """Say in one sentence which extra brings a module that is missing.

    Raises:
        TokenRLError: an extra brings it; another missing module raises
            `ModuleNotFoundError` as always.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        raise TokenRLError(
            f'This needs the module "{error.name}", which is not installed: '
            f'run pip install "{_DISTRIBUTION}[{extra}]".'
        ) from error

"""Parameter-efficient tuning: one file per method.

adapter = rl.adapters.get("lora", rank=16)
adapter = rl.adapters.parse("lora(rank=16, roles=('query', 'value'))")
policy.add_adapter("a", adapter)
"""

import sys

from tf_tokenrl import catalog, expressions
from tf_tokenrl.adapters.base import Adapter

__all__ = ["Adapter", "get", "parse"]


def get(name: str, /, **options) -> Adapter:
    """Build the adapter called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, or an option that cannot be.
    """
    return catalog.create(FAMILY.package, name, **options)


def parse(expression: str) -> Adapter:
    """Build the adapter that an expression describes; nothing is evaluated.

        bitfit
        lora(rank=16, alpha=32, roles=('query', 'value'))

    Raises:
        TokenRLError: bad syntax, an unknown name, or an option that does not
            fit; the message says at which character.
    """
    return expressions.parse(expression, _LANGUAGE)


FAMILY = expressions.Family("adapter", sys.modules[__name__], Adapter, get)
_LANGUAGE = expressions.Language("adapter", (FAMILY,))

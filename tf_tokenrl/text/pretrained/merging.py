r"""Byte-pair merges, run exactly by SentencePiece's op.

Byte-pair encoding merges the pair of neighbours that comes first in a list,
again and again. SentencePiece merges neighbours whose *joined text* is in the
vocabulary, the best score first. Give each token minus the place of its last
merge as score, and both do the same, provided that every token is what its own
text is encoded as: whatever two neighbours join to a token, the region they
cover went through the states that encoding this token alone goes through, and
of those only one has two pieces. Tokens of which this is not true (control
tokens, mostly) are found once, when the tokenizer is built, and left out: no
merges lead to them.

So there is no loop over merges in the graph and no table of words that grows.

Source: Sennrich et al. (2016), "Neural Machine Translation of Rare Words with
Subword Units".
"""

import functools
import itertools
import tempfile
from collections.abc import Sequence
from typing import Any

import sentencepiece
import tensorflow as tf
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as model_pb2

from tf_tokenrl.errors import TokenRLError

ModelProto: Any = vars(model_pb2)["ModelProto"]  # made at run time


def scores(
    vocabulary: dict[str, int], merges: list, byte_fallback: bool = False
) -> dict[str, float]:
    """The score of each token that its own text is encoded as.

    Args:
        vocabulary: tokens and their ids.
        merges: pairs, best first, each in one string or two.
        byte_fallback: whether bytes stand in for unknown characters.

    Raises:
        TokenRLError: a merge has a token that is not in the vocabulary.
    """
    pairs = [tuple(m.split(" ") if isinstance(m, str) else m) for m in merges]
    try:
        model = tokenizers.models.BPE(
            vocabulary, pairs, byte_fallback=byte_fallback
        )
    except Exception as error:  # the package raises nothing finer
        raise TokenRLError(
            f"The tokenizer's merges do not fit its vocabulary: {error}"
        ) from error
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    of_token: dict[str, list[int]] = {}
    for pair, rank in ranks.items():
        of_token.setdefault("".join(pair), []).append(rank)
    return {
        token: -float(_last_merge(token, of_token.get(token, [0]), ranks))
        for token, i in vocabulary.items()
        if [found.id for found in model.tokenize(token)] == [i]
    }


def _last_merge(token: str, own: list[int], ranks: dict) -> int:
    """The place in the list of the merge that completes a token."""
    if own[-1] - own[0] == len(own) - 1:
        return own[0]  # no other token's merges lie between: order is equal
    parts = list(token)
    rank = own[0]
    while len(parts) > 1:
        pairs = [ranks.get(p, len(ranks)) for p in itertools.pairwise(parts)]
        rank = min(pairs)
        place = pairs.index(rank)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return rank


@functools.cache
def idle_normalisation() -> bytes:
    """Rules that change nothing here: without any, each load writes a log.

    The only rule is for a sequence of three characters of private use.
    """
    written: list[bytes] = []
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("E001 E002 E003\tE001 E002 E004\n")
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b"]),
            model_writer=_Written(written),
            model_type="char",
            vocab_size=6,
            normalization_rule_tsv=rules.name,
            minloglevel=2,
        )
    proto = ModelProto.FromString(b"".join(written))
    return proto.normalizer_spec.precompiled_charsmap


class _Written:
    """A file that keeps what is written."""

    def __init__(self, written: list[bytes]):
        self.write = written.append


def joined(ids: tf.RaggedTensor, texts: Sequence[bytes]) -> tf.Tensor:
    """Ragged ids `[B, L]` -> the bytes of their texts, string `[B]`.

    A model may have more rows than there are tokens; those write nothing.
    """
    table = tf.constant([*texts, b""], tf.string)
    flat = tf.minimum(ids.flat_values, len(texts))
    chosen = ids.with_flat_values(tf.gather(table, flat))
    return tf.strings.reduce_join(chosen, axis=-1)

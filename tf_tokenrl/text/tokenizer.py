"""SentencePiece tokenizers: trained on a corpus, run inside the graph.

The first ids are fixed: 0 padding, 1 unknown, 2 start, 3 stop. Bytes stand in
for rare characters, so that no text is unknown. Text is normalised by the
model itself (NFKC, runs of white space are one space), in training and in
serving alike.

Source: Kudo and Richardson (2018), "SentencePiece".
"""

import io
import re
from collections.abc import Iterable
from os import PathLike

import sentencepiece

from tf_tokenrl.errors import TokenRLError

PADDING, UNKNOWN, START, STOP = range(4)
_NORMALISATION = "nmt_nfkc"
_FEWEST = 4 + 256 + 1  # the fixed ids, the bytes and the space
_LONGEST_TEXT = 1 << 20  # bytes; longer ones would be left out in silence


def train_sentencepiece(texts: Iterable[str], vocabulary_size: int) -> bytes:
    """Train a tokenizer; equal texts give equal bytes.

    Args:
        texts: the corpus, in any order that is always the same.
        vocabulary_size: number of ids, the 4 fixed ones and 256 bytes
            included.

    Raises:
        TokenRLError: the corpus is empty, or too small or too varied for the
            vocabulary.
    """
    model = io.BytesIO()
    corpus = [text for text in texts if text.strip()]
    if not corpus:
        raise TokenRLError(
            "Cannot train a tokenizer on no text; give at least one example."
        )
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocabulary_size,
            byte_fallback=True,
            normalization_rule_name=_NORMALISATION,
            max_sentence_length=_LONGEST_TEXT,
            pad_id=PADDING,
            unk_id=UNKNOWN,
            bos_id=START,
            eos_id=STOP,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _wrong_size(vocabulary_size, str(error)) from error
    return model.getvalue()


def load_processor(proto: bytes | str | PathLike):
    """The `sentencepiece` library's own processor, without TensorFlow."""
    return sentencepiece.SentencePieceProcessor(model_proto=_bytes(proto))


def load_tokenizer(proto: bytes | str | PathLike):
    """The same tokenizer as a KerasHub layer, for policies and export.

    Args:
        proto: the trained model or the path of its file.

    Returns:
        a `keras_hub.tokenizers.SentencePieceTokenizer`.

    Raises:
        TokenRLError: the file is missing or is no SentencePiece model.
    """
    import keras_hub  # seconds; preparing data needs no TensorFlow

    return keras_hub.tokenizers.SentencePieceTokenizer(proto=_bytes(proto))


def _bytes(proto: bytes | str | PathLike) -> bytes:
    if isinstance(proto, bytes):
        return proto
    try:
        with open(proto, "rb") as file:
            model = file.read()
        sentencepiece.SentencePieceProcessor(model_proto=model)
    except (OSError, RuntimeError) as error:
        raise TokenRLError(
            f'Cannot read a SentencePiece model from "{proto}" ({error}); '
            "`tf-tokenrl prepare` writes one as tokenizer.spm."
        ) from error
    return model


def _wrong_size(size: int, reason: str) -> TokenRLError:
    least = re.search(r"\d+ vs (\d+)", reason)
    most = re.search(r"value <= (\d+)", reason)
    if most:
        remedy = f"it is enough for {most.group(1)}; ask for at most that"
    else:
        fewest = least.group(1) if least else _FEWEST
        remedy = f"its characters need at least {fewest}; ask for more"
    return TokenRLError(
        f"A vocabulary of {size} tokens does not fit this corpus: {remedy}."
    )

"""SentencePiece tokenizers: trained on a corpus, run inside the graph.

The first ids are fixed: 0 padding, 1 unknown, 2 start, 3 stop. Bytes stand in
for rare characters, so that no text is unknown. The model changes no character
of a text; what is cleaned is `text.preparation`'s to say, in training and in
serving alike.

Source: Kudo and Richardson (2018), "SentencePiece".
"""

import io
import re
import tempfile
from collections.abc import Iterable
from os import PathLike

import sentencepiece

from tf_tokenrl.errors import TokenRLError

PADDING, UNKNOWN, START, STOP = range(4)
_FEWEST = 4 + 256 + 1  # the fixed ids, the bytes and the space
_LONGEST_TEXT = 1 << 20  # bytes; longer ones would be left out in silence


def train_sentencepiece(
    texts: Iterable[str], vocabulary_size: int, keep_spaces: bool = False
) -> bytes:
    """Train a tokenizer; equal texts give equal bytes.

    Args:
        texts: the corpus, in any order that is always the same.
        vocabulary_size: number of ids, the 4 fixed ones and 256 bytes
            included.
        keep_spaces: tell two spaces from one, and spaces at the ends.

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
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rule:
            # Of no rule at all every start would tell; this one changes what
            # is not a character (U+FDD0).
            rule.write("FDD0\tFFFD\n")
            rule.flush()
            _train(corpus, model, vocabulary_size, keep_spaces, rule.name)
    except RuntimeError as error:
        raise _wrong_size(vocabulary_size, str(error)) from error
    return _without_path(model.getvalue())


def _without_path(proto: bytes) -> bytes:
    """The model without the name of the file that its rule came from."""
    from sentencepiece import sentencepiece_model_pb2

    # The generated module defines its classes at run time.
    message = getattr(sentencepiece_model_pb2, "ModelProto")  # noqa: B009
    model = message.FromString(proto)
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    return model.SerializeToString(deterministic=True)


def _train(
    corpus: list[str],
    model: io.BytesIO,
    vocabulary_size: int,
    keep_spaces: bool,
    rule: str,
) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary_size,
        byte_fallback=True,
        normalization_rule_tsv=rule,
        remove_extra_whitespaces=not keep_spaces,
        max_sentence_length=_LONGEST_TEXT,
        pad_id=PADDING,
        unk_id=UNKNOWN,
        bos_id=START,
        eos_id=STOP,
        num_threads=1,
        minloglevel=2,
    )


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


def truncate(processor, text: str, limit: int, keep: str = "start") -> str:
    """The part of a text that has at most `limit` tokens, its own.

    A text that fits is returned as it is. Otherwise the cut is where a token
    begins or ends, and encoding the part anew gives at most `limit` tokens.

    Args:
        processor: see `load_processor`.
        text: the text.
        limit: most tokens.
        keep: which end of the text stays, "start" or "end".
    """
    ids = whole = processor.encode(text)
    length = limit
    while len(ids) > limit:
        kept = (
            whole[:length] if keep == "start" else whole[len(whole) - length :]
        )
        text = processor.decode(kept).strip("\ufffd ")
        length -= 1
        ids = processor.encode(text)
    return text


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

"""Answers in the shape of OpenAI's completions, whole or in chunks."""

import codecs
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from tf_tokenrl.serving.generation.completions import Asked
from tf_tokenrl.serving.generation.pending_request import Piece, Token

Json = dict[str, Any]


class Completion:
    """`text_completion`.

    Args:
        asked: the request.
        version: of the model.
    """

    kind, chunk_kind, prefix = "text_completion", "text_completion", "cmpl"

    def __init__(self, asked: Asked, version: int):
        self._asked = asked
        self._kept: list[list[Piece]] = [[] for _ in asked.requests]
        self._echoes = [
            request.prompt.decode(errors="replace") if asked.echo else ""
            for request in asked.requests
        ]
        self._offsets = [_Offset(len(echo)) for echo in self._echoes]
        self._rest: Json = {"usage": None} if asked.usage else {}
        self._head = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": f"{asked.model}/{version}",
        }

    def chunks(self, piece: Piece) -> list[Json]:
        """What a stream sends for the next piece."""
        kept, choices = self._kept[piece.row], []
        if not kept:
            choices = self._opening(piece.row)
        kept.append(piece)
        if piece.text or piece.finish or self._asked.log_probs:
            choices = [*choices, self._part(piece)]
        return [
            self._object(self.chunk_kind, [choice], **self._rest)
            for choice in choices
        ]

    def end(self) -> list[Json]:
        """What a stream sends last."""
        if not self._asked.usage:
            return []
        return [self._object(self.chunk_kind, [], usage=self._usage())]

    def whole(self, pieces: Iterable[Piece]) -> Json:
        """One reply with every answer."""
        for piece in pieces:
            self._kept[piece.row].append(piece)
        choices = [self._choice(answer) for answer in self._kept]
        return self._object(self.kind, choices, usage=self._usage())

    def _opening(self, index: int) -> list[Json]:
        echo = self._echoes[index]
        return [self._shaped(index, echo, [], "")] if echo else []

    def _choice(self, answer: Sequence[Piece]) -> Json:
        return self._shaped(
            answer[-1].row,
            self._echoes[answer[-1].row]
            + "".join(piece.text for piece in answer),
            [token for piece in answer for token in piece.tokens],
            answer[-1].finish,
        )

    def _part(self, piece: Piece) -> Json:
        return self._shaped(piece.row, piece.text, piece.tokens, piece.finish)

    def _shaped(
        self, index: int, text: str, tokens: Sequence[Token], finish: str
    ) -> Json:
        return {
            "index": index,
            "text": text,
            "logprobs": self._log_probs(index, tokens),
            "finish_reason": finish or None,
        }

    def _log_probs(self, index: int, tokens: Sequence[Token]) -> Json | None:
        if not self._asked.log_probs:
            return None
        offset = self._offsets[index]
        offsets = [offset.before(token) for token in tokens]
        return {
            "tokens": [_readable(token) for token in tokens],
            "token_logprobs": [token.log_prob for token in tokens],
            "top_logprobs": None,
            "text_offset": offsets,
        }

    def _usage(self) -> Json:
        """Counts of tokens; a prompt counts once, however many answers."""
        first = self._kept[:: self._asked.choices]
        prompt = sum(answer[-1].prompt_tokens for answer in first)
        written = sum(len(p.tokens) for answer in self._kept for p in answer)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        }

    def _object(self, kind: str, choices: list[Json], **rest: Any) -> Json:
        return {**self._head, "object": kind, "choices": choices, **rest}


class ChatCompletion(Completion):
    """`chat.completion`."""

    kind, chunk_kind = "chat.completion", "chat.completion.chunk"
    prefix = "chatcmpl"

    def _opening(self, index: int) -> list[Json]:
        delta = {"role": "assistant", "content": ""}
        return [self._delta(index, delta, None, "")]

    def _part(self, piece: Piece) -> Json:
        delta = {"content": piece.text} if piece.text else {}
        log_probs = self._log_probs(piece.row, piece.tokens)
        return self._delta(piece.row, delta, log_probs, piece.finish)

    def _delta(
        self, index: int, delta: Json, log_probs: Json | None, finish: str
    ) -> Json:
        return {
            "index": index,
            "delta": delta,
            "logprobs": log_probs,
            "finish_reason": finish or None,
        }

    def _shaped(
        self, index: int, text: str, tokens: Sequence[Token], finish: str
    ) -> Json:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {
            "index": index,
            "message": message,
            "logprobs": self._log_probs(index, tokens),
            "finish_reason": finish,
        }

    def _log_probs(self, index: int, tokens: Sequence[Token]) -> Json | None:
        if not self._asked.log_probs:
            return None
        content = [
            {
                "token": _readable(token),
                "logprob": token.log_prob,
                "bytes": list(token.text),
                "top_logprobs": [],
            }
            for token in tokens
        ]
        return {"content": content, "refusal": None}


class _Offset:
    """Where each token begins, in characters that are complete before it."""

    def __init__(self, start: int):
        self._next = start
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def before(self, token: Token) -> int:
        here = self._next
        self._next += len(self._decoder.decode(token.text))
        return here


def _readable(token: Token) -> str:
    """The token's text; where it is no text of its own, its bytes."""
    try:
        return token.text.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.text)

"""The page, and what it asks: `/playground/...`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

import tf_tokenrl
from tf_tokenrl.client import AsyncClient, ServingError
from tf_tokenrl.client.steps import Step, Token, steps
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, FeedbackStore
from tf_tokenrl.serving.feedback.routes import (
    AsciiResponse,
    Collector,
    read_json,
)
from tf_tokenrl.serving.playground.pairs import SIDES, Pairs
from tf_tokenrl.serving.playground.questions import Question, read_question

_HERE = Path(__file__).parent / "page"
_REPORT = Path(tf_tokenrl.__file__).parent / "report" / "page"
_FILES = {
    "": (_HERE / "playground.html", "text/html"),
    "playground.js": (_HERE / "playground.js", "text/javascript"),
    "playground.css": (_HERE / "playground.css", "text/css"),
    "heat_map.js": (_REPORT / "heat_map.js", "text/javascript"),
    "heat_map.css": (_REPORT / "heat_map.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_BODY_BYTES = 2**20
_AT_ONCE = 8  # answers that the page may have under way


class Playground:
    """Asks a server for the page and keeps what people say.

    Args:
        collector: takes the records, and says who may write.
        address: gives "host:port" of the server's gRPC, when it is asked.
        model: the name under which the model is served.
        labels: two version labels to compare; none for no comparison.
    """

    def __init__(
        self,
        collector: Collector,
        address: Callable[[], str],
        model: str,
        labels: Sequence[str] = (),
    ):
        if len(labels) not in (0, 2):
            raise TokenRLError(
                "Comparing takes two labels: give STABLE,CANARY, or none."
            )
        self._collector = collector
        self._address, self._model = address, model
        self._labels = tuple(labels)
        self._pairs = Pairs()
        self._client: AsyncClient | None = None
        self._free = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[Route]:
        """The routes of the page."""
        base = "/playground"
        return [
            Route(base, self._redirect),
            Route(f"{base}/api/settings", self._settings),
            Route(f"{base}/api/answers", self._answers, methods=["POST"]),
            Route(f"{base}/api/judgements", self._judge, methods=["POST"]),
            Route(f"{base}/{{name}}", self._file),
            Route(f"{base}/", self._file),
        ]

    async def _redirect(self, request: Request) -> Response:
        return RedirectResponse("/playground/")

    async def _file(self, request: Request) -> Response:
        self._collector.guard.check_site(request)
        name = request.path_params.get("name", "")
        if name not in _FILES:
            raise HTTPException(404, f'The playground has no "{name}".')
        path, kind = _FILES[name]
        text = await run_in_threadpool(path.read_bytes)
        return Response(text, media_type=kind, headers=_HEADERS)

    async def _settings(self, request: Request) -> Response:
        self._collector.guard.check_site(request)
        found = {"model": self._model, "compares": bool(self._labels)}
        return JSONResponse(found, headers=_HEADERS)

    async def _answers(self, request: Request) -> Response:
        """Write one answer or two, told as server-sent events."""
        self._collector.guard.check_write(request)
        fields = await read_json(request, _BODY_BYTES)
        try:
            question = read_question(fields)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        if question.compare and not self._labels:
            raise HTTPException(400, "This server compares no versions.")
        self._collector.check_rate(request, 1)
        headers = _HEADERS | {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._events(question),
            media_type="text/event-stream",
            headers=headers,
        )

    async def _events(self, question: Question) -> AsyncIterator[str]:
        """Events of all sides as they come; those of one end with its key."""
        sides: dict[str, str | None] = {"": None}
        if question.compare:
            sides = dict(self._pairs.deal(self._labels))
        news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._write(question, side, label, news))
            for side, label in sides.items()
        ]
        keys: dict[str, str] = {}
        ended = 0
        try:
            while ended < len(tasks):
                event = await news.get()
                ended += "error" in event or "key" in event
                if "key" in event:
                    keys[event["key"]] = event["side"]
                    if len(keys) == len(SIDES):  # before a vote can come
                        self._pairs.show(keys)
                yield f"data: {json.dumps(event)}\n\n"
        finally:
            for task in tasks:
                task.cancel()

    async def _write(
        self,
        question: Question,
        side: str,
        label: str | None,
        news: asyncio.Queue,
    ) -> None:
        """One answer; it is stored before its end is told."""
        try:
            async with self._free:
                tokens: list[Token] = []
                step = Step("", (), "length", 0, False)
                async for step in steps(
                    self._asked(), question.prompt, label, **question.sampling
                ):
                    tokens += step.tokens
                    news.put_nowait(_event(side, step))
                answer = self._answer(question, label, step, tokens)
                receipts = await run_in_threadpool(
                    self._collector.store.append, [answer]
                )
            if not receipts[0].safe:
                raise TokenRLError(receipts[0].reason)
            told: dict[str, Any] = {
                "side": side,
                "key": answer.key,
                "finish": step.finish,
            }
            if not question.compare:
                told["version"] = step.version
            news.put_nowait(told)
        except (TokenRLError, ServingError) as error:
            news.put_nowait({"side": side, "error": str(error)})

    def _answer(
        self,
        question: Question,
        label: str | None,
        step: Step,
        tokens: Sequence[Token],
    ) -> Answer:
        ends = tuple(token.end for token in tokens)
        return Answer(
            model=self._model,
            version=step.version,
            label=label or "",
            prompt=question.prompt,
            text=step.text,
            token_ids=tuple(token.id for token in tokens),
            log_probs=tuple(token.log_prob for token in tokens),
            ends=() if -1 in ends else ends,
            finish=step.finish,
            user_hash=question.user,
            **question.sampling,
        )

    async def _judge(self, request: Request) -> Response:
        """Store judgements; a pair that is stored tells who wrote what."""
        self._collector.guard.check_write(request)
        records = [
            self._pairs.place(record)
            for record in await self._collector.read(request)
            if isinstance(record, dict) and "answer" in record
        ]
        receipts = await self._collector.append(request, records)
        told: dict[str, Any] = {"results": [r._asdict() for r in receipts]}
        for record, receipt in zip(records, receipts, strict=True):
            if record.get("kind") == "pair" and receipt.safe:
                self._pairs.close(record)
                keys = [str(record["answer"]), str(record["other"])]
                told["written_by"] = await run_in_threadpool(self._who, keys)
        status = 200 if all(r.safe for r in receipts) else 422
        return AsciiResponse(told, status, headers=_HEADERS)

    def _who(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Key -> version and label of an answer, as it was stored."""
        store = self._collector.store
        if not isinstance(store, FeedbackStore):
            return {}
        answers = [store.get(key) for key in keys]
        return {
            a.key: {"version": a.version, "label": a.label} for a in answers
        }

    def _asked(self) -> AsyncClient:
        if self._client is None:  # it belongs to the loop that runs now
            self._client = AsyncClient(self._address(), self._model)
        return self._client


def _event(side: str, step: Step) -> dict[str, Any]:
    tokens = [
        {"log_prob": t.log_prob, "value": t.value, "end": t.end}
        for t in step.tokens
    ]
    return {
        "side": side,
        "text": step.text,
        "tokens": tokens,
        "truncated": step.truncated,
    }

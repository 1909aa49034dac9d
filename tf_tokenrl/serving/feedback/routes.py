"""`/v1/feedback/...`: records in, a receipt for each out."""

import dataclasses
import json
import math
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Receipt
from tf_tokenrl.feedback.remote import PATH, Sink
from tf_tokenrl.serving.feedback.guard import Guard
from tf_tokenrl.serving.feedback.openapi import description
from tf_tokenrl.serving.feedback.rates import Rates

_STATUS = {"stored": 200, "duplicate": 200, "conflict": 409, "refused": 422}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one sender may send.

    Attributes:
        body_bytes: of one request.
        records: of one request.
        records_per_second: of one address, on average.
        burst: records of one address at once.
    """

    body_bytes: int = 2**20
    records: int = 1000
    records_per_second: float = 100.0
    burst: int = 2000


class AsciiResponse(JSONResponse):
    """JSON that can repeat what it was sent: a lone surrogate has no UTF-8."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


class Collector:
    """Takes records from requests into a store.

    Args:
        store: where to.
        guard: who may.
        limits: how much.
    """

    def __init__(
        self,
        store: Sink,
        guard: Guard,
        limits: Limits = Limits(),  # noqa: B008  (it is frozen)
    ):
        self.store, self.guard, self._limits = store, guard, limits
        self._rates = Rates(limits.records_per_second, limits.burst)

    def routes(self, token: bool) -> list[Route]:
        """The routes; `token` says whether the guard asks for one."""
        described = description(self._limits.records, token)

        async def describe(request: Request) -> JSONResponse:
            self.guard.check_site(request)
            return JSONResponse(described)

        return [
            Route(PATH, self.collect, methods=["POST"]),
            Route("/v1/feedback/openapi.json", describe, methods=["GET"]),
        ]

    async def collect(self, request: Request) -> JSONResponse:
        """Store the records of a request and say what became of each."""
        self.guard.check_write(request)
        records = await self.read(request)
        receipts = await self.append(request, records)
        found = {_STATUS[receipt.status] for receipt in receipts} or {200}
        status = found.pop() if len(found) == 1 else 207
        results = [receipt._asdict() for receipt in receipts]
        return AsciiResponse({"results": results}, status)

    async def read(self, request: Request) -> list[dict[str, Any]]:
        """The records in the body: a list of objects, or one.

        Raises:
            HTTPException: 400 or 413.
        """
        given = await read_json(request, self._limits.body_bytes)
        records = given if isinstance(given, list) else [given]
        if len(records) > self._limits.records:
            raise HTTPException(
                413,
                f"{len(records)} records are too many: send "
                f"{self._limits.records} at a time.",
            )
        return records

    async def append(
        self, request: Request, records: list[Any]
    ) -> list[Receipt]:
        """Store records that the sender of a request may send now.

        Raises:
            HTTPException: 429, it must wait; 503, the store failed.
        """
        self.check_rate(request, len(records))
        try:
            return await run_in_threadpool(self.store.append, records)
        except TokenRLError as error:
            raise HTTPException(503, str(error)) from error

    def check_rate(self, request: Request, count: int) -> None:
        """Count records, or anything else, against the sender's rate.

        Raises:
            HTTPException: 429, the sender must wait.
        """
        sender = request.client.host if request.client else ""
        wait = self._rates.wait(sender, count)
        if wait:
            seconds = math.ceil(min(wait, 3600.0))
            raise HTTPException(
                429,
                f"Too many records: try again in {seconds} seconds.",
                {"Retry-After": str(seconds)},
            )


async def read_json(request: Request, most_bytes: int) -> Any:
    """The JSON of a body.

    Raises:
        HTTPException: 413, it is too long; 400, it is not JSON.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(
                413,
                f"The body is longer than {most_bytes} bytes.",
                {"Connection": "close"},
            )
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"The body is not JSON: {error}.") from error

"""What only the client for asyncio does; the rest is in test_client.py."""

import asyncio
import threading
from concurrent import futures

import grpc
import pytest

from tf_tokenrl.client import AsyncClient


def test_calls_run_side_by_side(address):
    async def ask():
        async with AsyncClient(address, timeout=20) as client:
            prompts = [f"text {number}" for number in range(20)]
            replies = await asyncio.gather(*map(client.generate, prompts))
            return [reply.text for reply in replies] == prompts

    assert asyncio.run(ask())


def test_it_belongs_to_a_loop(address):
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncClient(address)


def test_to_cancel_a_call_cancels_it_on_the_server():
    began, ended = threading.Event(), threading.Event()

    def answer(request, context):
        context.add_callback(ended.set)
        began.set()
        ended.wait()
        return b""

    handler = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.PredictionService", {"Predict": handler}
            )
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def give_up():
        async with AsyncClient(f"127.0.0.1:{port}") as client:
            call = asyncio.ensure_future(client.predict({}))
            await asyncio.to_thread(began.wait)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(give_up())
    assert ended.wait(10)
    server.stop(None).wait()

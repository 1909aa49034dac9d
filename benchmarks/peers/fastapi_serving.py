"""Tokens per second of transformers' `generate` behind FastAPI, on the CPU.

    PEER_PYTHON benchmarks/peers/fastapi_serving.py --clients 32

Needs torch, transformers, fastapi, uvicorn and httpx. The work is that of
`benchmarks.serving`, first for one client, then for all of them at once; one
line of JSON is printed.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import threading
import time

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import fastapi  # noqa: E402
import httpx  # noqa: E402
import random_gpt2  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import uvicorn  # noqa: E402


def read_options() -> argparse.Namespace:
    """The options of `benchmarks.serving`."""
    small = {"layers": 4, "heads": 4, "width": 256, "vocabulary": 8192}
    asked = {"clients": 32, "requests": 6, "wait_micros": 0}
    return random_gpt2.parser(
        **small, **asked, batch=32, iterations=15
    ).parse_args()


def make_application(model, new: int) -> fastapi.FastAPI:
    """One route: token ids in, as many new ones out."""
    application = fastapi.FastAPI()

    @application.post("/generate")
    def generate(body: dict):
        prompt = torch.tensor([body["ids"]])
        with torch.inference_mode():
            ids = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=new,
                do_sample=True,
                top_k=0,
                pad_token_id=0,
            )
        return {"ids": ids[0, prompt.shape[1] :].tolist()}

    return application


async def drive(
    options: argparse.Namespace, url: str, clients: int, requests: int
) -> float:
    """Tokens per second over so many clients."""
    draw = random.Random(0)

    async def ask(http: httpx.AsyncClient):
        for _ in range(requests):
            ids = draw.choices(range(4, options.vocabulary), k=options.prompt)
            reply = await http.post(url, json={"ids": ids}, timeout=600)
            assert len(reply.json()["ids"]) == options.new

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(limits=limits) as http:
        start = time.perf_counter()
        await asyncio.gather(*(ask(http) for _ in range(clients)))
        seconds = time.perf_counter() - start
    return round(clients * requests * options.new / seconds, 1)


def main():
    """Serve, ask, print."""
    options = read_options()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    application = make_application(
        random_gpt2.make(options).eval(), options.new
    )
    server = uvicorn.Server(
        uvicorn.Config(application, port=port, log_level="warning")
    )
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.1)
    url = f"http://127.0.0.1:{port}/generate"
    asyncio.run(drive(options, url, 1, 2))
    one = asyncio.run(drive(options, url, 1, options.iterations))
    many = asyncio.run(drive(options, url, options.clients, options.requests))
    report = {
        "peer": f"FastAPI {fastapi.__version__}",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        **vars(options),
        "one_client_tokens_per_second": one,
        "served_tokens_per_second": many,
        "best_tokens_per_second": max(one, many),
        "peak_memory_mb": random_gpt2.peak_memory_mb(),
    }
    print(json.dumps(report))
    server.should_exit = True


if __name__ == "__main__":
    main()

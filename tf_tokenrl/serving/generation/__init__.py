"""Beyond the stock server: answers that are sent while they are written.

Any servable with the two signatures of `convention` can be asked, over gRPC
(`service`), by server-sent events and as OpenAI's completions are (`routes`).
All share one loop per version (`loop`), in which requests join and leave a
running batch between two advances.
"""

from typing import NamedTuple

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from starlette.routing import BaseRoute

from tf_tokenrl.client import protos
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.generation.loop import Settings
from tf_tokenrl.serving.generation.loops import Loops
from tf_tokenrl.serving.generation.routes import Generation
from tf_tokenrl.serving.generation.service import SERVICE, service
from tf_tokenrl.serving.models.repository import Repository

_SPARE_THREADS = 16  # they tell those that come too many


class Extensions(NamedTuple):
    """What a server offers beyond the stock one.

    Attributes:
        handlers: of gRPC.
        routes: of HTTP.
        services: names of the gRPC services.
        pool: their descriptors.
    """

    handlers: tuple[grpc.GenericRpcHandler, ...] = ()
    routes: tuple[BaseRoute, ...] = ()
    services: tuple[str, ...] = ()
    pool: DescriptorPool | None = None


def extensions(flags: Flags, repository: Repository) -> Extensions:
    """Nothing, unless `--enable_streaming` asks for it."""
    if not flags.enable_streaming:
        return Extensions()
    settings = Settings(
        flags.streaming_slots,
        flags.streaming_steps,
        flags.streaming_queue,
        flags.streaming_max_prompt_bytes,
    )
    loops = Loops(settings)
    threads = settings.slots + settings.longest_queue + _SPARE_THREADS
    over_http = Generation(repository, loops, flags.rest_api_timeout_in_ms)
    return Extensions(
        (service(repository, loops, threads),),
        tuple(over_http.routes()),
        (SERVICE,),
        protos.POOL,
    )

"""Health and reflection: what a gRPC server says of itself."""

import threading
from collections.abc import Iterable, Sequence

import grpc
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

# Imported for what they register: descriptors, without which reflection could
# list the services and not describe them.
from tensorflow_serving.apis import (  # noqa: F401
    model_service_pb2,
    prediction_service_pb2,
)


class Introspection:
    """The services that answer streams for as long as a client likes.

    Such a stream is not work that the end of the server must wait for.

    Args:
        names: full names of the services that reflection lists.
        pool: descriptors of those that are not in protobuf's default pool.
        healthy: names that the health service knows; None leaves it out.
    """

    def __init__(
        self,
        names: Iterable[str],
        pool: DescriptorPool | None = None,
        healthy: Sequence[str] | None = None,
    ):
        self._streams = _Streams()
        self._health: _Health | None = None
        names = [*names, reflection.SERVICE_NAME]
        if healthy is not None:
            names.append(health.SERVICE_NAME)
            self._health = _Health(self._streams, healthy)
        self._reflection = _Reflection(self._streams, names, pool)

    def add_to(self, server: grpc.Server) -> None:
        """Offer them."""
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            self._reflection, server
        )
        if self._health is not None:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)

    def end(self) -> None:
        """Say that the server is going, and end what streams are open."""
        if self._health is not None:
            self._health.enter_graceful_shutdown()
        self._streams.end()


class _Streams:
    """The streams that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[grpc.ServicerContext] = set()
        self._ended = False

    def add(self, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._open.add(context)
            ended = self._ended
        if ended or not context.add_callback(lambda: self._drop(context)):
            context.cancel()

    def end(self) -> None:
        with self._lock:
            self._ended = True
            streams = list(self._open)
        for context in streams:
            context.cancel()

    def _drop(self, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._open.discard(context)


class _Health(health.HealthServicer):
    """The port opens when all models can answer, so all is well by then."""

    def __init__(self, streams: _Streams, names: Iterable[str]):
        super().__init__()
        self._streams = streams
        for name in names:
            self.set(name, health_pb2.HealthCheckResponse.SERVING)

    # The names of both methods are those of the RPCs.
    def Watch(self, request, context, *more):  # noqa: N802
        self._streams.add(context)
        return super().Watch(request, context, *more)


class _Reflection(reflection.ReflectionServicer):
    def __init__(
        self,
        streams: _Streams,
        names: Iterable[str],
        pool: DescriptorPool | None,
    ):
        super().__init__(names, pool=_Pools(pool))
        self._streams = streams

    def ServerReflectionInfo(self, request_iterator, context):  # noqa: N802
        self._streams.add(context)
        return super().ServerReflectionInfo(request_iterator, context)


class _Pools:
    """Protobuf's default pool, and another for what it does not know."""

    def __init__(self, more: DescriptorPool | None):
        self._pools = [Default(), *([more] if more is not None else [])]

    def __getattr__(self, name: str):
        def find(*arguments):
            for pool in self._pools:
                try:
                    return getattr(pool, name)(*arguments)
                except KeyError:
                    continue
            raise KeyError(arguments)

        return find

"""`tf_tokenrl.v1.Generation/Stream`: an answer in pieces, over gRPC."""

from collections.abc import Iterator
from concurrent import futures

import grpc
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tf_tokenrl.client.protos import StreamRequest, StreamResponse
from tf_tokenrl.serving.generation.convention import GenerationRequest
from tf_tokenrl.serving.generation.loops import Loops
from tf_tokenrl.serving.generation.pending_request import PendingRequest, Piece
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.status import StatusError, invalid

SERVICE = "tf_tokenrl.v1.Generation"


def service(
    repository: Repository, loops: Loops, threads: int
) -> grpc.GenericRpcHandler:
    """The service, to be added to a gRPC server.

    Args:
        repository: the models.
        loops: which write the answers.
        threads: that wait for pieces; a stream lasts, and must not take one
            from the requests of the stock server's API.
    """

    def behaviour(data: bytes, context: grpc.ServicerContext):
        try:
            yield from stream(repository, loops, _parsed(data), context)
        except StatusError as error:
            context.abort(error.code, error.truncated)

    waiting = futures.ThreadPoolExecutor(threads, thread_name_prefix="stream")
    behaviour.experimental_thread_pool = waiting  # type: ignore[attr-defined]
    handler = grpc.unary_stream_rpc_method_handler(
        behaviour,
        response_serializer=lambda response: response.SerializeToString(),
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"Stream": handler})


def stream(
    repository: Repository,
    loops: Loops,
    request: Message,
    context: grpc.ServicerContext,
) -> Iterator[Message]:
    """The pieces of one answer.

    A client that goes away, or whose deadline passes, frees its slot at the
    next advance.

    Raises:
        StatusError: as Predict does; FAILED_PRECONDITION where the model
            cannot stream, RESOURCE_EXHAUSTED where too many wait.
    """
    spec = spec_of(request)
    pending = PendingRequest([generation_request(request)])
    version = pending.held.enter_context(repository.acquire(spec))
    loops.write(version, pending)
    if not context.add_callback(pending.cancel):
        pending.cancel()
    try:
        for piece in pending:
            yield respond(piece, version.number)
    finally:
        pending.cancel()


def _parsed(data: bytes) -> Message:
    try:
        return StreamRequest.FromString(data)
    except DecodeError as error:
        raise StatusError(
            grpc.StatusCode.INTERNAL,
            f"The message is no {StreamRequest.DESCRIPTOR.full_name}.",
        ) from error


def spec_of(request: Message) -> ModelSpec:
    """The model that a request names, as the repository knows it.

    Raises:
        StatusError: INVALID_ARGUMENT, it names none.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return ModelSpec.FromString(request.model_spec.SerializeToString())


def generation_request(request: Message) -> GenerationRequest:
    """The answer that a request wants."""
    top_p = request.top_p if request.HasField("top_p") else 1.0
    return GenerationRequest(
        request.prompt,
        request.seed,
        request.temperature,
        request.max_new_tokens,
        request.top_k,
        top_p,
        tuple(request.stop),
    )


def respond(piece: Piece, version: int) -> Message:
    """A piece as a message."""
    return StreamResponse(
        text=piece.text,
        token_ids=[token.id for token in piece.tokens],
        log_probs=[token.log_prob for token in piece.tokens],
        values=[token.value for token in piece.tokens],
        finish_reason=piece.finish,
        prompt_tokens=piece.prompt_tokens,
        truncated=piece.truncated,
        version=version,
    )

"""What answers over HTTP, and the server for it that the flags ask for."""

import os
from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import metrics, schema
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.http.rest.api import Rest
from tf_tokenrl.serving.http.server import HttpServer, Limits
from tf_tokenrl.serving.models.repository import Repository

_METRICS = "/monitoring/prometheus/metrics"
_FEWEST_THREADS = 64


def http_server(
    flags: Flags,
    repository: Repository,
    more: Iterable[BaseRoute] = (),
    failed: Callable[[], object] = lambda: None,
) -> HttpServer | None:
    """None if the flags ask for no HTTP.

    Args:
        flags: ports, limits and the like.
        repository: the models.
        more: routes beyond those of the stock server.
        failed: see `HttpServer`.

    Raises:
        TokenRLError: a file that they name is of no use.
    """
    routes = [*_monitoring(flags), *more, _rest(flags, repository)]
    if not flags.rest_api_port:
        return None
    return HttpServer(
        routes,
        flags.host,
        max(flags.rest_api_port, 0),
        Limits(
            body_bytes=flags.rest_api_max_body_bytes,
            cross_origin=flags.rest_api_enable_cors_support,
        ),
        failed,
    )


def _monitoring(flags: Flags) -> list[BaseRoute]:
    if not flags.monitoring_config_file:
        return []
    config = schema.read(
        flags.monitoring_config_file,
        schema.MonitoringConfig(),
        "monitoring_config_file",
    ).prometheus_config

    async def show(request: Request) -> PlainTextResponse:
        return PlainTextResponse(metrics.page())

    path = config.path or _METRICS
    if not path.startswith("/"):
        raise TokenRLError(
            f'Correct "{flags.monitoring_config_file}": the path "{path}" must '
            'begin with "/".'
        )
    return [Route(path, show)] if config.enable else []


def _rest(flags: Flags, repository: Repository) -> Route:
    """The last route: it answers everything."""
    threads = flags.rest_api_num_threads
    if threads <= 0:
        threads = max(4 * (os.cpu_count() or 1), _FEWEST_THREADS)
    rest = Rest(
        repository,
        threads,
        flags.rest_api_timeout_in_ms,
        as_openai=flags.enable_streaming,
    )
    return Route("/{path:path}", rest)

"""Collect feedback and look after it: `tf-tokenrl feedback serve ...`."""

import contextlib
import signal
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import tyro

from tf_tokenrl.feedback import FeedbackStore
from tf_tokenrl.serving.feedback.collection import collection
from tf_tokenrl.serving.http.server import HttpServer
from tf_tokenrl.serving.playground import Playground

_STORE = "sqlite:///runs/feedback.db"


@dataclass(frozen=True)
class Serve:
    """Take feedback over HTTP, beside any server of TensorFlow Serving's API.

    Attributes:
        store: the URL of the feedback store.
        server: "host:port" of the server's gRPC, which the page asks.
        model: the name under which the model is served.
        host: the interface to listen on.
        port: of HTTP; 0 takes a free one and prints it.
        token_file: a file with the token that whoever writes must send;
            needed on every interface but that of the loopback.
        hosts: names of this server, with commas, besides localhost.
        playground: offer a page at /playground/ for asking and judging.
        labels: two version labels that the page compares, STABLE,CANARY.
    """

    store: str = _STORE
    server: str = "localhost:8500"
    model: str = "headline"
    host: str = "127.0.0.1"
    port: int = 8600
    token_file: str = ""
    hosts: str = ""
    playground: bool = False
    labels: str = ""


@dataclass(frozen=True)
class Export:
    """Print answers and judgements as JSON lines.

    Attributes:
        store: the URL of the feedback store.
        user: only what the user with this hash asked and said.
    """

    store: str = _STORE
    user: str | None = None


@dataclass(frozen=True)
class Delete:
    """Forget a user, or what is old.

    Attributes:
        store: the URL of the feedback store.
        user: the hash of the user.
        days: forget answers that are older.
    """

    store: str = _STORE
    user: str | None = None
    days: float | None = None


@dataclass(frozen=True)
class Upgrade:
    """Bring the schema of a store up to date; every row is kept.

    Attributes:
        store: the URL of the feedback store.
    """

    store: str = _STORE


@dataclass(frozen=True)
class FeedbackOptions:
    """Collect feedback and look after it.

    Attributes:
        command: what to do.
    """

    command: tyro.conf.OmitSubcommandPrefixes[
        tyro.conf.OmitArgPrefixes[
            Annotated[Serve, tyro.conf.subcommand("serve")]
            | Annotated[Export, tyro.conf.subcommand("export")]
            | Annotated[Delete, tyro.conf.subcommand("delete")]
            | Annotated[Upgrade, tyro.conf.subcommand("upgrade")]
        ]
    ]


def main(options: FeedbackOptions) -> None:
    """Run one of the four.

    Raises:
        TokenRLError: the store, a file or the port cannot be used.
    """
    command = options.command
    if isinstance(command, Serve):
        serve(command)
    elif isinstance(command, Export):
        with FeedbackStore(command.store) as store:
            for line in store.export(command.user):
                print(line)
    elif isinstance(command, Delete):
        delete(command)
    else:
        FeedbackStore(command.store, upgrade=True).close()
        print(f"{command.store} is up to date.")


def delete(options: Delete) -> None:
    """Delete, and say what is gone."""
    cut = None
    if options.days is not None:
        cut = datetime.now(UTC) - timedelta(days=options.days)
    with FeedbackStore(options.store) as store:
        gone = store.delete(user_hash=options.user, older_than=cut)
    print(
        f"{gone['answers']} answers, {gone['judgements']} judgements deleted."
    )


def serve(options: Serve) -> None:
    """Serve until SIGINT or SIGTERM."""
    made = collection(
        options.store, options.host, options.token_file, options.hosts
    )
    assert made.collector is not None
    with contextlib.closing(made):
        routes = list(made.routes)
        if options.playground:
            labels = [label for label in options.labels.split(",") if label]
            page = Playground(
                made.collector, lambda: options.server, options.model, labels
            )
            routes += page.routes()
        server = HttpServer(routes, options.host, options.port)
        server.bind()
        server.start()
        at = f"http://{options.host}:{server.port}"
        print(f"Taking feedback at {at}/v1/feedback/records ...", flush=True)
        if options.playground:
            print(f"Playground at {at}/playground/ ...", flush=True)
        ended = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: ended.set())
        ended.wait()
        server.close(grace=10.0)

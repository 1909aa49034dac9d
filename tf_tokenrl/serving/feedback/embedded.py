"""Feedback and the playground of the embedded server, as its flags ask."""

from collections.abc import Callable

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.feedback.collection import Collection, collection
from tf_tokenrl.serving.flags import Flags


def feedback_for(flags: Flags, port: Callable[[], int]) -> Collection:
    """The routes; none unless `--feedback` names a store.

    Args:
        flags: see there.
        port: the port of gRPC, known once it is open.

    Raises:
        TokenRLError: the flags contradict each other, or the store cannot be
            used.
    """
    if not flags.feedback:
        if flags.playground:
            raise TokenRLError(
                "--playground needs a store for what people say: give "
                "--feedback=sqlite:///FILE."
            )
        return Collection()
    if not flags.rest_api_port:
        raise TokenRLError(
            "--feedback is taken over HTTP: give --rest_api_port too."
        )
    if flags.playground and flags.ssl_config_file:
        raise TokenRLError(
            "--playground asks this server without encryption, which "
            "--ssl_config_file forbids: run `tf-tokenrl feedback serve` beside "
            "it."
        )
    made = collection(
        flags.feedback,
        flags.host,
        flags.feedback_token_file,
        flags.feedback_hosts,
    )
    if not flags.playground:
        return made
    assert made.collector is not None
    from tf_tokenrl.serving.playground import Playground

    try:
        page = Playground(
            made.collector,
            lambda: f"127.0.0.1:{port()}",
            flags.playground_model or flags.model_name,
            [label for label in flags.playground_labels.split(",") if label],
        )
    except BaseException:
        made.close()
        raise
    return made._replace(routes=(*page.routes(), *made.routes))

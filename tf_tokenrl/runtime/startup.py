"""Start TensorFlow without its start-up chatter."""

import contextlib
import logging
import os
import sys
import warnings


def start_tensorflow() -> None:
    """Import TensorFlow and find its devices, silently.

    TensorFlow logs to file descriptor 2 before its own log level counts, so
    that descriptor is closed off for a moment; a failure is not hidden, for
    it comes as an exception. Where TF_CONFIG lists workers nothing is
    computed yet: they must find each other before the first operation.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _closed(2):
        import tensorflow as tf

        tf.config.list_physical_devices()
        if "TF_CONFIG" not in os.environ:
            tf.constant(0) + tf.constant(0)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for text in (
        "Gradients do not exist for variables",
        "`shuffle=True` was passed",
    ):
        warnings.filterwarnings("ignore", message=text, module="keras")


@contextlib.contextmanager
def _closed(descriptor: int):
    sys.stderr.flush()
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)

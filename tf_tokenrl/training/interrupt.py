"""Ctrl-C ends a run between two steps, so that it can be saved."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_NOTICE = b"\nFinishing this step; Ctrl-C again stops at once.\n"


@contextlib.contextmanager
def deferred_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C calls `stop`, and interrupts when the block ends.

    A second one interrupts at once. Where Ctrl-C is ignored or handled by
    someone else, and outside the main thread, nothing changes.

    Raises:
        KeyboardInterrupt: there was a Ctrl-C.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not (main and ours):
        yield
        return
    received = []

    def receive(number, frame):
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(2, _NOTICE)  # print() must not be called by a handler
        stop()

    signal.signal(signal.SIGINT, receive)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if received:
        raise KeyboardInterrupt

import signal
import threading

import pytest

from tf_tokenrl.training.interrupt import deferred_interrupt


def test_the_first_one_waits_and_the_second_does_not(capfd):
    calls = []
    with (
        pytest.raises(KeyboardInterrupt),
        deferred_interrupt(lambda: calls.append("stop")),
    ):
        signal.raise_signal(signal.SIGINT)
        calls.append("finished")
    assert calls == ["stop", "finished"]
    assert "again" in capfd.readouterr().err
    with pytest.raises(KeyboardInterrupt), deferred_interrupt(lambda: None):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        calls.append("never")
    assert "never" not in calls


def test_nothing_happens_without_one_and_errors_pass():
    with deferred_interrupt(pytest.fail):
        pass
    with pytest.raises(ZeroDivisionError), deferred_interrupt(pytest.fail):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_handlers_and_threads_are_left_alone():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("theirs"))
    try:
        with deferred_interrupt(pytest.fail):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    def elsewhere():
        with deferred_interrupt(pytest.fail):
            seen.append("thread")

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == ["theirs", "thread"]

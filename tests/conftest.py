"""Tiny policies, built once a session; tests must not change their weights."""

import signal

import hypothesis
import pytest
from hypothesis import HealthCheck, settings

from tf_tokenrl.runtime.startup import start_tensorflow

start_tensorflow()

from tests.support import tiny  # noqa: E402  (TensorFlow starts above, silently)

# How fast the machine is says nothing of what is tested.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def pytest_configure(config):
    """Warnings are errors; Ctrl-C and slow machines are as tests want them."""
    for text in (
        "ignore:__array__ implementation:DeprecationWarning:keras",
        "ignore:Gradients do not exist for variables:UserWarning",
        "ignore:`shuffle=True` was passed:UserWarning",
        "ignore:unclosed file:ResourceWarning:keras_hub",
        # AutoGraph marks syntax trees in a way that Python 3.13 deprecates.
        "ignore:.*got an unexpected keyword argument '___pyct_anno'",
        "ignore:The distutils package is deprecated:DeprecationWarning",
        # Keras takes what KerasHub's T5 calls a mask for one of its own.
        "ignore:Layer '.*_attention' .of type T5MultiHeadAttention",
    ):
        config.addinivalue_line("filterwarnings", text)
    # A shell starts what it runs in the background with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A loaded machine must not fail a test for being slow.
    hypothesis.settings.register_profile(
        "unhurried",
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture(
    scope="session",
    params=["llama", "gpt2", "mistral", "lstm", "gru", "bart"],
)
def policy(request):
    return tiny.shared_policy(request.param)

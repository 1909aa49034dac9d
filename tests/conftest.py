"""Tiny policies, built once a session; tests must not change their weights."""

import pytest

from tf_tokenrl.quiet import start_tensorflow

start_tensorflow()

from tests import tiny  # noqa: E402  (TensorFlow starts above, silently)


def pytest_configure(config):
    """Warnings are errors, but for these of other packages."""
    for text in (
        "ignore:__array__ implementation:DeprecationWarning:keras",
        "ignore:Gradients do not exist for variables:UserWarning",
        "ignore:`shuffle=True` was passed:UserWarning",
        "ignore:unclosed file:ResourceWarning:keras_hub",
    ):
        config.addinivalue_line("filterwarnings", text)


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture(
    scope="session", params=["llama", "gpt2", "mistral", "lstm", "gru"]
)
def policy(request):
    return tiny.shared_policy(request.param)

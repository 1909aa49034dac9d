"""Tiny policies, built once a session; tests must not change their weights."""

import pytest

from tf_tokenrl.quiet import start_tensorflow

start_tensorflow()

from tests import tiny  # noqa: E402  (TensorFlow starts above, silently)


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture(
    scope="session", params=["llama", "gpt2", "mistral", "lstm", "gru"]
)
def policy(request):
    return tiny.shared_policy(request.param)

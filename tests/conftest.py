"""Tiny policies, built once a session; tests must not change their weights."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture(params=["llama", "gpt2", "mistral", "lstm", "gru"])
def policy(request):
    return tiny.policy(request.param)

import uuid

import psycopg
import pytest

from tests.support import postgres
from tf_tokenrl.feedback import Answer, FeedbackStore


@pytest.fixture(scope="session")
def postgres_url():
    if postgres.BINARIES is None:
        pytest.skip(postgres.MISSING)
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """A fresh store's URL, on both databases in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/feedback.db"
    server = request.getfixturevalue("postgres_url")
    name = f"feedback_{uuid.uuid4().hex}"
    plain = server.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def store(url):
    with FeedbackStore(url) as opened:
        yield opened


@pytest.fixture
def answer():
    """From a key to an answer that is like no other."""

    def answer(key, **fields):
        given = {
            "model": "headline",
            "version": 7,
            "prompt": "def area(w, h)",
            "text": f"Area {key}.",
            "token_ids": (5, 6, 3),
            "log_probs": (-0.5, -0.25, -2.0),
            "temperature": 1.0,
            "seed": 3,
        }
        return Answer(key=key, **given | fields)

    return answer

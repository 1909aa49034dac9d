"""What the client brings into a process."""

import subprocess
import sys

import pytest

USE = """
from tf_tokenrl.client import codec, protos
from tf_tokenrl.client import Client
assert codec.decode(codec.encode([1.5])) == [1.5]
"""
REAL = """
from tensorflow_serving.apis import predict_pb2
predict_pb2.PredictRequest(model_spec={"name": "m"})
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_tensorflow_and_no_keras():
    loaded = run(USE + "import sys; print(*sys.modules, sep='\\n')").split()
    heavy = {"tensorflow", "keras", "keras_hub", "tensorflow_serving", "torch"}
    assert "tf_tokenrl.client" in loaded
    assert not heavy & {name.partition(".")[0] for name in loaded}


@pytest.mark.parametrize("order", [USE + REAL, REAL + USE])
def test_it_lives_beside_the_real_messages(order):
    run(order)

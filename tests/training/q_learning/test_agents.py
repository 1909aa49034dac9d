import importlib
import os

import pytest

from tf_tokenrl.errors import TokenRLError


@pytest.mark.skipif(
    os.environ.get("TF_USE_LEGACY_KERAS") == "1",
    reason="TF_USE_LEGACY_KERAS=1 is set: TF-Agents finds its Keras",
)
@pytest.mark.parametrize("name", ["agents", "environment", "trainer"])
def test_without_tf_agents_or_its_keras_the_remedy_is_named(name):
    """On Python 3.12 it is not installed; on 3.11 Keras 3 was chosen."""
    with pytest.raises(TokenRLError) as raised:
        importlib.import_module(f"tf_tokenrl.training.q_learning.{name}")
    message = str(raised.value)
    assert "Python 3.11" in message or "TF_USE_LEGACY_KERAS=1" in message
    assert message.count("\n") == 0

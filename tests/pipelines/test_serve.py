import pytest

from pipelines.serve import main
from tf_tokenrl.errors import TokenRLError


def test_mistakes_become_one_sentence():
    with pytest.raises(TokenRLError, match='Did you mean "--port"'):
        main(["--prot=1"])

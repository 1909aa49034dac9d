import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.serve import main


def test_mistakes_become_one_sentence():
    with pytest.raises(TokenRLError, match='Did you mean "--port"'):
        main(["--prot=1"])

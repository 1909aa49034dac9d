import pytest

from tf_tokenrl.errors import TokenRLError, unknown


@pytest.mark.parametrize(
    "name, expected",
    [
        ("rogue", 'Unknown reward "rogue". Did you mean "rouge"?'),
        ("", 'Unknown reward "". Available: bleu, rouge.'),
        ("xyz", 'Unknown reward "xyz". Available: bleu, rouge.'),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(name, expected):
    error = unknown("reward", name, {"rouge", "bleu"})
    assert str(error).startswith(expected)
    assert "Available: bleu, rouge." in str(error)


def test_it_is_an_ordinary_value_error():
    with pytest.raises(ValueError):
        raise TokenRLError("wrong")

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, Judgement


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "thumb", "score": 0.5}, "1 .up. or -1 .down."),
        ({"kind": "thumb"}, '"thumb" needs score, and has none'),
        ({"kind": "pair", "other": "a"}, "a pair needs two answers"),
        ({"kind": "edit", "score": 1}, '"edit" needs edit, and has score'),
        ({"kind": "span", "start": 1, "score": 1}, "needs end, score, start"),
        ({"kind": "stars", "score": 1}, "`kind`"),
        ({"kind": "score", "score": float("nan")}, "`score`.*finite"),
        ({"kind": "score", "score": 1, "key": "a b"}, "`key`"),
        ({"kind": "score", "score": 1, "extra": 1}, "`extra`"),
    ],
)
def test_judgement_that_means_nothing_is_refused(fields, message):
    with pytest.raises(TokenRLError, match=message) as error:
        Judgement(answer="a", **fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"log_probs": (-1.0,)}, "2 token_ids but 1 log_probs"),
        ({"ends": (2, 1)}, "must not decrease"),
        ({"ends": (0, 4)}, "within the 3 characters"),
        ({"ends": (-1, 2)}, "within the 3 characters"),
        ({"seed": 2**63}, "`seed`"),
        ({"token_ids": (1, 2**31)}, "`token_ids.1`"),
        ({"prompt": 3}, "`prompt`"),
    ],
)
def test_answer_that_contradicts_itself_is_refused(fields, message):
    given = {"model": "m", "prompt": "", "text": "abc", "token_ids": (1, 2)}
    with pytest.raises(TokenRLError, match=message):
        Answer(**given | fields)


def test_records_never_change():
    judgement = Judgement(answer="a", kind="score", score=1)
    with pytest.raises(ValueError):
        judgement.score = 2

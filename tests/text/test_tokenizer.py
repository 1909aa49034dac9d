import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text import tokenizer
from tf_tokenrl.text.preparation import Preparation

TEXTS = [f"the {w} is {x} of it" for w in ("cat", "dog", "sun") for x in "abc"]
CLEAN = Preparation().answer
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@pytest.fixture(scope="module")
def proto():
    return tokenizer.train_sentencepiece(TEXTS, 290)


@pytest.fixture(scope="module")
def processor(proto):
    return tokenizer.load_processor(proto)


def test_training_is_repeatable(proto):
    assert tokenizer.train_sentencepiece(TEXTS, 290) == proto
    assert tokenizer.load_processor(proto).vocab_size() == 290


def test_special_ids_are_fixed(processor):
    found = (
        processor.pad_id(),
        processor.unk_id(),
        processor.bos_id(),
        processor.eos_id(),
    )
    assert found == (0, 1, 2, 3)
    named = (
        tokenizer.PADDING,
        tokenizer.UNKNOWN,
        tokenizer.START,
        tokenizer.STOP,
    )
    assert found == named


@settings(deadline=None, max_examples=100)
@given(text=ANY_TEXT)
def test_clean_text_comes_back_and_nothing_is_unknown(processor, text):
    clean = CLEAN(text).replace("\u2581", " ").strip()
    ids = processor.encode(clean)
    assert min(ids, default=4) > tokenizer.STOP
    assert processor.decode(ids) == CLEAN(clean)


@pytest.mark.parametrize(
    "text", ["10² + 2³", "می\u200cخواهم", "दिन", "two\nlines\n", "😀 ｆ ﬁ"]
)
def test_no_character_is_changed(text):
    proto = tokenizer.train_sentencepiece(TEXTS, 300, keep_spaces=True)
    kept = tokenizer.load_processor(proto)
    assert kept.decode(kept.encode(text)) == text
    assert kept.decode(kept.encode(f"a  b {text}")) == f"a  b {text}"


@settings(deadline=None, max_examples=100)
@given(text=ANY_TEXT, limit=st.integers(1, 20))
def test_the_end_of_a_text_can_be_kept(processor, text, limit):
    clean = CLEAN(text)
    cut = tokenizer.truncate(processor, clean, limit, keep="end")
    assert len(processor.encode(cut)) <= limit
    whole = processor.decode(processor.encode(clean))
    assert whole.endswith(cut)


@settings(deadline=None, max_examples=100)
@given(text=ANY_TEXT, limit=st.integers(1, 20))
def test_truncated_text_fits_and_is_a_beginning(processor, text, limit):
    clean = CLEAN(text)
    cut = tokenizer.truncate(processor, clean, limit)
    assert len(processor.encode(cut)) <= limit
    if len(processor.encode(clean)) <= limit:
        assert cut == clean
    else:
        decoded = processor.decode(processor.encode(clean))
        assert decoded.startswith(cut)


def test_the_graph_gives_the_same_ids(proto, processor):
    import tensorflow as tf

    generator = np.random.default_rng(0)
    alphabet = list("abcdehistu  \n\t.,é漢🦊ﬁ²\u200b\u3000\u2581")
    texts = ["", " ", "the cat is a of it"] + [
        "".join(generator.choice(alphabet, size=generator.integers(1, 30)))
        for _ in range(300)
    ]
    layer = tokenizer.load_tokenizer(proto)
    graph = tf.function(lambda batch: layer(batch))
    found = graph(tf.constant(texts))
    assert found.to_list() == [processor.encode(text) for text in texts]
    decoded = tf.function(layer.detokenize)(found).numpy()
    assert [text.decode() for text in decoded] == [
        processor.decode(processor.encode(text)) for text in texts
    ]


def test_a_file_is_as_good_as_bytes(proto, processor, tmp_path):
    path = tmp_path / "tokenizer.spm"
    path.write_bytes(proto)
    loaded = tokenizer.load_processor(path)
    assert loaded.encode(TEXTS) == processor.encode(TEXTS)
    path.write_bytes(b"no model")
    for bad in (path, tmp_path / "absent.spm"):
        with pytest.raises(TokenRLError, match=bad.name):
            tokenizer.load_tokenizer(bad)


@pytest.mark.parametrize(
    ("size", "remedy"),
    [
        (100_000, r"enough for \d+; ask for at most"),
        (262, r"at least 2\d\d; ask for more"),
        (3, "at least 261; ask for more"),
        (-1, "at least 261; ask for more"),
    ],
)
def test_a_wrong_size_has_a_remedy(size, remedy):
    with pytest.raises(TokenRLError, match=remedy):
        tokenizer.train_sentencepiece(TEXTS, size)


def test_the_remedy_works():
    for wrong in (262, 100_000):
        with pytest.raises(TokenRLError) as error:
            tokenizer.train_sentencepiece(TEXTS, wrong)
        right = int(re.findall(r"\d+", str(error.value))[-1])
        assert tokenizer.train_sentencepiece(TEXTS, right)


def test_no_text_is_an_error():
    with pytest.raises(TokenRLError, match="no text"):
        tokenizer.train_sentencepiece(["", "  "], 300)

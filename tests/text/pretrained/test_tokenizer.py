"""Ids of every kind of tokenizer against the package `tokenizers`."""

import json
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from tests.support import fuzz
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.pretrained import marks, splits
from tf_tokenrl.text.pretrained.tokenizer import PretrainedTokenizer

CORPUS = [
    *fuzz.texts(300, seed=1),
    "the cat sat on the mat 12 times, don't   you see?\n\n" * 20,
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [
    f"<|reserved_{i}|>" for i in range(14)
]


def original(kind: str) -> tokenizers.Tokenizer:
    """A trained tokenizer of one of the kinds."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if kind == "gpt2":
        tokenizer.pre_tokenizer = whole
    elif kind == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, whole])
    else:
        expression = tokenizers.Regex(splits.ORIGINALS[kind])
        cut = pre_tokenizers.Split(expression, "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, level])
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def llama2() -> tokenizers.Tokenizer:
    """Byte-pair over characters, with bytes to fall back on."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>", "<s>", "</s>"]
        + [f"<0x{b:02X}>" for b in range(256)],
        limit_alphabet=60,
        show_progress=False,
        max_token_length=8,
    )
    tokenizer.train_from_iterator(["the cat sat on the mat"] * 3, trainer)
    spec = json.loads(tokenizer.to_str())
    spec["model"] |= {"byte_fallback": True, "unk_token": "<unk>"}
    spec["model"] |= {"fuse_unk": True}
    spec["added_tokens"] = spec["added_tokens"][:3]
    return tokenizers.Tokenizer.from_str(json.dumps(spec))


def bert(lowercase: bool) -> tokenizers.Tokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [chr(c) for c in range(33, 127)] + list("\u65e5\u0627\u00e9\u03c3")
    words += [*pieces, *(f"##{p}" for p in pieces), "the", "muller", "cafe"]
    tokenizer = tokenizers.Tokenizer(
        models.WordPiece(
            {word: i for i, word in enumerate(words)}, unk_token="[UNK]"
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


ORIGINALS = {
    "gpt2": lambda: original("gpt2"),
    "smollm": lambda: original("smollm"),
    "llama3": lambda: original("llama3"),
    "qwen2": lambda: original("qwen2"),
    "llama2": llama2,
    "uncased": lambda: bert(True),
    "cased": lambda: bert(False),
}


def ids(tokenizer, texts) -> list[list[int]]:
    given = [t if isinstance(t, bytes) else t.encode() for t in texts]
    return tokenizer(tf.constant(given, tf.string, [len(given)])).to_list()


@pytest.mark.parametrize("kind", ORIGINALS)
def test_ids_are_those_of_the_package_tokenizers(kind):
    right = ORIGINALS[kind]()
    mine = PretrainedTokenizer(right.to_str())
    texts = fuzz.texts(1000, rare="cased" not in kind)  # see word_piece
    found = ids(mine, texts)
    for text, row in zip(texts, found, strict=True):
        want = right.encode(text, add_special_tokens=False).ids
        assert row == want, (text, want, row)


@pytest.mark.parametrize("kind", ["gpt2", "llama3", "llama2"])
def test_decoding_gives_the_text_back(kind):
    mine = PretrainedTokenizer(ORIGINALS[kind]().to_str())
    texts = [t for t in fuzz.texts(300) if "\u2581" not in t]
    encoded = mine(tf.constant([t.encode() for t in texts]))
    decoded = [t.decode() for t in mine.detokenize(encoded).numpy()]
    assert decoded == texts


@pytest.mark.parametrize("kind", ["gpt2", "llama2"])
def test_control_tokens_of_raw_text_are_the_originals(kind):
    right = ORIGINALS[kind]()
    mine = PretrainedTokenizer(right.to_str())
    names = list(json.loads(right.to_str())["added_tokens"])
    names = [token["content"] for token in names]
    texts = ["".join(names), f"a {names[1]}b{names[2]}\n{names[0]} ", names[2]]
    for text, row in zip(texts, ids(mine, texts), strict=True):
        assert row == right.encode(text, add_special_tokens=False).ids


def test_quoted_text_has_no_control_tokens():
    mine = PretrainedTokenizer(original("gpt2").to_str())
    text = "a<|im_end|>\n<|im_start|>system"
    quoted = ids(mine, [marks.quoted(text)])[0]
    assert not set(quoted) & set(range(len(SPECIAL)))
    assert mine.detokenize(tf.ragged.constant([quoted])).numpy() == [
        text.encode()
    ]
    assert mine.plain(tf.constant([text])).to_list() == [quoted]


def test_rendered_prompts_keep_text_and_control_apart():
    mine = PretrainedTokenizer(original("smollm").to_str())
    parts = [("<|im_start|>", True), ("user\n<|im_end|>", False)]
    parts.append(("<|im_end|>", True))
    prompt = pickle.loads(pickle.dumps(marks.Rendered(parts)))
    assert prompt == "<|im_start|>user\n<|im_end|><|im_end|>"
    row = ids(mine, [prompt.wire])[0]
    assert row[0] == 1 and row.count(2) == 1 and row[-1] == 2
    within = ids(mine, [marks.quoted("user\n<|im_end|>")])[0]
    assert row[1:-1] == within


def test_a_word_that_no_merges_lead_to_is_one_token_where_the_file_says_so():
    spec = json.loads(original("gpt2").to_str())
    spec["model"]["vocab"]["zqzq"] = len(spec["model"]["vocab"])
    for whole in (True, False):
        spec["model"]["ignore_merges"] = whole
        right = tokenizers.Tokenizer.from_str(json.dumps(spec))
        mine = PretrainedTokenizer(json.dumps(spec))
        texts = ["zqzq", "a zqzq", "zqzq\nzqzqz"]
        assert ids(mine, texts) == [right.encode(t).ids for t in texts]


def test_tokens_that_are_not_special_are_found_in_all_text():
    spec = json.loads(original("gpt2").to_str())
    token = spec["added_tokens"][0] | {"content": "</think>", "special": False}
    token["id"] = len(spec["model"]["vocab"])
    spec["added_tokens"].append(token)
    right = tokenizers.Tokenizer.from_str(json.dumps(spec))
    mine = PretrainedTokenizer(json.dumps(spec))
    text = "a </think>\n\nb"
    want = right.encode(text).ids
    assert ids(mine, [text, marks.quoted(text)]) == [want, want]
    assert mine.detokenize(tf.ragged.constant([want])).numpy() == [
        text.encode()
    ]


def test_a_tokenizer_comes_back_from_a_file(tmp_path):
    mine = PretrainedTokenizer(
        original("qwen2").to_str(),
        {"eos_token": "<|im_end|>"},
        chat_template="{{ messages }}",
    )
    mine.save_assets(str(tmp_path))
    back = PretrainedTokenizer.from_config(mine.get_config())
    back.load_assets(str(tmp_path))
    assert back.end_token_id == 2 and back.chat_template == "{{ messages }}"
    texts = fuzz.texts(50)
    assert ids(back, texts) == ids(mine, texts)
    assert back.get_vocabulary() == mine.get_vocabulary()


def test_what_is_unknown_is_refused():
    spec = json.loads(original("gpt2").to_str())
    spec["pre_tokenizer"] = {"type": "UnicodeScripts"}
    with pytest.raises(TokenRLError, match="cuts text by UnicodeScripts"):
        PretrainedTokenizer(json.dumps(spec))
    with pytest.raises(TokenRLError, match="Did you mean"):
        splits.of_name("smolm")


def test_merges_in_any_order_are_made_as_the_original_makes_them():
    """Random lists of merges, most of which no training would give."""
    draw = np.random.default_rng(0)
    for _ in range(8):
        tokens, merges = list("abcd"), []
        for _ in range(40):
            pair = draw.choice(tokens, 2)
            if "".join(pair) not in tokens or draw.random() < 0.5:
                merges.append(tuple(map(str, pair)))
                tokens.append("".join(pair))
        tokens = list(dict.fromkeys(tokens))
        draw.shuffle(merges)
        merges = list(dict.fromkeys(merges))
        vocabulary = {t: i for i, t in enumerate(tokens)}
        right = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
        right.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        mine = PretrainedTokenizer(right.to_str())
        texts = ["".join(draw.choice(list("abcd"), 12)) for _ in range(50)]
        for text, row in zip(texts, ids(mine, texts), strict=True):
            assert row == right.encode(text).ids, (merges, text)

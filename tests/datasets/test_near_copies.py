import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.datasets import near_copies

WORDS = [f"word{i}" for i in range(40)]


def sentence(generator: random.Random, length: int = 60) -> list[str]:
    return generator.choices(WORDS, k=length)


def test_a_copy_with_one_changed_word_is_dropped():
    generator = random.Random(0)
    texts = [sentence(generator) for _ in range(20)]
    copies = []
    for words in texts:
        changed = list(words)
        changed[30] = "other"
        copies.append(changed)
    joined = [" ".join(words) for words in texts + copies]
    assert near_copies.find_copies(joined).kept == list(range(20))


def test_case_and_punctuation_make_no_difference():
    texts = ["The cat sat on the mat.", "the CAT, sat on the mat", "Another."]
    assert near_copies.find_copies(texts).kept == [0, 2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=12), max_size=12))
def test_kept_texts_are_no_copies_and_related_ones_are_alike(texts):
    texts = [" ".join(words) for words in texts]
    found = near_copies.find_copies(texts, copy=0.9, related=0.4)
    shingles = [near_copies.shingle_set(text) for text in texts]
    assert found.kept == sorted(set(found.kept))
    for dropped in set(range(len(texts))) - set(found.kept):
        assert any(
            near_copies.similarity(shingles[dropped], shingles[i]) >= 0.9
            for i in found.kept
            if i < dropped
        )
    for i, j in found.related:
        assert {i, j} <= set(found.kept)
        value = near_copies.similarity(shingles[i], shingles[j])
        assert 0.4 <= value < 0.9


def test_similarity_is_jaccard():
    assert near_copies.similarity({1, 2, 3}, {2, 3, 4}) == 0.5
    assert near_copies.similarity(set(), set()) == 1
    assert near_copies.similarity(set(), {1}) == 0


def test_groups_follow_links():
    found = near_copies.groups(6, [(0, 2), (2, 4), (1, 5)])
    assert found[0] == found[2] == found[4]
    assert found[1] == found[5]
    assert len(set(found)) == 3
    assert len(set(near_copies.groups(3, []))) == 3

import json
import os
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from tf_tokenrl import tasks
from tf_tokenrl.errors import TokenRLError

CONLL = Path(os.environ.get("CONLL2003", "conll2003"))  # column files


class ToyTags(tfds.core.GeneratorBasedBuilder):
    """Laid out as `conll2003` is."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = Path(__file__)

    def _info(self):
        tag = tfds.features.ClassLabel(names=["O", "B-PER", "I-PER"])
        features = tfds.features.FeaturesDict(
            {
                "tokens": tfds.features.Sequence(tfds.features.Text()),
                "ner": tfds.features.Sequence(tag),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(40):
            yield i, {"tokens": ["Peter", "Miller", f"{i}"], "ner": [1, 2, 0]}


def write(folder, rows):
    path = folder / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(folder)


def test_prepared_rows_are_read_as_they_are(tmp_path):
    rows = [
        {"source": f"Ann met {i}", "target": "B-P O O", "key": f"k{i}"}
        for i in range(50)
    ]
    task = tasks.get("ner", data=write(tmp_path, rows))
    examples = task.examples("train")
    assert examples[0].references == ("B-P O O",)
    assert examples[0].key.startswith("k")
    assert task.labels(examples) == ("B-P", "O")
    assert task.unit == "word"


def test_words_may_be_lists_under_the_usual_names(tmp_path):
    rows = [
        {"tokens": ["a", f"{i}"], "ner_tags": ["O", "I-X"]} for i in range(50)
    ]
    example = tasks.get("ner", data=write(tmp_path, rows)).examples("train")[0]
    assert example.prompt.startswith("a ")
    assert example.references == ("O B-X",)


def test_words_and_tags_must_agree(tmp_path):
    rows = [{"source": "a b", "target": "O", "key": "k7"}] * 50
    task = tasks.get("ner", data=write(tmp_path, rows))
    with pytest.raises(TokenRLError, match='"k7".* has 2 words but 1 tags'):
        [task.examples(split) for split in ("train", "validation", "test")]


def test_one_tag_is_nothing_to_choose_from(tmp_path):
    rows = [{"source": f"a {i}", "target": "O O"} for i in range(50)]
    task = tasks.get("ner", data=write(tmp_path, rows))
    with pytest.raises(TokenRLError, match="have 1 label"):
        task.labels(task.examples("train"))


def test_a_tfds_set_of_tags_is_read_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    examples = tasks.get("ner", data="tfds:toy_tags").examples("train")
    assert examples[0].prompt.startswith("Peter Miller ")
    assert examples[0].references == ("B-PER I-PER O",)


@pytest.mark.skipif(not CONLL.is_dir(), reason="set CONLL2003 to its folder")
def test_conll_2003_has_the_published_counts():
    task = tasks.get("ner", data=str(CONLL))
    examples = task.examples("validation")
    tags = [t for e in examples for t in e.reference.split()]
    assert (len(examples), len(tags)) == (3250, 51362)
    begun = {kind: tags.count(f"B-{kind}") for kind in ("LOC", "MISC")}
    begun |= {kind: tags.count(f"B-{kind}") for kind in ("ORG", "PER")}
    assert begun == {"LOC": 1837, "MISC": 922, "ORG": 1341, "PER": 1842}


def rows_of(tags, count=60):
    words = " ".join("w" for _ in tags.split())
    return [
        {"source": f"{words} {i}", "target": f"{tags} O"} for i in range(count)
    ]


@pytest.mark.parametrize(
    ("tags", "kept", "said"),
    [
        ("I-X I-X O", "B-X I-X O", "IOB1, such as I-X, written as IOB2"),
        ("B-X I-X O", "B-X I-X O", "IOB2, such as B-X"),
        ("B_X I_X O", "B-X I-X O", "IOB2, such as B_X"),
        ("X-B X-I O", "B-X I-X O", "IOB2, such as X-B"),
        ("B I O", "B I O", "IOB2, such as B"),
        ("B-X E-X S-Y", "B-X E-X S-Y", "BIOES, such as B-X"),
        ("B-X L-X U-Y", "B-X L-X U-Y", "BILOU, such as B-X"),
        ("NN VB DT", "NN VB DT", 'no scheme of spans ("NN"'),
    ],
)
def test_each_scheme_is_read_and_named(tmp_path, tags, kept, said):
    task = tasks.get("ner", data=write(tmp_path, rows_of(tags)))
    assert task.examples("train")[0].references == (f"{kept} O",)
    assert said in task.remark()


def test_class_numbers_need_names(tmp_path):
    rows = [
        {"tokens": ["a", "b", f"{i}"], "tags": [1, 2, 0]} for i in range(60)
    ]
    data = write(tmp_path, rows)
    with pytest.raises(TokenRLError, match=r"numbers \(0, 1, 2\).*--labels"):
        tasks.get("ner", data=data).examples("train")
    task = tasks.get("ner", data=data, labels=["O", "B-X", "I-X"])
    assert task.examples("train")[0].references == ("B-X I-X O",)
    task = tasks.get("ner", data=data, labels=["O", "B-X"])
    with pytest.raises(TokenRLError, match='label "2".*below 2.*O, B-X'):
        task.examples("train")

import dataclasses
import json
import random

import pytest

from tf_tokenrl import tasks
from tf_tokenrl.datasets.splits import SPLITS, normal_form
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.prepare import PrepareOptions, main
from tf_tokenrl.text.tokenizer import load_processor

WORDS = ["sun", "moon", "star", "sky", "cloud", "rain", "wind", "storm"]


@pytest.fixture
def options(tmp_path):
    generator = random.Random(0)
    rows = []
    for i in range(200):
        text = " ".join(generator.choices(WORDS, k=generator.randint(5, 40)))
        rows.append({"text": f"The {text} {i}.", "title": f"About {text[:9]}"})
    rows.append(rows[0])
    rows.append({"text": "empty", "title": ""})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return PrepareOptions(
        data=str(path),
        source="text",
        target="title",
        out=tmp_path / "runs" / "data",
        vocabulary_size=320,
        max_prompt_tokens=16,
        max_answer_tokens=12,
    )


def prepared(options):
    main(options)
    task = tasks.get("headline", data=str(options.out))
    return {split: task.examples(split) for split in SPLITS}


def test_what_comes_out_fits_and_no_prompt_is_in_two_splits(options, capsys):
    splits = prepared(options)
    processor = load_processor(options.out / "tokenizer.spm")
    seen = set()
    for examples in splits.values():
        prompts = {normal_form(e.prompt) for e in examples}
        assert not prompts & seen
        seen |= prompts
        for example in examples:
            assert 0 < len(processor.encode(example.prompt)) <= 15
            assert 0 < len(processor.encode(example.reference)) <= 11
    out = capsys.readouterr().out
    statistics = json.loads((options.out / "statistics.json").read_text())
    for split in SPLITS:
        counts = statistics[split]
        dropped = sum(v for k, v in counts.items() if k.startswith("dropped"))
        assert counts["rows in"] - dropped == counts["rows out"]
        assert counts["rows out"] == len(splits[split])
        assert split in out
    assert sum(c["rows in"] for c in statistics.values()) == 202


def test_the_same_options_give_the_same_bytes_and_are_reused(options, capsys):
    first = prepared(options)
    files = {p.name: p.read_bytes() for p in options.out.iterdir()}
    times = {p.name: p.stat().st_mtime_ns for p in options.out.iterdir()}
    assert prepared(options) == first
    assert "already" in capsys.readouterr().out
    assert times == {
        p.name: p.stat().st_mtime_ns for p in options.out.iterdir()
    }
    again = dataclasses.replace(options, out=options.out.parent / "again")
    prepared(again)
    assert files == {p.name: p.read_bytes() for p in again.out.iterdir()}


def test_other_options_replace_the_folder_only_when_told_to(options):
    first = prepared(options)
    other = dataclasses.replace(
        options, remove_stop_words=True, lowercase=True, limit=50
    )
    with pytest.raises(TokenRLError, match="other options.*--overwrite"):
        main(other)
    assert prepared(options) == first
    second = prepared(dataclasses.replace(other, overwrite=True))
    assert len(second["train"]) <= 50 < len(first["train"])
    assert all(" the " not in f" {e.prompt} " for e in second["train"])
    assert second["train"][0].reference.startswith("about")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "headlin"}, 'Did you mean "headline"'),
        ({"source": "body"}, "it has text, title"),
        ({"vocabulary_size": 90_000}, "enough for"),
        ({"min_answer_words": 99}, "answer too short"),
        ({"max_prompt_tokens": 1}, "2 tokens or more"),
        ({"limit": -1}, "--limit must be at least 0"),
        ({"data": "absent.jsonl"}, "absent.jsonl"),
    ],
)
def test_bad_options_are_one_sentence_and_change_nothing(
    options, changes, words
):
    before = prepared(options)
    with pytest.raises(TokenRLError, match=words) as error:
        main(dataclasses.replace(options, overwrite=True, **changes))
    assert "\n" not in str(error.value)
    assert prepared(options) == before

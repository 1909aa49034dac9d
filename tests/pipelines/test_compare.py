"""A supervised start, and two ways of going on from it."""

import json

import numpy as np
import pytest
from scipy import stats

from tf_tokenrl.pipelines import compare
from tf_tokenrl.pipelines.sft import SftOptions
from tf_tokenrl.pipelines.train import TrainOptions
from tf_tokenrl.policies.from_scratch import ModelOptions


def test_differences_have_an_interval_over_the_seeds():
    gains = [{"f1": 0.01}, {"f1": 0.03}, {"f1": 0.02}]
    found = compare.differences(gains)["f1"]
    interval = stats.ttest_1samp([0.01, 0.03, 0.02], 0).confidence_interval()
    assert found["mean"] == pytest.approx(0.02)
    assert (found["low"], found["high"]) == pytest.approx(tuple(interval))
    assert compare.differences(gains[:1]) == {"f1": {"mean": 0.01}}


@pytest.mark.parametrize(
    ("budget", "epochs"), [(10, 1), (50, 1), (51, 2), (99, 2)]
)
def test_supervised_learning_gets_at_least_as_much(tmp_path, budget, epochs):
    """100 seconds for 2 epochs: each costs 50."""
    start = SftOptions(out=tmp_path / "supervised", epochs=2, seed=3)
    options = compare.CompareOptions(longer_learning_rate=1e-6)
    longer = compare._longer(options, start, 100.0, float(budget))
    assert longer.epochs == epochs and longer.seed == 3
    assert longer.start == tmp_path / "supervised" / "policy.keras"
    assert longer.out != start.out
    assert longer.learning_rate == 1e-6 and longer.warmup == 0


@pytest.mark.slow
def test_two_seeds(data, tmp_path, capsys):
    path = compare.main(
        compare.CompareOptions(
            data=data,
            out=tmp_path,
            sft=SftOptions(
                model=ModelOptions("gpt2", layers=1, width=16, heads=2),
                max_prompt_tokens=24,
                max_new_tokens=8,
                epochs=1,
            ),
            train=TrainOptions(steps=2, batch_size=8, sample_answers=1),
            seeds=2,
        )
    )
    results = json.loads(path.read_text())
    assert set(results["seeds"]) == {"0", "1"}
    for one in results["seeds"].values():
        scores = one["scores"]
        assert tuple(scores) == compare.STAGES
        for before in ("supervised", "supervised_longer"):
            for metric, gain in one[f"over_{before}"].items():
                after = scores["reinforced"][metric]
                assert gain == after - scores[before][metric]
        seconds = one["processor_seconds"]
        assert min(seconds.values()) > 0
    gain = results["gains"]["over_supervised"]["rouge_l"]
    assert gain["low"] <= gain["mean"] <= gain["high"]
    means = [s["over_supervised"]["rouge_l"] for s in results["seeds"].values()]
    assert gain["mean"] == pytest.approx(np.mean(means))
    assert "Reinforced over supervised longer" in capsys.readouterr().out

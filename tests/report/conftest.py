"""A run's folder as training leaves it, with made-up numbers."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

INJECTION = "</script><script>window.injected = 1</script>"
PROMPT = (
    "The town council voted on Tuesday to reopen the old railway station "
    "after a campaign that lasted six years and gathered four thousand "
    "signatures. Trains could stop there again by next summer."
)
ANSWERS = (
    ("Council votes to reopen old station", "The council the council voted"),
    ("Old station to welcome trains again", "Trains the trains stop stop"),
    ("Six-year campaign saves railway station", "A campaign that lasted"),
)


def log_rows(steps: int, rng: np.random.Generator) -> list[dict[str, float]]:
    rows = []
    for step in range(1, steps + 1):
        done = 1 - math.exp(-3 * step / steps)
        noise = rng.normal(size=8)
        rows.append(
            {
                "step": step,
                "reward": 0.21 + 0.08 * done + 0.012 * noise[0],
                "kl": 0.4 * done + 0.02 * abs(noise[1]),
                "entropy": 2.6 - 1.1 * done + 0.05 * noise[2],
                "value_loss": 0.05 * math.exp(-3 * done)
                + 0.003 * abs(noise[3]),
                "policy_loss": -0.01 + 0.004 * noise[4],
                "length": 14 - 3 * done + 0.4 * noise[5],
                "gradient_norm": 0.9 + 0.1 * noise[6],
                "learning_rate": 1e-4 * (1 - step / steps) + 1e-6,
                "tokens_per_second": 800 + 20 * noise[7],
                "rewards/rouge": 0.25 + 0.08 * done + 0.012 * noise[0],
                "validation/rouge": 0.2 + 0.05 * done if step % 10 == 0 else "",
            }
        )
    return rows


def sample_row(number: int, rng: np.random.Generator) -> dict:
    after, before = ANSWERS[number % len(ANSWERS)]
    words = after.split()
    tokens = [words[0], *(f" {word}" for word in words[1:]), ""]
    size = len(tokens)
    reward = np.round(rng.normal(0, 0.02, size), 4)
    reward[-1] = 0.31
    return {
        "prompt": f"{PROMPT} {INJECTION if number == 0 else ''}",
        "reference": after.replace("to", "will"),
        "before": before,
        "after": after,
        "tokens": tokens,
        "reward": reward.tolist(),
        "advantage": rng.normal(0, 1, size).round(3).tolist(),
        "kl": rng.gamma(1, 0.2, size).round(4).tolist(),
        "value": np.linspace(0.2, 0.3, size).round(3).tolist(),
    }


def results() -> dict:
    def score(mean: float, half: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - half, "high": mean + half}

    return {
        "before": {
            "rouge_l": score(0.2134, 0.008),
            "length": score(14.2, 0.3),
            "stopped": score(0.91, 0.02),
        },
        "supervised_longer": {
            "rouge_l": score(0.2208, 0.008),
            "length": score(13.9, 0.3),
            "stopped": score(0.93, 0.018),
        },
        "after": {
            "rouge_l": score(0.2546, 0.009),
            "length": score(11.1, 0.2),
            "stopped": score(0.99, 0.006),
        },
        "seconds": {"data": 4.2, "supervised": 95.0, "reinforcement": 413.7},
        "served_equals_trainer": {"texts": 32, "equal": True},
        "savedmodel": "savedmodels/headline/1",
        "report": "report.html",
    }


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A complete run of 200 steps; to be read, not changed."""
    folder = tmp_path_factory.mktemp("runs") / "headline"
    fill(folder)
    return folder


def fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = log_rows(200, rng)
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    content = {
        "results": results(),
        "samples": [sample_row(number, rng) for number in range(3)],
        "options": {"algorithm": {"name": "ppo", "clip": 0.2}, "seed": 1},
        "versions": {"keras": "3.15.1", "tensorflow": "2.21.0"},
    }
    for name, value in content.items():
        (folder / f"{name}.json").write_text(json.dumps(value))

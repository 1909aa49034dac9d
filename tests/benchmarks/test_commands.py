"""Each command, run in this process at the smallest size."""

import json

import pytest

from benchmarks import iteration, machine, sampling, scaling, update
from tf_tokenrl.errors import TokenRLError

TINY = "--layers 1 --heads 2 --width 8 --vocabulary 20 --prompt 3 --json"
ALWAYS = {"project", "tensorflow", "dtype", "layers", "peak_memory_mb"}
ROOFLINE = {
    "compile_seconds",
    "memory_gb_per_second",
    "matrix_gflop_per_second",
    "roofline_seconds",
    "fraction_of_roofline",
}


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    """Ceilings are measured on little."""
    monkeypatch.setattr(machine, "_SIDE", 16)
    monkeypatch.setattr(machine, "_MEGABYTES", 1)
    measure = machine.measure
    monkeypatch.setattr(machine, "measure", lambda d: measure(d, 16, 1))


def run(command, options, capsys):
    returned = command.main([*TINY.split(), *options.split()])
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads(json.dumps(returned))
    assert set(printed) >= ALWAYS
    return printed


@pytest.mark.parametrize(
    "options",
    [
        "--algorithm rloo",
        pytest.param(
            "--algorithm grpo --dtype mixed_bfloat16", marks=pytest.mark.slow
        ),
    ],
)
def test_iteration(options, capsys):
    found = run(iteration, f"{options} --new 4 --iterations 2", capsys)
    assert set(found) >= ROOFLINE
    rate = 8 * 4 / found["seconds_per_iteration"]
    assert found["new_tokens_per_second"] == pytest.approx(rate, rel=0.05)
    assert len(found["all_seconds"]) == 2


def test_sampling(capsys):
    found = run(sampling, "--batch 2 --new 4 --iterations 2", capsys)
    assert set(found) >= ROOFLINE
    seconds = 4 / found["sampled_tokens_per_second"]
    assert found["seconds_per_answer"] == pytest.approx(seconds, rel=0.05)


@pytest.mark.slow
def test_sampling_answers_of_many_lengths(capsys):
    options = "--batch 2 --new 9 --iterations 2 --stop 0.5 --answers 6"
    found = run(sampling, options, capsys)
    assert found["seconds_per_answer"] > 0


@pytest.mark.slow
def test_scaling(capsys):
    found = run(
        scaling, "--batch 4 --new 2 --longest 24 --iterations 1", capsys
    )
    assert found["contexts"] == [5.0, 9.0, 18.0]
    assert len(found["seconds_per_token"]) == 3
    assert found["update_batch"] == [4, 8, 16]
    assert found["update_new"] == [2, 4, 8]
    names = ("sampling", "update_batch", "update_new")
    assert all(f"{name}_over_line" in found for name in names)


def test_texts_grow_by_doubling():
    assert scaling.stretches(32, 1024) == [33, 64, 128, 256, 512, 1024]
    assert scaling.stretches(3, 24) == [4, 6, 12, 24]


def test_growth_is_measured_against_a_straight_line():
    sizes = [1, 2, 4]
    assert scaling.over_line(sizes, [10 + 3 * n for n in sizes]) == 1.0
    assert scaling.over_line(sizes, [n * n for n in sizes]) == 1.6
    with pytest.raises(TokenRLError, match="--longest"):
        scaling.over_line([1, 2], [1, 2])


def test_update_for_people(capsys):
    options = TINY.replace("--json", "--batch 4 --new 4 --iterations 2")
    found = update.main(options.split())
    assert set(found) >= ALWAYS | ROOFLINE
    rate = 4 * 7 / found["seconds_per_update"]
    assert found["update_tokens_per_second"] == pytest.approx(rate, rel=0.05)
    lines = capsys.readouterr().out.splitlines()
    assert any(x.startswith("update_tokens_per_second  ") for x in lines)

import dataclasses

import pytest

from benchmarks import roofline
from benchmarks.machine import Machine
from benchmarks.options import Work

WORK = Work(
    layers=2, heads=1, width=10, vocabulary=100, batch=3, prompt=4, new=2
)
BODY = 2 * 12 * 10 * 10  # two layers of 12 squares
WEIGHTS = BODY + 10 * 100
SLOW_MEMORY, SLOW_PRODUCTS = Machine(1.0, 1e12), Machine(1e12, 1.0)


def test_the_weights_of_a_token_are_counted_by_hand():
    assert roofline.parameters(WORK) == WEIGHTS


def test_a_step_reads_the_weights_and_the_cache():
    cache = 2 * 2 * 10 * 5 * 3  # keys and values, layers, width, 5 each
    seconds = roofline.step_seconds(WORK, SLOW_MEMORY, context=5)
    assert seconds == 4 * (WEIGHTS + cache)


def test_a_step_multiplies_each_row_with_the_weights_and_the_cache():
    attention = 2 * 2 * 2 * 10 * 5 * 3  # scores and sums of 5 each
    seconds = roofline.step_seconds(WORK, SLOW_PRODUCTS, context=5)
    assert seconds == 2 * 3 * WEIGHTS + attention


def test_sampling_reads_the_prompts_once_and_takes_a_step_less():
    """The first new token comes out of the prompt's own pass."""
    pairs = 1 + 2 + 3 + 4
    prompt = 2 * BODY * 4 + 2 * 2 * 2 * 10 * pairs + 2 * 10 * 100
    step = roofline.step_seconds(WORK, SLOW_PRODUCTS, context=5)
    assert roofline.sampling(WORK, SLOW_PRODUCTS) == 3 * prompt + step
    assert roofline.sampling(WORK, SLOW_PRODUCTS, prompts=1) == prompt + step


def test_an_update_goes_forward_once_and_back_twice():
    once = roofline.scoring(WORK, SLOW_PRODUCTS)
    assert roofline.update(WORK, SLOW_PRODUCTS) == pytest.approx(3 * once)


def test_scoring_gives_logits_to_new_tokens_alone():
    """The last token of an answer is chosen and not read."""
    pairs = 1 + 2 + 3 + 4 + 5
    text = 2 * BODY * 5 + 2 * 2 * 2 * 10 * pairs + 2 * 2 * 10 * 100
    assert roofline.scoring(WORK, SLOW_PRODUCTS) == 3 * text


def test_scoring_and_updates_read_a_shared_prompt_once():
    prompt = 2 * BODY * 4 + 2 * 2 * 2 * 10 * (1 + 2 + 3 + 4)
    for seconds, passes in (roofline.scoring, 1), (roofline.update, 3):
        own = seconds(WORK, SLOW_PRODUCTS)
        shared = seconds(WORK, SLOW_PRODUCTS, prompts=1)
        assert own - shared == pytest.approx(passes * 2 * prompt)


def test_the_optimizer_passes_seven_times_over_the_weights():
    moved = roofline.update(WORK, SLOW_MEMORY)
    assert moved == pytest.approx(7 * 4 * WEIGHTS)


def test_bfloat16_weights_are_half_and_mixed_ones_are_not():
    full, half, mixed = (
        roofline.step_seconds(
            dataclasses.replace(WORK, dtype=dtype), SLOW_MEMORY, 5
        )
        for dtype in ("float32", "bfloat16", "mixed_bfloat16")
    )
    assert full == mixed == 2 * half

"""When a run is stopped, and that a resumed one stops at the same step."""

import json
import math

import keras
import pytest

from tf_tokenrl.callbacks import EarlyStopping
from tf_tokenrl.errors import TokenRLError


def drive(stopping, values, first_step=0, name="reward"):
    """How many steps are finished when the run ends."""
    model = keras.Model()
    model.stop_training = False
    callbacks = keras.callbacks.CallbackList(
        [stopping], model=model, steps=len(values), first_step=first_step
    )
    callbacks.on_train_begin()
    for step in range(first_step, len(values)):
        logs = {} if values[step] is None else {name: values[step]}
        callbacks.on_train_batch_end(step, logs)
        if model.stop_training:
            return step + 1
    return len(values)


def test_rising_reward_is_never_stopped():
    values = [step / 10 for step in range(50)]
    assert drive(EarlyStopping(patience=1, window=3), values) == 50


def test_flat_reward_stops_after_the_window_and_the_patience():
    # The window is full on step 3, which sets the best; then 5 more.
    assert drive(EarlyStopping(patience=5, window=3), [0.5] * 50) == 8


def test_less_is_better_mirrors_more_is_better():
    values = [math.sin(step / 5) for step in range(60)]
    more = drive(EarlyStopping(patience=4, window=2), values)
    less = EarlyStopping(patience=4, window=2, mode="min")
    assert drive(less, [-value for value in values]) == more < 60


def test_gain_of_min_delta_is_not_enough():
    values = [0.25 * step for step in range(20)]
    stopping = EarlyStopping(patience=3, window=1, min_delta=0.25)
    assert drive(stopping, values[:3] + [0.5] * 9) == 6
    assert drive(EarlyStopping(patience=3, window=1), values) == 20


def test_smoothing_sees_through_noise():
    values = [step + 30 * (-1) ** step for step in range(60)]
    assert drive(EarlyStopping(patience=1, window=1), values) == 2
    assert drive(EarlyStopping(patience=1, window=2), values) == 60


def test_value_that_is_not_finite_never_improves():
    assert drive(EarlyStopping(patience=4, window=2), [math.nan] * 9) == 4
    stopping = EarlyStopping(patience=4, window=1)
    assert drive(stopping, [math.inf, 0.5, 0.6, 0.7, 0.8, 0.9]) == 6


def test_validation_is_judged_only_where_it_is():
    values = [None, 0.5, None, 0.4, None, 0.3, None, 0.6]
    stopping = EarlyStopping("validation/rouge", patience=2)
    assert drive(stopping, values, name="validation/rouge") == 6


@pytest.mark.parametrize("cut", [1, 4, 9, 14])
def test_resumed_run_stops_where_the_whole_one_does(cut):
    values = [math.sin(step / 6) for step in range(60)]
    whole = drive(EarlyStopping(patience=6, window=4), values)
    first = EarlyStopping(patience=6, window=4)
    drive(first, values[:cut])
    second = EarlyStopping(patience=6, window=4)
    second.restore(json.loads(json.dumps(first.state())))
    assert drive(second, values, first_step=cut) == whole


def test_second_run_starts_afresh():
    stopping = EarlyStopping(patience=5, window=3)
    assert drive(stopping, [0.5] * 50) == drive(stopping, [0.1] * 50)


@pytest.mark.parametrize("name", ["reward", "validation/rouge"])
def test_log_that_is_not_there_is_named_with_its_neighbours(name):
    stopping = EarlyStopping(name[:-1] + "x")
    with pytest.raises(TokenRLError, match=f'Did you mean "{name}"'):
        drive(stopping, [1.0, 2.0], name=name)


@pytest.mark.parametrize(
    "options", [{"patience": 0}, {"window": 0}, {"mode": "more"}]
)
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(TokenRLError, match="EarlyStopping takes"):
        EarlyStopping(**options)

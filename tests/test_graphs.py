"""Graphs are traced once for each structure, whatever the lengths."""

import numpy as np

from tests import toy
from tf_tokenrl.graphs import Graph


def test_lengths_are_left_open():
    traces = []

    def total(x, weights):
        traces.append(x.shape)
        return x if weights is None else x * weights["w"]

    graph = Graph(total)
    for rows, columns in ((1, 1), (2, 5), (7, 3)):
        x = np.ones((rows, columns), np.float32)
        assert graph(x, None).shape == (rows, columns)
        assert graph(x, {"w": x}).shape == (rows, columns)
    assert len(traces) == 2
    assert graph(np.ones((2, 2), np.int32), None).dtype == "int32"
    assert len(traces) == 3


def test_a_trainer_traces_nothing_after_the_first_step():
    """Prompts, answers, parts of the vocabulary and rows of any number."""
    trainer = toy.trainer(
        "gru", "reinforce", policy={"stop_ids": tuple(range(3, 30))}
    )
    graphs = {
        name: getattr(trainer, name)
        for name in ("_collect", "_update", "_targets")
    }
    runs = {n: getattr(g, "_run", g) for n, g in graphs.items()}
    shapes, before = set(), None
    for step, rows in enumerate((8, 2, 6)):
        batch, _ = trainer.collect(toy.EXAMPLES[:rows], step)
        trainer.learn(batch, step)
        rollout = batch.rollout
        shapes.add((*rollout.prompt_ids.shape, *rollout.mask.shape))
        traced = {n: dict(run._traced) for n, run in runs.items()}
        assert before is None or traced == before
        before = traced
    assert len({s[1] for s in shapes}) > 1 and len({s[3] for s in shapes}) > 1
    assert all(len(functions) == 1 for functions in before.values())

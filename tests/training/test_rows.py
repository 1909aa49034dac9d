import numpy as np

from tf_tokenrl.training.rows import Rows, sequences

ROWS = Rows({"ids": [np.array([5, 6]), np.array([7]), np.array([8, 9, 4])]})


def test_a_batch_is_filled_up_with_rows_that_are_not_present():
    batch = ROWS.batch(np.array([1, 0, 2]), 2)
    assert batch["present"].tolist() == [True, True, True, False]
    assert batch["ids"].tolist() == [[7, 0, 0], [5, 6, 0], [8, 9, 4], [7, 0, 0]]
    assert batch["ids_mask"].sum(-1).tolist() == [1, 2, 3, 1]


def test_the_order_is_a_function_of_the_seed_and_the_epoch():
    many = Rows({"ids": [np.zeros(i % 5 + 1) for i in range(40)]})

    def order(seed, epoch):
        return [rows.tolist() for rows in many.epoch(seed, epoch, 3)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(1, 1) and order(0, 1) != order(0, 0)
    assert sorted(sum(order(0, 1), [])) == list(range(40))


def test_in_order_keeps_the_order():
    assert [r.tolist() for r in ROWS.in_order(2)] == [[0, 1], [2]]


def test_sequences_have_what_the_mask_keeps():
    found = sequences(
        np.array([[1, 2], [3, 4]]), np.array([[1, 0], [1, 1]]) > 0
    )
    assert [x.tolist() for x in found] == [[1], [3, 4]]

"""The cells that a kernel has had: kept in order, within bounds."""

from __future__ import annotations

from engine.kernels.checking.cells import _MOST_CELLS, _MOST_CHARS, PastCells


def test_cells_are_kept_in_their_order():
    past = PastCells()
    for code in ("a", "b", "a"):
        past.add(code)
    assert past.codes == ["a", "b", "a"]
    assert not past.is_partial


def test_a_cell_that_is_run_again_at_once_is_kept_once():
    past = PastCells()
    for _ in range(3):
        past.add("a")
    assert past.codes == ["a"]


def test_the_oldest_cells_go_first_and_that_is_known():
    past = PastCells()
    for number in range(_MOST_CELLS + 2):
        past.add(f"cell {number}")
    assert (past.codes[0], len(past.codes), past.is_partial) == ("cell 2", _MOST_CELLS, True)


def test_a_cell_that_is_too_long_is_not_kept():
    past = PastCells()
    past.add("a")
    past.add("x" * (_MOST_CHARS + 1))
    assert (past.codes, past.is_partial) == ([], True)
    past.add("b")
    assert past.codes == ["b"]

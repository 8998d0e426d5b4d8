"""What the kernel takes for plain Python is what IPython's transformations leave as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import leading_empty_lines
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.macro import Macro

_RUNTIME = Path(__file__).resolve().parents[3] / "runtimes/python"
_PIECES = [
    *"%!?,;/ \n\t=()[]{}:'\"#\\.*>+-@abc1",
    "ls",
    "exit",
    "1+1",
    "x = ",
    "%%",
    "if a:\n  ",
    "def f():\n  ",
    "In [1]: ",
]
_PIECES += ["...", "...: ", ">>> ", "?", "cd ", "pwd", "!=", "%ls", "y*z", "x.y", "await ", "\x0c", "\u2028", "'''"]


@pytest.fixture(scope="module")
def shell() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_RUNTIME)
        from polyrepl_kernel.plain import PlainCells

        hook, excepthook = sys.displayhook, sys.excepthook
        shell: Any = InteractiveShell()
        shell.input_transformer_manager.cleanup_transforms.remove(leading_empty_lines)
        shell.plain_cells = PlainCells(shell)
        yield shell
        shell.history_manager.end_session()
        sys.displayhook, sys.excepthook = hook, excepthook


@settings(max_examples=1000, deadline=None)
@given(cell=st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_a_plain_cell_is_what_ipython_leaves_as_it_is(shell: Any, cell: str) -> None:
    if shell.plain_cells.include(cell):
        try:
            transformed = shell.transform_cell(cell)
        except SyntaxError:  # IPython's tokenizer has found it; Python's compiler will
            return
        assert transformed == (cell if cell.endswith("\n") else cell + "\n")


@pytest.mark.parametrize(
    "cell", ["1+1", "x", "df.head()", "x = 10 % 3", "a != b", "for i in range(3):\n    print(i)\n", "await f()", ""]
)
def test_most_cells_are_plain(shell: Any, cell: str) -> None:
    assert shell.plain_cells.include(cell)


@pytest.mark.parametrize(
    "cell",
    [
        "%pwd",
        "!ls",
        "x = !ls",
        "x = %pwd",
        "x?",
        "%%time\n1",
        "if x:\n    %pwd",
        "pwd",
        "exit",
        ">>> 1",
        "  x = 1",
        "In [1]: x",
    ],
)
def test_what_ipython_would_replace_is_not_plain(shell: Any, cell: str) -> None:
    assert not shell.plain_cells.include(cell)


def test_a_macro_is_not_plain(shell: Any) -> None:
    shell.user_ns["my_macro"] = Macro("1+1")
    assert not shell.plain_cells.include("my_macro")


def test_with_a_transformation_of_the_users_own_no_cell_is_plain(shell: Any) -> None:
    shell.input_transformers_post.append(lambda lines: lines)
    assert not shell.plain_cells.include("1+1")
    shell.input_transformers_post.pop()
    shell.autocall = 1
    assert not shell.plain_cells.include("abs -1")
    shell.autocall = 0
    assert shell.plain_cells.include("abs -1")

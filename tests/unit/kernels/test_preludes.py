"""The cells around a cell: variables are set and put back, whatever they hold, and no name of the user's is touched."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernels.preludes import preludes_of

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)


@given(st.dictionaries(st.sampled_from(["PRELUDE_A", "PRELUDE_B"]), VALUES, min_size=1))
def test_values_of_any_kind_are_set_and_put_back(env: dict[str, str]) -> None:
    cells = preludes_of("python", env)
    assert cells
    names: dict[str, object] = {}
    before = dict(os.environ)
    exec(cells.before, names)
    exec(cells.before, names)  # as after an interrupt
    assert {name: os.environ[name] for name in env} == env
    exec(cells.after, names)
    exec(cells.after, names)
    assert dict(os.environ) == before
    assert set(names) == {"__builtins__"}


def test_what_the_cell_itself_assigned_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELUDE_A", "before")
    cells = preludes_of("Python", {"PRELUDE_A": "during"})
    assert cells
    exec(cells.before, {})
    os.environ["PRELUDE_A"] = "own"
    exec(cells.after, {})
    assert os.environ["PRELUDE_A"] == "own"


def test_no_other_language_has_them() -> None:
    assert preludes_of("cobol", {"A": "b"}) is None


def test_a_text_in_java_stays_in_its_quotes() -> None:
    cells = preludes_of("java", {"A": '";\\u0022\n\u00e9\U0001f600~'})
    assert cells
    assert 'value = "\\042;\\134u0022\\012\\u00e9\\ud83d\\ude00~";' in cells.before
    assert cells.before.isascii()

"""Which diagnostic is the hint of an error."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from engine.kernels.checking import explain
from engine.models import Diagnostic, ErrorInfo


def found(line: int, column: int, message: str, **fields: Any) -> Diagnostic:
    given = {"end_line": line, "end_column": column + 3, "code": 2339, "severity": "error", **fields}
    return Diagnostic(line=line, column=column, message=message, **given)


def failed(value: str, place: str = "1:1", hint: Any = UNSET) -> ErrorInfo:
    return ErrorInfo("TypeError", value, f"TypeError: {value}\n    at cell_7.ts:{place}", hint)


PROMISE = found(2, 3, "Property 'json' does not exist on type 'Promise<Response>'.")
OTHER = found(1, 1, "Type 'string' is not assignable to type 'number'.")


def test_the_one_that_names_what_failed():
    error = failed("r.json is not a function", "2:3")
    expected = "Line 2, column 3: Property 'json' does not exist on type 'Promise<Response>'. (TS2339)"
    assert explain(error, [OTHER, PROMISE]) == error.hint == expected


def test_the_one_at_the_place_of_the_error():
    error = failed("boom", "1:2")
    assert str(explain(error, [PROMISE, OTHER])).startswith("Line 1, column 1: Type 'string'")


def test_of_two_with_the_name_the_one_on_the_line():
    here = found(5, 9, "Property 'json' does not exist on type 'number'.")
    assert str(explain(failed("x.json is not a function", "5:20"), [PROMISE, here])).startswith("Line 5")


@pytest.mark.parametrize(
    "error",
    [
        failed("boom", "3:1"),
        failed("boom", "1:30"),
        ErrorInfo("Error", "boom", ""),
        failed("json", hint="install it"),
        None,
    ],
)
def test_nothing_where_none_explains_it_or_a_hint_is_there(error: ErrorInfo | None):
    before = error.hint if error is not None else UNSET
    assert explain(error, [PROMISE, OTHER]) is UNSET
    assert error is None or error.hint == before


def test_only_errors_explain():
    suggestion = found(1, 1, "'json' is deprecated.", severity="suggestion")
    assert explain(failed("json"), [suggestion]) is UNSET

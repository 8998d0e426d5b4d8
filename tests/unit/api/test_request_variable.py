"""REQUEST is a JSON text in every language, and nothing in a request is ever read as code."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.notebook.request_variable import assignment

NASTY = {"body": "'\"\\ \n\r\t $(id) ${x} #{y} @z `w` %s \u2028 é 😀 \x00 </script>", "args": {"$a": ["'"]}}
TEXTS = st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3)


@given(TEXTS)
def test_python_gets_the_request_back(bundle: dict[str, str]) -> None:
    names: dict[str, Any] = {}
    exec(assignment("python", bundle), names)
    assert isinstance(names["REQUEST"], str)
    assert json.loads(names["REQUEST"]) == bundle


def test_bash_gets_the_request_back() -> None:
    script = assignment("bash", NASTY) + '\nprintf %s "$REQUEST"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout) == NASTY


@given(TEXTS)
def test_a_literal_of_other_languages_holds_nothing_that_any_of_them_interpolates(bundle: dict[str, str]) -> None:
    found = re.fullmatch(r'REQUEST = "((?:[ -~])*)"', assignment("R", bundle))
    assert found is not None
    literal = found[1]
    assert not set("$#@`") & set(literal)
    # The only escapes are those that every language has.
    assert re.fullmatch(r'(?:[^"\\]|\\\\|\\")*', literal)
    assert json.loads(re.sub(r"\\(.)", r"\1", literal)) == bundle


@pytest.mark.parametrize(
    ("language", "start"),
    [
        ("typescript", "globalThis.REQUEST = "),
        ("javascript", "globalThis.REQUEST = "),
        ("Perl", 'my $REQUEST = "'),
        ("julia", 'REQUEST = "'),
        ("", 'REQUEST = "'),
    ],
)
def test_the_statement_is_that_of_the_language(language: str, start: str) -> None:
    assert assignment(language, NASTY).startswith(start)

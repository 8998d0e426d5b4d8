"""The table in SECURITY.md is what the checks expect."""

from __future__ import annotations

from tests.hostile import CHECKS
from tests.hostile.table import SUBJECTS, parts, table


def test_the_document_has_the_table_of_the_checks() -> None:
    assert parts()[1].strip() == table().strip(), "write it with `python -m tests.hostile --table`"


def test_every_number_has_a_check() -> None:
    assert {check.number for check in CHECKS} == set(SUBJECTS) == set(range(1, 31))


def test_no_two_checks_have_one_name() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))

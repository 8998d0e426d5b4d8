"""What the log shows, and what it never does."""

from __future__ import annotations

import logging

import pytest

from engine import log


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_in_the_log_shows_no_local_variables(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logger = log._make(0, form)

    def run(code: str) -> None:
        raise ValueError(len(code))

    try:
        run("terces"[::-1])
    except ValueError:
        logger.exception("execution_failed")
    shown = capsys.readouterr().err
    assert "ValueError: 6" in shown
    assert "secret" not in shown


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_line_has_no_control_characters(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logger = log._make(0, form)
    logger.warning("refused", reason="a\x1b[2Jb\nforged line\x07", id="ok")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "[2Jb" in line


def test_a_traceback_keeps_its_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    logger = log._make(0, "console")
    try:
        raise ValueError("\x1b]0;title\x07")
    except ValueError:
        logger.exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 2
    assert all(line.isprintable() for line in lines)


def test_lines_of_other_packages_have_none_either() -> None:
    record = logging.LogRecord("some", logging.WARNING, __file__, 1, "path %s", ("\x1b[31m\x9b",), None)
    assert log._Formatter("%(message)s").format(record) == "path \\x1b[31m\\x9b"

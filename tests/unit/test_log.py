"""What the log shows, and what it never does."""

from __future__ import annotations

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

"""The end of processes that left the group of their kernel."""

from __future__ import annotations

import os

import pytest

from engine.kernels.provisioners import process


def test_a_process_that_may_not_be_ended_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signum: int) -> None:
        raise PermissionError(1, "refused")

    monkeypatch.setattr(process, "_has", lambda entry, *_: entry.name == str(os.getpid()))
    monkeypatch.setattr(os, "kill", refuse)
    process.end_marked("mark")

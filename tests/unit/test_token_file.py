"""The setting `token_file`: a token that stands in a file, which is looked at before it is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

import engine.server
from engine import log
from engine.cli.main import main
from engine.settings import Settings, load_settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret words\n")
    path.chmod(0o600)
    return path


def test_the_token_is_the_line_of_the_file_and_never_shows(path: Path, monkeypatch: pytest.MonkeyPatch):
    assert Settings(token_file=path, host="0.0.0.0").secret == "secret words"
    assert "secret" not in repr(Settings(token_file=path))
    monkeypatch.setenv("POLYREPL_TOKEN_FILE", str(path))
    assert load_settings().secret == "secret words"


def test_a_token_and_a_file_exclude_each_other(path: Path):
    with pytest.raises(ValidationError, match="token and token_file"):
        Settings(token="a", token_file=path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "one line"),
        (b" \n", "one line"),
        (b"a\nb\n", "one line"),
        (b"\xff\xff", "UTF-8"),
        (b"x" * 5000, "4096 bytes"),
    ],
)
def test_a_file_without_a_token_is_refused(path: Path, content: bytes, problem: str):
    path.write_bytes(content)
    with pytest.raises(ValidationError, match=problem):
        Settings(token_file=path)


def test_what_is_no_file_of_its_owner_is_refused(path: Path, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for wrong, problem in (
        (tmp_path / "pipe", "no regular file"),
        (tmp_path, "no regular file"),
        (tmp_path / "no", "No such file"),
    ):
        with pytest.raises(ValidationError, match=problem):
            Settings(token_file=wrong)
    path.chmod(0o622)
    with pytest.raises(ValidationError, match="can be written by others"):
        Settings(token_file=path)


@pytest.mark.parametrize(
    ("flags", "mode", "warning"),
    [
        (("--token", "secret"), 0o600, "token_on_command_line"),
        (("--token-file", "PATH"), 0o644, "token_file_readable_by_others"),
        (("--token-file", "PATH"), 0o600, None),
    ],
)
def test_a_server_warns_of_a_token_that_others_can_see(
    path: Path, flags: tuple[str, str], mode: int, warning: str | None, monkeypatch: pytest.MonkeyPatch
):
    path.chmod(mode)
    monkeypatch.setattr(log, "_logger", log._logger)  # which the command configures
    served: list[Settings] = []
    monkeypatch.setattr(engine.server, "run_server", lambda settings: served.append(settings) or 0)
    result = CliRunner().invoke(main, ["serve", *(str(path) if flag == "PATH" else flag for flag in flags)])
    assert (served[0].secret or "").startswith("secret")
    assert warning in result.output if warning else "warning" not in result.output

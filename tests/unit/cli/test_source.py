"""What `polyrepl run` takes for a file, and for code."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from engine.cli.run import View
from engine.cli.source import SourceMissing, read_source


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.py", "python"),
        ("b.ts", "typescript"),
        ("c.mjs", "javascript"),
        ("D.PY", "python"),
        ("with space.py", "python"),
        ("e", None),
    ],
)
def test_a_file_is_read_and_its_name_says_the_language(place: Path, name: str, language: str | None) -> None:
    (place / name).write_text("\ufeff1 + 1", encoding="utf-8")
    source = read_source(name)
    assert (source.code, source.language, source.file, source.is_stdin) == ("1 + 1", language, str(place / name), False)


@pytest.mark.parametrize(
    "code",
    [
        "1 + 1",
        "math.pi",
        "obj.py()",
        "a.py\nb.py",
        "x = 'a.py'",
        "open('a.py').read()",
        "print",
        "x" * 10_000,
        "a\0b",
        "",
        "os.path",
    ],
)
def test_other_text_is_code(place: Path, code: str) -> None:
    source = read_source(code)
    assert (source.code, source.language, source.file) == (code, None, None)


@pytest.mark.parametrize("name", ["missing.py", "./missing.ts", "/no/where/a.js", "../missing.py"])
def test_a_name_of_a_file_that_is_not_there_is_no_code(place: Path, name: str) -> None:
    with pytest.raises(SourceMissing, match="No such file"):
        read_source(name)


def test_a_file_that_is_no_text_is_refused(place: Path) -> None:
    (place / "a.py").write_bytes(b"\xff\xfe\0")
    with pytest.raises(SourceMissing, match="UTF-8"):
        read_source("a.py")


@pytest.mark.parametrize("argument", [None, "-"])
def test_without_an_argument_standard_input_is_the_code(argument: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("6 * 7"))
    source = read_source(argument)
    assert (source.code, source.is_stdin) == ("6 * 7", True)


@pytest.mark.parametrize(
    ("value", "status", "said"),
    [
        ("", 0, ""),
        ("None", 0, ""),
        ("0", 0, ""),
        ("3", 3, ""),
        ("256", 0, ""),
        ("-1", 255, ""),
        ("bye", 1, "bye\n"),
        ("1.5", 1, "1.5\n"),
    ],
)
def test_code_that_exits_gives_the_status_that_python_gives(
    value: str, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert View(Console(), None).leave(value) == status
    assert capsys.readouterr().err == said

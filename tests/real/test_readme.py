"""The README is true: its session is run and compared, its tables are compared with the code.

`python tests/real/test_readme.py` writes the answers and the settings table anew, for a person to read before committing them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api.http.openapi import documented_path
from engine.api.native.routes import OPERATIONS
from engine.cli.main import main
from engine.models import Event, Result
from engine.settings import Settings
from tests.harness.server import Server

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
_SESSION = re.compile(r"<!-- session -->\n```console\n(.*?)```", re.DOTALL)
_SETTINGS = re.compile(r"<!-- settings -->\n(.*?)\n## ", re.DOTALL)
_EMBEDDED = re.compile(r"<!-- embedded -->\n```python\n(.*?)```", re.DOTALL)
_CLIENT = re.compile(r"<!-- client -->\n```python\n(.*?)```", re.DOTALL)
_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r'"duration_ms":[0-9.]+'), '"duration_ms":<ms>'),
    (re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z"), "<time>"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """For programs that do not care what ran before them."""
    with Server() as server:
        yield server


def commands(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.startswith("$ ")]


def address(server: Server) -> str:
    return server.url.removeprefix("http://")


def answer(server: Server, command: str) -> str:
    shown = command.removeprefix("$ ").replace("localhost:8000", address(server))
    done = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def run_block(server: Server, block: str) -> str:
    return "".join(f"{command}\n{answer(server, command)}\n" for command in commands(block))


def masked(text: str) -> str:
    for pattern, replacement in _VOLATILE:
        text = pattern.sub(replacement, text)
    return text


def settings_table() -> str:
    rows = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, list):
            default = [str(each) if isinstance(each, Path) else each for each in default]
        shown = "the server's own" if name == "python" else "none" if default in (None, [], {}) else f"`{default}`"
        rows.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_session_of_the_readme_answers_as_it_says() -> None:
    blocks = _SESSION.findall(README.read_text())
    assert len(blocks) >= 6
    with Server() as server:
        for block in blocks:
            assert masked(run_block(server, block)) == masked(block)


def test_the_program_of_the_readme_runs() -> None:
    (program,) = _EMBEDDED.findall(README.read_text())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "45\n"


def test_the_program_of_the_readme_that_uses_the_client_runs(server: Server) -> None:
    (program,) = _CLIENT.findall(README.read_text())
    here = program.replace("localhost:8000", address(server))
    done = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "live: 2 rows\n6\n['Started', 'Stdout', 'Done']\n"


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    (table,) = _SETTINGS.findall(README.read_text())
    assert table.strip() == settings_table()


def test_every_route_and_command_is_in_the_readme() -> None:
    text = README.read_text()
    for operation in OPERATIONS:
        assert f"`{operation.method} {documented_path(operation.path)}`" in text
    for command in main.commands:
        assert f"`polyrepl {command}" in text


def test_every_field_of_a_result_and_every_event_is_in_the_readme() -> None:
    text = README.read_text()
    for name in Result.__struct_fields__:
        assert f"`{name}`" in text
    for event in Event.__subclasses__():
        assert f"`{event.__struct_config__.tag}`" in text


def write() -> None:
    text = README.read_text()
    with Server() as server:
        text = _SESSION.sub(lambda found: f"<!-- session -->\n```console\n{run_block(server, found[1])}```", text)
    text = re.sub(
        r"<!-- settings -->\n.*?\n## ",
        lambda _: f"<!-- settings -->\n\n{settings_table()}\n\n## ",
        text,
        flags=re.DOTALL,
    )
    README.write_text(text)


if __name__ == "__main__":
    write()

"""Builds the wheel, installs it into an empty venv, and uses it from an unrelated directory. Exits non-zero where that fails.

A program that uses both packages is checked by a strict mypy, and one that only calls a server runs where only httpx is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.harness.server import Server

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 600
CHECKS = (
    (("doctor",), ("language python", "language typescript", "polyrepl[data]")),
    (("run", "print(1); 6*7"), ("1", "42")),
    (("run", "-l", "ts", "const x: number = 6; x*7"), ("42",)),
)

PROGRAMS = Path(__file__).resolve().parent / "wheel_programs"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="polyrepl-wheel-") as directory:
        base = Path(directory)
        wheel = build(base / "dist")
        python = install(wheel, base / "venv")
        elsewhere = base / "elsewhere"
        elsewhere.mkdir()
        where = show([str(python), "-c", "import engine; print(engine.__file__)"], elsewhere).stdout.strip()
        failures = [] if where.startswith(str(base / "venv")) else [f"engine is imported from {where}"]
        for arguments, expected in CHECKS:
            failures += check(python.parent / "polyrepl", arguments, expected, elsewhere)
        failures += check_types(python, elsewhere)
        failures += check_client(python.parent / "polyrepl", install(wheel, base / "client", "httpx"), elsewhere)
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    print("the installed wheel does not work" if failures else "the installed wheel works")
    return 1 if failures else 0


def build(directory: Path) -> Path:
    show([sys.executable, "-m", "build", "--wheel", "--outdir", str(directory)], ROOT, quiet=True, must_work=True)
    (wheel,) = directory.glob("polyrepl-*.whl")
    print(f"built {wheel.name}, {wheel.stat().st_size / 1e6:.2f} MB")
    return wheel


def install(wheel: Path, directory: Path, *only: str) -> Path:
    """Returns the venv's interpreter. `only`: packages to install in place of those that the wheel asks for."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if only:
        show([*pip, *only], directory, must_work=True)
    show([*pip, *(["--no-deps"] if only else []), str(wheel)], directory, must_work=True)
    return python


def check(command: Path, arguments: tuple[str, ...], expected: tuple[str, ...], directory: Path) -> list[str]:
    done = show([str(command), *arguments], directory)
    said = f"polyrepl {' '.join(arguments)}"
    if done.returncode:
        return [f"{said}: exit status {done.returncode}"]
    return [f"{said}: {text!r} is not in its output" for text in expected if text not in done.stdout]


def check_types(python: Path, directory: Path) -> list[str]:
    """What a strict mypy says of a program that uses what is installed for this interpreter."""
    program = shutil.copy(PROGRAMS / "typed.py", directory)  # beside the checkout mypy would read the checkout
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(directory / "mypy")]
    done = show([*mypy, "--python-executable", str(python), program], directory)
    return [f"mypy: exit status {done.returncode}"] if done.returncode else []


def check_client(command: Path, python: Path, directory: Path) -> list[str]:
    """Call a server from a venv that has httpx and the wheel alone."""
    program = shutil.copy(PROGRAMS / "call.py", directory)
    with Server(program=command) as server:
        done = show([str(python), program, server.url], directory)
    return [] if done.returncode == 0 and "42" in done.stdout else [f"the client alone: exit status {done.returncode}"]


def environment() -> dict[str, str]:
    """That of the checkout left out."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("POLYREPL_", "PYTHON", "VIRTUAL_ENV"))
    }


def show(
    command: list[str], directory: Path, *, quiet: bool = False, must_work: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command outside the checkout's environment, and print it with what it said."""
    print(f"$ {' '.join(command)}", flush=True)
    done = subprocess.run(command, cwd=directory, env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
    if not quiet or done.returncode:
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
    if must_work and done.returncode:
        sys.exit(done.returncode)
    return done


if __name__ == "__main__":
    sys.exit(main())

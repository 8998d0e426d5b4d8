"""Builds the wheel, installs it into an empty venv, and uses it from an unrelated directory. Exits non-zero where that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 600
CHECKS = (
    (("doctor",), ("language python", "language typescript", "polyrepl[data]")),
    (("run", "print(1); 6*7"), ("1", "42")),
    (("run", "-l", "ts", "const x: number = 6; x*7"), ("42",)),
)


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
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    print("the installed wheel does not work" if failures else "the installed wheel works")
    return 1 if failures else 0


def build(directory: Path) -> Path:
    show([sys.executable, "-m", "build", "--wheel", "--outdir", str(directory)], ROOT, quiet=True, must_work=True)
    (wheel,) = directory.glob("polyrepl-*.whl")
    print(f"built {wheel.name}, {wheel.stat().st_size / 1e6:.2f} MB")
    return wheel


def install(wheel: Path, directory: Path) -> Path:
    """Returns the venv's interpreter."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    show(command, directory, must_work=True)
    return python


def check(command: Path, arguments: tuple[str, ...], expected: tuple[str, ...], directory: Path) -> list[str]:
    done = show([str(command), *arguments], directory)
    said = f"polyrepl {' '.join(arguments)}"
    if done.returncode:
        return [f"{said}: exit status {done.returncode}"]
    return [f"{said}: {text!r} is not in its output" for text in expected if text not in done.stdout]


def show(
    command: list[str], directory: Path, *, quiet: bool = False, must_work: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command outside the checkout's environment, and print it with what it said."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("POLYREPL_", "PYTHON", "VIRTUAL_ENV"))
    }
    print(f"$ {' '.join(command)}", flush=True)
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    if not quiet or done.returncode:
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
    if must_work and done.returncode:
        sys.exit(done.returncode)
    return done


if __name__ == "__main__":
    sys.exit(main())

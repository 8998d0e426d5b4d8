"""`python -m tests.hostile`: run the checks; with `--as-user` as an ordinary user, with `--table` write their table into SECURITY.md."""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from tests.hostile.table import write

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST = 1000, 59999  # numbers of ordinary users


def main(argv: list[str]) -> int:
    """Run the checks; what is not an option here is one of pytest's."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--table", action="store_true", help="write the table, after a run without a failure")
    parser.add_argument("--as-user", action="store_true", help="run as an ordinary user; root only")
    parser.add_argument("--list", action="store_true", help="print all attacks: what each does, and what must happen")
    options, more = parser.parse_known_args(argv)
    if not any(Path(each).exists() for each in more):
        more.append("tests/hostile")
    if options.list:
        from tests.hostile import CHECKS

        for check in sorted(CHECKS, key=lambda each: each.number):
            print(f"{check.number:2} {check.name}: {check.does} -> {check.must}")
        return 0
    if options.as_user:
        return as_user(more)
    status = int(pytest.main(["-q", "--deselect", "tests/hostile/test_table.py", *more]))
    if options.table and status == 0:
        write()
    return status


def as_user(more: list[str]) -> int:
    """The same, as the first ordinary user of this machine, with a Python that this user can read. 0 if there is none, with the reason."""
    found = interpreter()
    user = next((each for each in pwd.getpwall() if FIRST <= each.pw_uid <= LAST), None)
    lacking = "only root can become another user" if os.geteuid() else ""
    lacking = lacking or ("" if user else f"no user has a number from {FIRST} to {LAST}")
    lacking = lacking or ("" if found else "no Python of this version is readable for all")
    lacking = lacking or ("" if is_open_to_all(ROOT) else f"{ROOT} is not readable for all")
    if lacking or found is None or user is None:
        print(f"tests.hostile is not run as an ordinary user: {lacking}", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory(prefix="hostile-user-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        subprocess.run([found, "-m", "venv", "--without-pip", directory / "venv"], check=True)
        packages = directory / "venv/lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        shutil.rmtree(packages)
        shutil.copytree(sysconfig.get_path("purelib"), packages, symlinks=True, copy_function=link)
        python, program = directory / "venv/bin/python", directory / "venv/bin/polyrepl"
        program.write_text(f"#!{python}\nimport sys\nfrom engine.cli.main import main\nsys.exit(main())\n")
        program.chmod(0o755)
        home = directory / "home"
        home.mkdir()
        for each in (home, packages, *(path for path in packages.rglob("*") if path.is_dir())):
            os.chown(each, user.pw_uid, user.pw_gid)  # Python keeps there what it has compiled
        rights = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        command = [
            "setpriv",
            *rights,
            python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--basetemp",
            home / "tests",
        ]
        env = {**os.environ, "HOME": str(home)}
        return subprocess.run([*map(str, command), *more], cwd=ROOT, env=env, check=False).returncode


def link(source: str, target: str) -> None:
    """Make a hard link, or a copy on another file system."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def interpreter() -> str | None:
    """A Python of this version that everybody may run, because it is below no private directory."""
    version = sysconfig.get_python_version()
    names = [
        os.path.realpath(f"{folder}/python{version}") for folder in ("/usr/bin", "/usr/local/bin", "/opt/python/bin")
    ]
    return next((name for name in names if os.path.exists(name) and is_open_to_all(Path(name))), None)


def is_open_to_all(path: Path) -> bool:
    """Whether everybody may enter all directories that lead to a path, and read it."""
    return all(each.stat().st_mode & 0o001 for each in path.parents) and bool(path.stat().st_mode & 0o004)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

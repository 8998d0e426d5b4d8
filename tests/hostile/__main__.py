"""`python -m tests.hostile` runs the checks, with `--as-user` as an ordinary user. `--table` writes their table into SECURITY.md."""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from operator import attrgetter
from pathlib import Path

import pytest

from tests.hostile import CHECKS
from tests.hostile.table import write

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST = 1000, 59999  # numbers of ordinary users
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


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
        print(
            "\n".join(
                f"{each.number:2} {each.name}: {each.does} -> {each.must}"
                for each in sorted(CHECKS, key=attrgetter("number"))
            )
        )
        return 0
    status = run(more, as_user=options.as_user)
    if options.table and status == 0:
        write()
    return status


def run(more: list[str], *, as_user: bool) -> int:
    """Run pytest; as root with a Python that other users can run, without which only some tiers are there."""
    if os.geteuid() != 0:
        return pytest.main(["-q", *more])
    user = next((each for each in pwd.getpwall() if FIRST <= each.pw_uid <= LAST), None)
    lacking = "" if user or not as_user else f"no user has a number from {FIRST} to {LAST}"
    found = interpreter()
    lacking = lacking or ("" if found else "no Python of this version is readable for all")
    lacking = lacking or ("" if is_open_to_all(ROOT) else f"{ROOT} is not readable for all")
    if lacking or found is None:
        print(f"tests.hostile: {lacking}", file=sys.stderr)
        return 0 if as_user else pytest.main(["-q", *more])
    with tempfile.TemporaryDirectory(prefix="hostile-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        home, packages = directory / "home", environment(directory / "venv", found)
        home.mkdir()
        rights = []
        if user and as_user:
            rights = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            for each in (home, packages, *(path for path in packages.rglob("*") if path.is_dir())):
                os.chown(each, user.pw_uid, user.pw_gid)  # Python keeps there what it has compiled
        command = [*rights, str(directory / "venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        env = {**os.environ, "HOME": str(home)}
        return subprocess.run(
            [*command, "--basetemp", str(home / "tests"), *more], cwd=ROOT, env=env, check=False
        ).returncode


def environment(directory: Path, python: str) -> Path:
    """Make an environment like ours on another Python; returns its directory of packages."""
    subprocess.run([python, "-m", "venv", "--without-pip", directory], check=True)
    packages = directory / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    shutil.rmtree(packages)
    shutil.copytree(sysconfig.get_path("purelib"), packages, symlinks=True, copy_function=link)
    program = directory / "bin/polyrepl"
    program.write_text(f"#!{directory}/bin/python\nimport sys\nfrom engine.cli.main import main\nsys.exit(main())\n")
    program.chmod(0o755)
    return packages


def link(source: str, target: str) -> None:
    """Make a hard link; or a copy, on another file system, and of a file that everybody may write to: its copy is not so."""
    mode = os.lstat(source).st_mode
    is_open = stat.S_ISREG(mode) and bool(mode & OTHERS_WRITE)
    if is_open:
        shutil.copy2(source, target)
        os.chmod(target, stat.S_IMODE(mode) & ~OTHERS_WRITE)
        return
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

"""The environment of a context's packages: a virtual environment that also sees the interpreter's packages.

pip installs into it, lists and removes what is in it, and changes nothing outside. It is made when it is first needed:
package_env.py DIRECTORY, run by the interpreter of the kernels."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import sysconfig

_OURS = (_HERE := os.path.dirname(os.path.abspath(__file__)), os.path.dirname(_HERE))
_HEAD_BYTES = 1024
_MAX_SCRIPT_BYTES = 1024 * 1024  # what installers write is far smaller
# Also as installers write it where the path is too long for a first line: '''exec' /path/bin/python "$0" "$@".
_INTERPRETER = re.compile(rb"""\A(#!|#!/bin/sh\n'''exec' ["']?)/[^\n"']*?(/bin/python[\d.]*)""")
_SITE = sysconfig.get_path("purelib", "posix_prefix", {"base": "", "platbase": ""})  # asking takes longer than a cell
LINKS = "_polyrepl.pth"  # leads from the environment to the interpreter's packages


def site_of(directory: str) -> str:
    """Where the packages of an environment lie."""
    return directory + _SITE


def make(directory: str) -> None:
    """Make the environment if it is not there. Several processes may do so at once."""
    configuration = os.path.join(directory, "pyvenv.cfg")
    if os.path.exists(configuration):
        return
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    site, programs = site_of(directory), os.path.join(directory, "bin")
    for place in (site, programs):
        os.makedirs(place, mode=0o700, exist_ok=True)
    # An entry of its own for each place: a .pth file there counts as well.
    hidden = "".join(f", {entry!r}" for entry in sys.path if os.path.isdir(entry) and not _is_listable(entry))
    known = f", {{*sys.path{hidden}}}" if hidden else ""  # these are not added by a .pth file either
    entries = "".join(f"import site, sys; site.addsitedir({place!r}{known})\n" for place in interpreter_sites())
    write(os.path.join(site, LINKS), entries)
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        with contextlib.suppress(FileExistsError):
            os.symlink(python, os.path.join(programs, name))
    version = ".".join(map(str, sys.version_info[:3]))
    write(
        configuration, f"home = {os.path.dirname(python)}\ninclude-system-site-packages = false\nversion = {version}\n"
    )


def readdress(directory: str) -> None:
    """Have the programs in an environment run under its own interpreter: they, or the environment, come from elsewhere."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(os.path.join(directory, "bin")):
            if entry.is_file(follow_symlinks=False) and entry.stat().st_size <= _MAX_SCRIPT_BYTES:
                with open(entry, "r+b") as file:
                    head = file.read(_HEAD_BYTES)
                    changed = _INTERPRETER.sub(rb"\1" + os.fsencode(directory).replace(b"\\", rb"\\") + rb"\2", head)
                    if changed != head:
                        rest = file.read()
                        file.seek(0)
                        file.write(changed + rest)
                        file.truncate()


def interpreter_sites() -> list[str]:
    """Where this interpreter finds what is not its standard library. pip ends at one that it cannot list: isolated, it sees no
    directory that is outside of the interpreter's own, such as that of an editable installation."""
    standard = sysconfig.get_path("stdlib")
    return [
        entry
        for entry in sys.path
        if _is_listable(entry)
        and os.path.abspath(entry) not in _OURS
        and (os.path.basename(entry) in ("site-packages", "dist-packages") or not entry.startswith(standard))
    ]


def _is_listable(directory: str) -> bool:
    try:
        os.scandir(directory).close()
    except OSError:
        return False
    return True


def write(path: str, text: str) -> None:
    """Have a file with this text, in one step."""
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(beside, path)


if __name__ == "__main__":
    make(sys.argv[1])

"""What pip is shown of a context, and how what it installed gets there.

    package_staging.py prepare STAGING ENVIRONMENT
    package_staging.py commit STAGING ENVIRONMENT
    package_staging.py run PIP builds|wheels ARGUMENT...

`prepare` makes a new virtual environment in STAGING for pip to install into. Beside the interpreter's packages it sees copies of the
metadata in ENVIRONMENT, the context's own, and nothing else of it: no code, no .pth file. `commit` moves what was installed into
ENVIRONMENT. `run` is pip (a module, or the wheel that has it) with variables that come through stdin. The answers are files of JSON
in STAGING: `prepared.json` with `python`, `pip` (or null), `interpreter` and `context` (versions by name); `committed.json` with
`installed` and `replaced`."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import site
import stat
import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(_HERE)
from polyrepl_kernel.package_env import LINKS, interpreter_sites, make, readdress, site_of, write  # noqa: E402

MAX_DISTRIBUTIONS = 5000
MAX_METADATA = 4 * 1024 * 1024
MAX_ALL_METADATA = 64 * 1024 * 1024
_ENVIRONMENTS_OWN = ("python", "activate", "Activate")
_MARK = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


def prepare(staging: str, environment: str) -> None:
    """Make the environment that pip installs into, and tell what is installed already."""
    layer, seen, users = (os.path.join(staging, name) for name in ("layer", "seen", "users"))
    venv.EnvBuilder(symlinks=True).create(layer)
    _copy_metadata(site_of(environment), seen)
    # A directory in the user's home is as open to contexts as their own.
    trusted = [place for place in interpreter_sites() if place != site.getusersitepackages()]
    _copy_metadata(site.getusersitepackages() if site.ENABLE_USER_SITE else os.devnull, users)
    # To pip, what these lead to is installed, satisfies requirements, and is outside: it never changes anything there.
    Path(site_of(layer), LINKS).write_text("".join(f"{place}\n" for place in (seen, users, *trusted)))
    answer = {
        "python": os.path.join(layer, "bin", "python"),
        "pip": _pip(trusted),
        "interpreter": _versions(distributions(path=[users, *trusted])),
        "context": _versions(distributions(path=[seen])),
    }
    write(os.path.join(staging, "prepared.json"), json.dumps(answer))


def _copy_metadata(origin: str, seen: str) -> None:
    os.mkdir(seen, 0o700)
    try:
        names = sorted(name for name in os.listdir(origin) if name.endswith(".dist-info"))
    except OSError:
        return
    room = MAX_ALL_METADATA
    for name in names[:MAX_DISTRIBUTIONS]:
        try:
            text = _read(os.path.join(origin, name), "METADATA")
        except OSError:  # no distribution, or none that could be read
            continue
        room -= len(text)
        if room < 0:
            return
        os.mkdir(os.path.join(seen, name), 0o700)
        Path(seen, name, "METADATA").write_bytes(text)


def _read(directory: str, name: str) -> bytes:
    """A regular file of the context, without waiting for anything. Raises OSError."""
    within = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=within)
    finally:
        os.close(within)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{name} is not a regular file")
    with open(fd, "rb") as file:
        text = file.read(MAX_METADATA + 1)
    if len(text) > MAX_METADATA:
        raise OSError(f"{name} is larger than {MAX_METADATA} bytes")
    return text


def _pip(trusted: list[str]) -> str | None:
    """The interpreter's own pip, or else the wheel that Python brings to install it from."""
    if any(os.path.isfile(os.path.join(place, "pip", "__main__.py")) for place in trusted):
        return "pip"
    ensurepip = find_spec("ensurepip")
    if ensurepip is None or ensurepip.origin is None:
        return None
    wheels = sorted(Path(ensurepip.origin).parent.glob("_bundled/pip-*.whl"))
    return str(wheels[-1]) if wheels else None


def _versions(found: Iterable[Distribution]) -> dict[str, str]:
    """By name; of several that have the name, the one that is found first."""
    versions: dict[str, str] = {}
    for distribution in found:
        name = distribution.metadata["Name"]
        if name:
            versions.setdefault(name, distribution.version)
    return versions


def commit(staging: str, environment: str) -> None:
    """Move what was installed into the context's environment. What it replaces there was uninstalled before."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it takes a moment, and half of it helps nobody
    layer = os.path.join(staging, "layer")
    prepared = json.loads(Path(staging, "prepared.json").read_text())
    os.unlink(os.path.join(site_of(layer), LINKS))
    installed = _versions(distributions(path=[site_of(layer)]))
    here, below = (_among(installed, prepared[place]) for place in ("context", "interpreter"))
    if here:
        _uninstall(here, environment, prepared["pip"])
    if installed:
        make(environment)
        _strip(layer)
        _merge(layer, environment)
        readdress(environment)
    if below:  # what a fork of an interpreter that has imported them cannot do without
        os.close(os.open(os.path.join(os.path.dirname(environment), "replaces"), _MARK, 0o600))
    answer = {"installed": installed, "replaced": sorted({*here, *below})}
    write(os.path.join(staging, "committed.json"), json.dumps(answer))


def _among(installed: Iterable[str], others: Iterable[str]) -> list[str]:
    known = {_canonical(name) for name in others}
    return [name for name in installed if _canonical(name) in known]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _uninstall(names: list[str], environment: str, pip: str) -> None:
    """Let the environment's own interpreter do it: this may run code of the context."""
    command = ["-m", "pip"] if pip == "pip" else [os.path.join(pip, "pip")]
    options = ["--python", environment, "uninstall", "--yes", "--no-input", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-P", *command, *options, "--", *names], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr[-4096:])


def _strip(layer: str) -> None:
    """Leave nothing but what was installed."""
    for name in ("pyvenv.cfg", "lib64"):
        Path(layer, name).unlink(missing_ok=True)
    for program in Path(layer, "bin").iterdir():
        if program.name.startswith(_ENVIRONMENTS_OWN):
            program.unlink()


def _merge(source: str, target: str) -> None:
    """Move all that is in a directory into another one. A link in the way is replaced, not followed."""
    for entry in list(os.scandir(source)):
        place = os.path.join(target, entry.name)
        is_directory = entry.is_dir(follow_symlinks=False)
        if is_directory and os.path.isdir(place) and not os.path.islink(place):
            _merge(entry.path, place)
            continue
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        elif is_directory and os.path.lexists(place):
            os.unlink(place)
        try:
            os.rename(entry.path, place)
        except OSError:  # the staging directory is on another file system
            if os.path.lexists(place):
                os.unlink(place)
            shutil.move(entry.path, place)


def run(pip: str, builds: str, *arguments: str) -> None:
    """Be pip, with the variables that stdin holds as JSON: who reads this process's environment in /proc does not see them.

    Unless `builds` is "builds", no process that pip starts has them, and no code of packages runs."""
    secret = json.load(sys.stdin.buffer)
    os.environ.update(secret)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if builds != "builds":
        sys.addaudithook(_Guard(secret))
    sys.path.remove(_HERE)
    if pip != "pip":
        sys.path.insert(0, pip)
    sys.argv[:] = ["pip", *arguments]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


class _Guard:
    """Watches the processes that pip starts: an interpreter is a build, and others (git, keyring) get an environment of their own."""

    def __init__(self, secret: Iterable[str]) -> None:
        self._secret = list(secret)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "subprocess.Popen":
            return
        program, _, _, env = arguments
        if "python" in os.path.basename(os.fsdecode(program)):
            print(
                "ERROR: A package has no wheel and would have to be built", file=sys.stderr
            )  # pip shows no reason of ours
            msg = "builds are off"
            raise PermissionError(msg)
        if not isinstance(env, dict):  # it would have all of ours: lsb_release, of which pip would tell the registry
            msg = "no process inherits the credentials of registries"
            raise PermissionError(msg)
        for name in self._secret:
            env.pop(name, None)


if __name__ == "__main__":
    {"prepare": prepare, "commit": commit, "run": run}[sys.argv[1]](*sys.argv[2:])

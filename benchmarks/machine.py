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


def peers_python() -> tuple[Path, frozenset[str]]:
    """Return the peers' interpreter and the packages of peers.txt that it lacks.

    Its environment is made when it is missing, when peers.txt has changed since, and when something was lacking. A
    package that cannot be installed costs only its own peer.
    """
    stamp = _VENV / "installed.txt"
    wanted = _REQUIREMENTS.read_text()
    python = _VENV / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python, frozenset()
    print(f"installing the peers into {_VENV}", file=sys.stderr, flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(_VENV)], check=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        msg = f"cannot make the peers' environment: {error}"
        raise PeerError(msg) from None
    if _install(python, "-r", str(_REQUIREMENTS)):
        stamp.write_text(wanted)
        return python, frozenset()
    lines = [line for line in wanted.splitlines() if "==" in line]
    return python, frozenset(line.partition("==")[0] for line in lines if not _install(python, line))


def _install(python: Path, *what: str) -> bool:
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*install, *what], check=True, timeout=900)
    except (subprocess.SubprocessError, OSError):
        return False
    return True


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
    versions = [line.strip() for line in _REQUIREMENTS.read_text().splitlines() if "==" in line]
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

"""What kernels read of this machine's files besides the system's: interpreters, what those bring along, and what kernelspecs name."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec

from engine.kernels.interpreters import find_node, find_npm, find_runtime, output_of
from engine.resources import data_dir, kernelspecs_dir
from engine.settings import Settings

_PLACES = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]))"
_CONFIGURATION = ("java-*", "jvm-*", "python3*")  # in /etc, of interpreters that distributions ship
_TOP = 2  # names in the path of a directory that is a place for everything, such as /home or /opt


class Readable:
    """By kernelspec. It blocks when it is first asked about an interpreter."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def common(self) -> tuple[str, ...]:
        """What kernels of ours and package tools read."""
        return _common_of(self._settings.python, self._settings.node)

    def of(self, spec: KernelSpec) -> tuple[str, ...]:
        """What a kernel of this kernelspec reads besides."""
        places = self.common()
        return tuple(path for path in dict.fromkeys(_paths_of(spec)) if not _lies_in(path, places))


@cache
def _common_of(python: Path, node: Path | None) -> tuple[str, ...]:
    found = [
        *_python(python),
        *_program(find_node(node)),
        *_program(find_runtime("bun")),
        *_program(find_runtime("deno")),
    ]
    found += [str(data_dir() / "runtimes"), str(kernelspecs_dir())]
    found += [str(place) for pattern in _CONFIGURATION for place in Path("/etc").glob(pattern)]
    if python != Path(sys.executable):
        found += _python(Path(sys.executable))  # programs of ours run on it
    return tuple(path for path in dict.fromkeys(found) if os.path.exists(path))


def _python(python: Path) -> list[str]:
    """The prefixes of an interpreter, and what they are in truth."""
    if python == Path(sys.executable):
        places: list[str] = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    else:
        said = output_of(str(python), "-c", _PLACES)
        places = json.loads(said) if said else []
    places += [str(python), str(python.resolve().parent)]
    return [each for place in places for each in _both(place) if not _is_for_everything(each)]


def _program(program: Path | None) -> list[str]:
    """A program, and what it brings along where it lies in a directory of its own."""
    if program is None:
        return []
    found = _both(str(program))
    npm = find_npm(program) if program.name.startswith("node") else None
    if npm is not None:  # .../lib/node_modules/npm/bin/npm-cli.js
        found += _both(str(npm.parent.parent))
    return found


def _paths_of(spec: KernelSpec) -> list[str]:
    """What a kernelspec names: its directory, its program and the files in its command."""
    found = _both(spec.resource_dir) if spec.resource_dir else []
    for number, argument in enumerate(spec.argv):
        if not os.path.isabs(argument) or not os.path.exists(argument):
            continue
        found += _both(argument)
        environment = Path(argument).parent.parent
        if number == 0 and (environment / "pyvenv.cfg").is_file():
            found += _python(Path(argument))
        elif number == 0 and not _is_for_everything(str(environment)) and (environment / "conda-meta").is_dir():
            found += _both(str(environment))
    return [path for path in found if not _is_for_everything(path)]


def _both(path: str) -> list[str]:
    """A path, and where it leads."""
    normal = os.path.normpath(path)
    return list(dict.fromkeys([normal, os.path.realpath(normal)]))


def _is_for_everything(path: str) -> bool:
    """Whether a directory is no program's own: /, /home, /usr, or somebody's home."""
    return len(Path(path).parts) <= _TOP or Path(path) == Path.home()


def _lies_in(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)

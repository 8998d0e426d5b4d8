"""What isolated package tools get of the operator's configuration: files of pip and npm, and the places that these and variables name.

The files of the server's user are copied into a home of the tool's own, for the time in which the tool itself runs: nothing else of
that user is there, and no code of the context runs meanwhile."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.kernels import Tool
from engine.packages.variables import CREDENTIALS

_MACHINE: dict[Tool, tuple[str, ...]] = {
    "pip": ("/etc/pip.conf", "/etc/xdg/pip/pip.conf"),
    "npm": ("/etc/npmrc", "/usr/local/etc/npmrc"),
}
_USER: dict[Tool, tuple[str, ...]] = {
    "pip": (".pip/pip.conf", ".config/pip/pip.conf", ".netrc"),
    "npm": (".npmrc",),
}
_LOCAL_PATH = re.compile(r"(?:^|(?<=[\s=,\"']))(?:file://)?(/[^\s,\"']+)")
_SECRET = re.compile(r"_auth|password|token|^machine\s", re.IGNORECASE | re.MULTILINE)
_MOST_BYTES = 256 * 1024
_LEAST_PARTS = 3  # in the path of a place that a setting means: /opt/wheels, and never /opt


@dataclass(frozen=True, slots=True)
class Configuration:
    """`read`: paths that the tool reads where they are; `home`: files of its home by their paths in it."""

    read: tuple[str, ...] = ()
    home: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def has_secrets(self) -> bool:
        texts = [data.decode(errors="replace") for data in self.home.values()]
        return any(_SECRET.search(text) or CREDENTIALS.search(text) for text in texts)


def configuration_of(tool: Tool, variables: Mapping[str, str], server_env: Mapping[str, str]) -> Configuration:
    """What there is on this machine. `variables`: those that the tool gets. Blocks, for small files."""
    machine = [path for path in _MACHINE[tool] if os.path.isfile(path)]
    texts = [*variables.values(), *(_read(Path(path)).decode(errors="replace") for path in machine)]
    home = {}
    if place := server_env.get("HOME"):
        home = {name: data for name in _USER[tool] if (data := _read(Path(place, name)))}
    texts += [data.decode(errors="replace") for data in home.values()]
    return Configuration(tuple(dict.fromkeys([*machine, *_places(texts)])), home)


def _places(texts: Iterable[str]) -> list[str]:
    """The files and directories of this machine that texts name."""
    found = []
    for text in texts:
        for path in _LOCAL_PATH.findall(text):
            normal = os.path.normpath(path)
            if len(Path(normal).parts) >= _LEAST_PARTS and os.path.exists(normal):
                found.append(normal)
    return found


def _read(path: Path) -> bytes:
    """Nothing where there is none, or one that nobody means."""
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return b""

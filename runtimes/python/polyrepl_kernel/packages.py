"""The packages of a context: layers in a directory of its own, put on ``sys.path`` as they appear."""

from __future__ import annotations

import importlib
import os
import site
import sys
import sysconfig

VARIABLE = "POLYREPL_PACKAGES"
_SITES = ("site-packages", "dist-packages")


class Packages:
    """Looks, before each cell, whether the directory that the environment names has changed."""

    def __init__(self) -> None:
        self._directory = ""
        self._seen: int | None = None

    def refresh(self) -> None:
        """Have all layers on ``sys.path``, newest first, behind the standard library and before the interpreter's packages."""
        directory = os.environ.get(VARIABLE, "")
        if not directory:
            return
        try:
            seen: int | None = os.stat(directory).st_mtime_ns
        except (OSError, ValueError):
            seen = None
        if (directory, seen) == (self._directory, self._seen):
            return
        before = self._directory
        self._directory, self._seen = directory, seen
        if seen is not None or before:
            self._apply(directory, before)

    def _apply(self, directory: str, before: str) -> None:
        ours = tuple(f"{place}{os.sep}" for place in (directory, before) if place)
        sites = _sites(directory)
        entries = [entry for entry in sys.path if not (isinstance(entry, str) and entry.startswith(ours))]
        names = [os.path.basename(entry) if isinstance(entry, str) else "" for entry in entries]
        place = next((n for n, name in enumerate(names) if name in _SITES), len(entries))
        sys.path[:] = [*entries[:place], *sites, *entries[place:]]
        _tell_children(sites, ours)
        importlib.invalidate_caches()
        for each in sites:
            site.addsitedir(each)  # it is there already: this is for the .pth files in it


def _sites(directory: str) -> list[str]:
    try:
        numbers = sorted((int(name) for name in os.listdir(directory) if name.isdigit()), reverse=True)
    except OSError:
        return []
    layers = [os.path.join(directory, str(number)) for number in numbers]
    return [sysconfig.get_path("purelib", "posix_prefix", {"base": each, "platbase": each}) for each in layers]


def _tell_children(sites: list[str], ours: tuple[str, ...]) -> None:
    """Let interpreters that cells start find the packages as well."""
    others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    entries = [*sites, *(entry for entry in others if not entry.startswith(ours))]
    if entries:
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)
    else:
        os.environ.pop("PYTHONPATH", None)

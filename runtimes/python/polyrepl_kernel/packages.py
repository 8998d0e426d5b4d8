"""The packages of a context: an environment of its own, put on ``sys.path`` when it appears."""

from __future__ import annotations

import importlib
import os
import site
import sys
from importlib.machinery import PathFinder

from .package_env import interpreter_sites, readdress, site_of

VARIABLE = "POLYREPL_PACKAGES"
_SITES = ("site-packages", "dist-packages")


class Packages:
    """Looks before each cell whether the environment that a variable names has changed, and more often where one starts processes.

    As a finder of ``sys.meta_path`` it lets a cell import what the same cell has installed."""

    def __init__(self) -> None:
        self._directory = ""
        self._seen: int | None = None
        self._may_change = False

    def watch_imports(self) -> None:
        """Be asked before ``sys.path`` is searched."""
        place = next((n for n, finder in enumerate(sys.meta_path) if finder is PathFinder), len(sys.meta_path))
        sys.meta_path.insert(place, self)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Find nothing: the finder of ``sys.path`` comes next."""
        if path is None and self._may_change:
            self.refresh()

    def child_starts(self) -> None:
        """Expect changes: this process starts one that may be an installer."""
        self._may_change = True

    def settle(self) -> None:
        """Look again at the end of a cell that has started processes: the server has to know before a restart."""
        if self._may_change:
            self._may_change = False
            self.refresh()

    def refresh(self) -> None:
        """Have the packages on ``sys.path``, behind the standard library and before the interpreter's own."""
        directory = os.environ.get(VARIABLE, "")
        if not directory:
            return
        try:
            seen: int | None = os.stat(site_of(directory)).st_mtime_ns
        except (OSError, ValueError):
            seen = None
        if (directory, seen) == (self._directory, self._seen):
            return
        before = self._directory
        self._directory, self._seen = directory, seen
        if seen is not None or before:
            self._apply(directory, before, is_there=seen is not None)

    def _apply(self, directory: str, before: str, *, is_there: bool) -> None:
        ours = tuple(f"{place}{os.sep}" for place in (directory, before) if place)
        sites = [site_of(directory)] if is_there else []
        entries = [entry for entry in sys.path if not (isinstance(entry, str) and entry.startswith(ours))]
        names = [os.path.basename(entry) if isinstance(entry, str) else "" for entry in entries]
        place = next((n for n, name in enumerate(names) if name in _SITES), len(entries))
        sys.path[:] = [*entries[:place], *sites, *entries[place:]]
        _tell_children(sites, ours)
        importlib.invalidate_caches()
        if directory != before:
            readdress(directory)
        for each in sites:
            _mark_replacements(directory, each)
            site.addsitedir(each)  # it is there already: this is for the .pth files in it


def _mark_replacements(directory: str, packages: str) -> None:
    """Let the server know that a fork of an interpreter that has imported its own packages cannot have these."""
    try:
        names = _modules_in(packages)
        if any(not names.isdisjoint(_modules_in(place)) for place in interpreter_sites() if place != packages):
            os.close(os.open(os.path.join(os.path.dirname(directory), "replaces"), os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError:
        return


def _modules_in(place: str) -> set[str]:
    """Names of modules and packages, whatever kind of file they are."""
    names = (name for name in os.listdir(place) if not name.endswith(("-info", ".pth")))
    return {name.partition(".")[0] for name in names} - {"__pycache__"}


def _tell_children(sites: list[str], ours: tuple[str, ...]) -> None:
    """Let interpreters that cells start find the packages as well."""
    others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    entries = [*sites, *(entry for entry in others if not entry.startswith(ours))]
    if entries:
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)
    else:
        os.environ.pop("PYTHONPATH", None)

"""Working directories that requests name: checked against what the settings allow, and held open from then on."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from engine.errors import FieldError, InvalidRequest
from engine.workspaces.beneath import DIRECTORY
from engine.workspaces.places import Anchor, Held
from engine.workspaces.refusals import shortage
from engine.workspaces.threads import Lane, Stuck, Threads

_DEFAULT = "/home/user"  # that of the compatible APIs: it means none where it is not there, not allowed or of no use
_WRITABLE_BY_ALL = stat.S_IWOTH | stat.S_IXOTH
_SECONDS = 10.0


class Naming:
    """Finds them in threads. Each directory in those that are allowed has its share of these: one that hangs holds up no other."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._lanes: WeakValueDictionary[str, Lane] = WeakValueDictionary()  # while there is work in them

    async def find(self, cwd: str | None, allowed: Sequence[Path], *, for_others: bool = False) -> Anchor | None:
        """The directory at an absolute path, held open; None for no directory in particular. Links in the path are followed first.

        `for_others`: contexts have users of their own, so that the default of the compatible APIs counts only if all may write to it.
        Raises InvalidRequest for what is no directory, or is not below one of the `allowed`."""
        if cwd is None:
            return None
        if "\0" in cwd or not os.path.isabs(cwd):
            raise _refused("must be an absolute path")
        lane = self._lanes.setdefault(_share_of(cwd, allowed), Lane(self._threads))
        try:
            return await lane.run(lambda: _open(cwd, allowed, to_all=for_others and cwd == _DEFAULT), timeout=_SECONDS)
        except Stuck:
            raise _refused(f"its file system did not answer in {_SECONDS:g} s") from None
        except (OSError, ValueError) as error:
            if cwd == _DEFAULT:
                return None
            if isinstance(error, OSError) and (short := shortage(error)) is not None:
                raise short from None
            if isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise _refused("no such directory") from None
            raise _refused(getattr(error, "strerror", None) or str(error)) from None


def _share_of(cwd: str, allowed: Sequence[Path]) -> str:
    """The directory that is allowed, with one name more. It only says which thread may be used, so no link is followed."""
    path = Path(os.path.normpath(cwd))
    above = [len(place.parts) for place in allowed if path.is_relative_to(place)]
    return str(Path(*path.parts[: max(above, default=1) + 1]))


def _open(cwd: str, allowed: Sequence[Path], *, to_all: bool) -> Anchor:
    """Blocks. Raises OSError, or ValueError for what is not allowed."""
    held = Held(os.open(cwd, DIRECTORY & ~os.O_NOFOLLOW))
    if to_all and ~os.fstat(held.fd).st_mode & _WRITABLE_BY_ALL:
        raise ValueError("must be writable for all users")
    # What was opened is asked for its path: a link may have changed since.
    try:
        path = Path(os.readlink(f"/proc/self/fd/{held.fd}"))
    except FileNotFoundError:  # no /proc
        path = Path(cwd).resolve()
    # Those that need no look at their own path come first: another one may lie where nothing answers.
    is_allowed = any(map(path.is_relative_to, allowed)) or any(path.is_relative_to(each.resolve()) for each in allowed)
    if not is_allowed:
        places = ", ".join(map(str, allowed)) or "none"
        raise ValueError(f"must be in one of the allowed directories: {places}")
    return Anchor(path, held=held, is_named=True)


def _refused(problem: str) -> InvalidRequest:
    return InvalidRequest(FieldError("cwd", problem))

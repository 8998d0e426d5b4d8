"""Where in the code an interrupt may be raised: decided from the frames that it meets."""

from __future__ import annotations

import os
from types import CodeType, FrameType
from typing import Any

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_SHOWS = {
    f"{PACKAGE}{name}.py"
    for name in (
        *("charting", "equivalents", "formatting", "groups", "limits", "pictures", "protocol", "senders", "shell"),
        *("sources", "tracebacks", "values"),
    )
}


class Places:
    """Knows what runs user code, and what may not be torn apart.

    `user_globals`: of the present cell. `has_begun`: whether its code runs, or has run."""

    def __init__(self) -> None:
        self.user_globals: dict[str, Any] | None = None
        self.has_begun = False
        self._runners: set[CodeType] = set()
        self._waiting: set[CodeType] = set()
        self._hooks: set[CodeType] = set()
        self._whole: set[CodeType] = set()

    def runs_user_code(self, *functions: Any) -> None:
        """Name functions that run user code; an interrupt stops what they call."""
        self._runners.update(function.__code__ for function in functions)

    def runs_hooks(self, *functions: Any) -> None:
        """Name functions that run what is to follow a cell, and pass their errors over; before the cell they are not interrupted."""
        self._hooks.update(function.__code__ for function in functions)

    def never_tears(self, *functions: Any) -> None:
        """Name functions that an interrupt waits for, as for code of this package: what they have made would be lost."""
        self._whole.update(function.__code__ for function in functions)

    def may_stop(self, *functions: Any) -> None:
        """Name functions of this package that an interrupt stops like user code, because they wait."""
        self._waiting.update(function.__code__ for function in functions)

    def find(self, frame: FrameType | None, *, is_reported: bool, has_task: bool) -> bool | None:
        """Whether an exception raised in this frame reaches user code, or the shell that reports its errors.

        None: it would not; False: it would, but be lost on the way, or tear apart code of this package.
        `is_reported`: the cell's error has been; `has_task`: the cell awaits in a task."""
        seen = False
        own = False
        torn = False
        while frame is not None:
            code = frame.f_code
            if code in self._runners or (code in self._hooks and self.has_begun):
                # Around the user's own frames the runner prepares them, or the kernel reports their error.
                return not own if seen or not is_reported else None
            if code.co_filename.startswith(PACKAGE):
                # What shows values and errors expects that a user's repr raises, and holds nothing meanwhile.
                own = own or not (code in self._waiting or (seen and code.co_filename in _SHOWS))
            own = own or self._must_end(frame)
            if frame.f_globals is self.user_globals:
                seen, torn = True, own  # code of this package farther out only runs the loop
            frame = frame.f_back
        # A task that the awaiting cell has started.
        return not torn if seen and has_task else None

    def are_kept_whole(self, frame: FrameType | None) -> bool:
        """Whether something between here and the user's code must end first."""
        while frame is not None and frame.f_code not in self._runners:
            if self._must_end(frame):
                return True
            frame = frame.f_back
        return False

    def is_left_behind(self, frame: FrameType | None) -> bool:
        """Whether user code runs that no cell waits for, and nothing of this package inside it."""
        while frame is not None and not frame.f_code.co_filename.startswith(PACKAGE):
            if frame.f_globals is self.user_globals:
                return True
            frame = frame.f_back
        return False

    def _must_end(self, frame: FrameType) -> bool:
        """Whether this is not to be torn apart, or a library's finalizer, which may pass over every exception."""
        is_foreign_finalizer = frame.f_code.co_name == "__del__" and frame.f_globals is not self.user_globals
        return is_foreign_finalizer or frame.f_code in self._whole

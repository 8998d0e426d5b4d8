"""Answers: what a cell gets when it asks for input."""

from __future__ import annotations

from collections import deque

from engine.kernels import Run
from engine.options import ExecuteOptions

END_OF_INPUT = "\x04"  # as an input_reply: ipykernel and our kernels read it as end of input


class Answers:
    """The lines that were given with the request; without any, those of a client, if one can answer; then the end of input."""

    def __init__(self, options: ExecuteOptions) -> None:
        self._lines = deque(options.stdin or ())
        self._interactive = options.interactive and options.stdin is None
        self._run: Run | None = None
        self._awaits_client = False

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def awaits_client(self) -> bool:
        """Whether the cell waits for what a client has to answer."""
        return self._awaits_client

    def attach(self, run: Run) -> None:
        """The run that asks."""
        self._run = run

    def reply(self) -> bool:
        """The run has asked. Returns False if a client has to answer."""
        if self._run is None:
            return True
        if self._interactive:
            self._awaits_client = True
            return False
        self._run.reply_input(self._lines.popleft() if self._lines else END_OF_INPUT)
        return True

    def provide(self, value: str) -> None:
        """What a client answers."""
        if self._run is not None:
            self._awaits_client = False
            self._run.reply_input(value)

    def close(self) -> None:
        """Nothing more is asked. Lets go of the run, whose kernel would be kept as long."""
        self._lines.clear()
        self._run = None
        self._awaits_client = False

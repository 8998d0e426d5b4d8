"""Event loops that cells run: `asyncio.run(main())` in a cell works as in a script.

A cell runs inside the kernel's loop, so that asyncio refuses to run another one. Only coroutines need that loop, and below a cell that
awaits nothing there is none of them. While such a cell runs a loop of its own, this one is the loop of the thread."""

from __future__ import annotations

import asyncio
import functools
from asyncio import base_events, events, runners
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from .kernel import Kernel

P = ParamSpec("P")
R = TypeVar("R")


def run_loops_of_cells(kernel: Kernel) -> None:
    """Let cells run event loops where none of the kernel's coroutines runs."""

    def alone(function: Callable[P, R]) -> Callable[P, R]:
        """The function, which finds no loop running in this thread. Its tracebacks are those of a script."""

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            loop = events._get_running_loop()
            hides = loop is not None and loop is kernel.loop and asyncio.current_task(loop) is None
            try:
                if hides:
                    events._set_running_loop(None)
                return function(*args, **kwargs)
            except BaseException as error:
                if error.__traceback__ is not None:
                    error.__traceback__ = error.__traceback__.tb_next
                raise
            finally:
                if hides:
                    events._set_running_loop(loop)
                    events.set_event_loop(loop)

        kernel.interrupts.places.may_stop(run)
        return run

    asyncio.run = runners.run = alone(runners.run)
    for kind, names in (
        (runners.Runner, ("run", "close")),
        (base_events.BaseEventLoop, ("run_until_complete", "run_forever")),
    ):
        for name in names:
            setattr(kind, name, alone(getattr(kind, name)))

"""Endings: what the answer says of how an execution ended, and of what became of the state."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from engine.contexts.execution import Execution
from engine.kernels import Exit, Outcome
from engine.models import ContextState, ErrorInfo, Status
from engine.output import EngineError

_FATES: dict[ContextState, str] = {"lost": "the state is lost", "rolled_back": "the state was rolled back"}


def has_failed(execution: Execution, outcome: Outcome) -> bool:
    """Whether the code did not run to its end, or raised an error. `outcome`: how the kernel was when it stopped."""
    return execution.deadline_passed or outcome is not Outcome.DONE or execution.error is not None


def ending_of(
    execution: Execution, outcome: Outcome, state: ContextState, *, death: Exit | None = None
) -> tuple[Status, ErrorInfo | None]:
    """Status and, where the execution's own does not say it, the error. TIMEOUT as `outcome`: its kernel had to be killed.

    `death`: how the kernel ended, where it died."""
    if execution.deadline_passed:
        return "timeout", _timeout(execution, outcome, _FATES.get(state, "the state is kept"))
    if outcome is Outcome.DIED:
        return "died", _death(death or Exit(None))
    if execution.error is None:
        return "ok", None
    asked = execution.interrupt_requested and execution.error.name == "KeyboardInterrupt"
    return ("interrupted" if asked else "error"), None


def _death(death: Exit) -> EngineError:
    if death.advice is None:
        return engine_error("KernelDied", f"The kernel died: {death.describe()}")
    return engine_error("LimitExceeded", f"The kernel died: {death.describe()}", hint=death.advice)


def _timeout(execution: Execution, outcome: Outcome, fate: str) -> EngineError:
    said = f"Execution exceeded its timeout of {round(execution.timeout * 1000)} ms"
    match outcome:
        case Outcome.DONE:
            message = f"{said}; it was interrupted and {fate}"
            traceback, hint = (execution.error.traceback, execution.error.hint) if execution.error else ("", UNSET)
            return EngineError("TimeoutError", message, f"{traceback}\n\nTimeoutError: {message}".lstrip(), hint)
        case Outcome.TIMEOUT:
            message = f"{said} and did not stop when interrupted; its kernel was killed and {fate}"
        case Outcome.DIED:
            message = f"{said}; its kernel died when interrupted and {fate}"
    return engine_error("TimeoutError", message)


def engine_error(name: str, value: str, *, hint: str | UnsetType = UNSET) -> EngineError:
    return EngineError(name=name, value=value, traceback=f"{name}: {value}", hint=hint)

"""Logging: structlog on stderr. Lines carry ids, sizes and durations, never code, output, environment or tokens.

The logger is our own, so that a program that embeds the engine keeps its own configuration; it shows warnings until `configure`."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

# structlog imports rich, if it can, for tracebacks that show local variables. Those are users' data here, and rich takes 4 MB.
_hides_rich = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type]
try:
    import structlog
finally:
    if _hides_rich:
        del sys.modules["rich"]

_WARNING = logging.WARNING


class _Writer:
    """Writes lines to stderr, as structlog's loggers do. A line that cannot be written, as the terminal has closed, is lost."""

    def __init__(self) -> None:
        self._file = sys.stderr

    def msg(self, message: str) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                print(message, file=self._file, flush=True)

    log = debug = info = warning = error = critical = msg


def configure(level: str = "info", form: str = "console") -> None:
    """Set the least severe level shown, and the form of the lines: console or json."""
    global _logger
    number = logging.getLevelName(level.upper())
    _logger = _make(number, form)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=max(number, _WARNING))
    # What it warns of is up to clients: anybody could fill the log. The metrics count it.
    logging.getLogger("uvicorn.error").setLevel(max(number, logging.ERROR))


def get_logger() -> structlog.typing.FilteringBoundLogger:
    return _logger


class _Formatter(logging.Formatter):
    """Of what other packages log."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(_escape, super().format(record).split("\n")))


def _escape_values(_: Any, __: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Texts without control characters, which a terminal would obey; a traceback keeps its lines."""
    for name, value in values.items():
        if isinstance(value, str) and not value.isprintable():
            lines = value.split("\n") if name == "exception" else [value]
            values[name] = "\n".join(map(_escape, lines))
    return values


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _make(level: int, form: str) -> structlog.typing.FilteringBoundLogger:
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _escape_values,
    ]
    if form == "json":
        processors.append(structlog.processors.JSONRenderer())
    else:
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr is not None and sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        )
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Writer(),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()  # once, rather than for each line, also for those that are not shown
    return logger


_logger = _make(_WARNING, "console")

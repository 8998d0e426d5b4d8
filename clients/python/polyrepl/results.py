"""What a client gets back: the server's values, which also show themselves in a terminal and in a notebook."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any

from polyrepl import models
from polyrepl.errors import CodeFailed
from polyrepl.values import UNSET, Value, encode

_MIME = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
}
_BINARY = ("png", "jpeg", "pdf")
_SHOWN = 200  # characters of a text in a repr


class Item(models.Item):
    """One output. In a notebook it shows itself as the kernel meant it."""

    @property
    def formats(self) -> list[str]:
        """Names of the fields that are there."""
        return [name for name in (*_MIME, "data", "chart") if getattr(self, name) is not UNSET]

    def content(self, name: str) -> bytes:
        """A field's content as bytes: an image or a PDF decoded, text in UTF-8. Raises KeyError where it is not there."""
        value = getattr(self, name)
        if value is UNSET:
            raise KeyError(name)
        if name in _BINARY:
            return base64.b64decode(value)
        return value.encode() if isinstance(value, str) else encode(value)

    @property
    def image(self) -> bytes | None:
        """The picture, if this is one: PNG, or else JPEG, or else SVG."""
        name = next((name for name in ("png", "jpeg", "svg") if getattr(self, name) is not UNSET), None)
        return None if name is None else self.content(name)

    def __repr__(self) -> str:
        shown = self.text if isinstance(self.text, str) else ", ".join(self.formats)
        others = [name for name in self.formats if name != "text"]
        kinds = f" ({', '.join(others)})" if isinstance(self.text, str) and others else ""
        return f"<Item {_short(shown)}{kinds}>"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = {mime: getattr(self, name) for name, mime in _MIME.items() if getattr(self, name) is not UNSET}
        if isinstance(self.extra, dict):
            bundle |= self.extra
        wanted = {
            mime: value
            for mime, value in bundle.items()
            if (include is None or mime in include) and mime not in (exclude or ())
        }
        return wanted, self.metadata if isinstance(self.metadata, dict) else {}


class Result(models.Result):
    """An execution with its outputs. `text` is that of the value; `raise_for_error` turns an error of the code into an exception."""

    items: list[Item]  # type: ignore[assignment]  # of our own kind

    @property
    def is_ok(self) -> bool:
        """Whether the code ran to its end without an error."""
        return self.status == "ok"

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in models.TERMINAL

    @property
    def primary(self) -> Item | None:
        """The figure that the code draws, or the value of its last expression, or else its last display."""
        return next((item for item in self.items if item.is_primary), None)

    @property
    def text(self) -> str | None:
        """The text of the primary item, if it has one."""
        item = self.primary
        return item.text if item is not None and isinstance(item.text, str) else None

    @property
    def stdout(self) -> str:
        """What the code printed, in one string."""
        return "\n".join(self.logs.stdout)

    @property
    def stderr(self) -> str:
        """What went to standard error, in one string."""
        return "\n".join(self.logs.stderr)

    @property
    def images(self) -> list[bytes]:
        """The pictures among the items, decoded."""
        return [image for item in self.items if (image := item.image) is not None]

    def raise_for_error(self) -> Result:
        """Return this result; raises CodeFailed when the code failed, took too long, was stopped or killed its kernel."""
        if isinstance(self.error, models.ErrorInfo):
            raise CodeFailed(self.error)
        return self

    def __repr__(self) -> str:
        parts = [f"<Result {self.status}"]
        if isinstance(self.execution_count, int):
            parts.append(f"[{self.execution_count}]")
        if self.text is not None:
            parts.append(_short(self.text))
        elif isinstance(self.error, models.ErrorInfo):
            parts.append(_short(f"{self.error.name}: {self.error.value}"))
        more = len(self.items) - (self.text is not None)
        counted = [(len(self.logs.stdout), "lines"), (len(self.logs.stderr), "lines of stderr"), (more, "more items")]
        parts += [f"{count} {what}" for count, what in counted if count]
        return " ".join(parts) + ">"

    def __str__(self) -> str:
        """What a terminal would show."""
        shown = [self.stdout, self.stderr, *(item.text for item in self.items if isinstance(item.text, str))]
        if isinstance(self.error, models.ErrorInfo):
            shown.append(self.error.traceback or f"{self.error.name}: {self.error.value}")
        return "\n".join(part for part in shown if part)

    def _ipython_display_(self) -> None:
        """In a notebook: the logs, then each item as itself, then the error."""
        import sys

        from IPython.display import display

        for stream, text in ((sys.stdout, self.stdout), (sys.stderr, self.stderr)):
            if text:
                print(text, file=stream)
        for item in self.items:
            display(item)  # type: ignore[no-untyped-call]  # IPython's
        if isinstance(self.error, models.ErrorInfo):
            print(self.error.traceback or f"{self.error.name}: {self.error.value}", file=sys.stderr)  # noqa: T201


class ItemAdded(models.ItemAdded):
    """There is a new item. `index` names it in later events; it is not its place in the result."""

    item: Item


class ItemUpdated(models.ItemUpdated):
    """The item of that `index` is replaced by this one (update_display_data)."""

    item: Item


Event = (
    models.Started
    | models.Stdout
    | models.Stderr
    | ItemAdded
    | ItemUpdated
    | models.Cleared
    | models.InputRequest
    | models.Failed
    | models.Gap
    | models.Done
)
InstallationEvent = models.Installing | models.Stdout | models.Stderr | models.Gap | models.Installed


class ContextList(Value):
    items: list[models.ContextInfo]


class CheckpointList(Value):
    items: list[models.CheckpointInfo]


class LanguageList(Value):
    items: list[models.LanguageInfo]


class ExecutionState(Value):
    """The short form of an execution."""

    execution_id: str
    status: models.Status


class Interrupted(Value):
    """Ids of the executions that were asked to stop."""

    executions: list[str]


class Health(Value):
    """The server lives; its version."""

    status: str
    service: str
    version: str


def _short(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}...{quoted[0]}"

"""Executions as the KernelBox dialect tells them (layer 8)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from engine.executions import Execution
from engine.mime import to_bundle
from engine.models import Cleared, ErrorInfo, Failed, Gap, Item, ItemAdded, ItemUpdated, Stderr, Stdout

MARKER = "\n...[truncated by kernelbox]..."  # what its clients look for
Json = dict[str, Any]


def result_of(execution: Execution, limit: int) -> Json:
    """A finished execution. `limit`: characters of each text; 0 for no limit."""
    outputs = _Outputs(limit)
    outputs.read(execution)
    duration = execution.duration or 0.0
    return {
        "status": {"ok": "success", "timeout": "timeout"}.get(execution.status, "error"),
        "output": outputs.text_of("stdout"),
        "stderr": outputs.text_of("stderr"),
        "error": None if execution.error is None else _error(execution.error),
        "return_value": outputs.return_value,
        "execution_count": execution.execution_count,
        "duration_ms": round(duration * 1000),
        "outputs": outputs.items,
        "attempts": [],
        "truncated": outputs.truncated or execution.was_truncated,
    }


def attempt_of(number: int, code: str, result: Json) -> Json:
    told = {name: result[name] for name in ("status", "output", "stderr", "error")}
    return {"attempt": number, "code": code, **told}


class _Outputs:
    """Everything that a cell put out, in order, and its two streams as one text each."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._by_index: dict[int, Json] = {}
        self.items: list[Json] = []
        self.return_value: str | None = None
        self.truncated = False

    def read(self, execution: Execution) -> None:
        for _, event in execution.journal.read(0):
            match event:
                case Stdout(text=text):
                    self._add_text("stdout", text)
                case Stderr(text=text):
                    self._add_text("stderr", text)
                case ItemAdded(index=index, item=item):
                    self._by_index[index] = self._item(item)
                    self.items.append(self._by_index[index])
                case ItemUpdated(index=index, item=item) if index in self._by_index:
                    self._by_index[index].update(self._item(item))
                case Cleared():
                    self.items = [each for each in self.items if each["kind"] == "stream"]
                    self._by_index.clear()
                case Failed(name=name, value=value, traceback=traceback):
                    error = _error(ErrorInfo(name, value, traceback))
                    self.items.append(self._output("error", f"{name}: {value}", data=error))
                case Gap():
                    self.truncated = True

    def text_of(self, name: str) -> str:
        return self._limited("".join(self._streams[name]))

    def _add_text(self, name: str, text: str) -> None:
        self._streams[name].append(text)
        self.items.append(self._output("stream", text, name=name))

    def _item(self, item: Item) -> Json:
        text = None if item.text is UNSET else item.text
        if item.is_primary:
            self.return_value = text
        kind = "execute_result" if item.is_primary else "display_data"
        metadata = {} if item.metadata is UNSET else item.metadata
        return self._output(kind, text, data=to_bundle(item), metadata=metadata)

    def _output(
        self,
        kind: str,
        text: str | None,
        *,
        name: str | None = None,
        data: Json | None = None,
        metadata: Json | None = None,
    ) -> Json:
        shown = None if text is None else self._limited(text)
        return {"kind": kind, "text": shown, "name": name, "data": data or {}, "metadata": metadata or {}}

    def _limited(self, text: str) -> str:
        if self._limit <= 0 or len(text) <= self._limit:
            return text
        self.truncated = True
        return text[: max(0, self._limit - len(MARKER))] + MARKER


def _error(error: ErrorInfo) -> Json:
    return {"ename": error.name, "evalue": error.value, "traceback": error.traceback.split("\n")}

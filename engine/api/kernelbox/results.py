"""Executions as the KernelBox dialect tells them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from engine.contexts import Execution
from engine.jupyter import to_bundle
from engine.models import Cleared, ErrorInfo, Failed, Gap, Item, ItemAdded, ItemUpdated, Stderr, Stdout, stored
from engine.packages import traceback_with_hint

MARKER = "\n...[truncated by kernelbox]..."  # what its clients look for
Json = dict[str, Any]


def result_of(execution: Execution, limit: int) -> Json:
    """A finished execution. `limit`: characters of each text; 0 for no limit."""
    outputs = _Outputs(limit)
    outputs.read(execution)
    outputs.add_notice(execution.notice)
    values = [item.text for item in execution.raw_items if item.is_primary]
    duration = execution.duration or 0.0
    return {
        "status": {"ok": "success", "timeout": "timeout"}.get(execution.status, "error"),
        "output": outputs.limited(execution.stdout),
        "stderr": execution.notice + outputs.limited(execution.stderr),
        "error": None if execution.error is None else _error(execution.error),
        "return_value": values[-1] if values and values[-1] is not UNSET else None,
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
    """Everything that a cell put out, in order. Of very many outputs the oldest pieces of text are not told one by one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_index: dict[int, Json] = {}
        self.items: list[Json] = []
        self.truncated = False

    def read(self, execution: Execution) -> None:
        for _, event in execution.journal.read(0):
            match event:
                case Stdout(text=text):
                    self.items.append(self._output("stream", text, name="stdout"))
                case Stderr(text=text):
                    self.items.append(self._output("stream", text, name="stderr"))
                case ItemAdded(index=index, item=item):
                    self._by_index[index] = self._item(item)
                    self.items.append(self._by_index[index])
                case ItemUpdated(index=index, item=item) if index in self._by_index:
                    self._by_index[index].update(self._item(item))
                case Cleared():
                    self.items = [each for each in self.items if each["kind"] == "stream"]
                    self._by_index.clear()
                case Failed() as error:
                    self.items.append(self._output("error", f"{error.name}: {error.value}", data=_error(error)))
                case Gap():
                    self.truncated = True
        items = execution.raw_items
        if len(items) > len(self._by_index):  # the events of the oldest are lost, they are not
            self.items[:0] = map(self._item, items[: len(items) - len(self._by_index)])

    def add_notice(self, notice: str) -> None:
        """Tell on stderr, before all else, what the server has to say."""
        if notice:
            self.items.insert(0, self._output("stream", notice, name="stderr"))

    def _item(self, item: Item) -> Json:
        text = None if item.text is UNSET else item.text
        kind = "execute_result" if item.is_primary else "display_data"
        metadata = stored(item, "metadata")
        return self._output(kind, text, data=to_bundle(item), metadata={} if metadata is UNSET else metadata)

    def _output(
        self,
        kind: str,
        text: str | None,
        *,
        name: str | None = None,
        data: Json | None = None,
        metadata: Json | None = None,
    ) -> Json:
        shown = None if text is None else self.limited(text)
        return {"kind": kind, "text": shown, "name": name, "data": data or {}, "metadata": metadata or {}}

    def limited(self, text: str) -> str:
        if self._limit <= 0 or len(text) <= self._limit:
            return text
        self.truncated = True
        return text[: max(0, self._limit - len(MARKER))] + MARKER


def _error(error: ErrorInfo | Failed) -> Json:
    traceback = traceback_with_hint(error)
    lines = traceback.split("\n") if traceback else []
    return {"ename": error.name, "evalue": error.value, "traceback": lines}

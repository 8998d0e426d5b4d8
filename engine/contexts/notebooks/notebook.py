"""A notebook of nbformat 4.5: cells with their outputs as Jupyter's front ends would have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from engine.contexts.notebooks.cells import Cell, Origin
from engine.jupyter import to_bundle
from engine.models import Cleared, Failed, Item, ItemAdded, ItemUpdated, Stderr, Stdout, encode, stored

Output = dict[str, Any]
KERNELSPECS = {  # as other machines know them, and as `polyrepl kernels install` names them
    "python": ("python3", "Python 3", "python"),
    "typescript": ("polyrepl-typescript", "TypeScript (polyrepl)", "typescript"),
    "bun": ("polyrepl-bun", "TypeScript on Bun (polyrepl)", "typescript"),
    "deno": ("polyrepl-deno", "TypeScript on Deno (polyrepl)", "typescript"),
}
_LANGUAGES = {
    "python": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "pygments_lexer": "ipython3",
        "nbconvert_exporter": "python",
    },
    "typescript": {
        "name": "typescript",
        "file_extension": ".ts",
        "mimetype": "application/typescript",
        "codemirror_mode": {"name": "javascript", "typescript": True},
        "pygments_lexer": "typescript",
    },
}
_OURS = frozenset({"e2b/data", "e2b/chart"})  # of the API, and no MIME types


class NotebookWriter:
    """Writes the file piece by piece; its metadata come last."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._has_cells = False

    def begin(self) -> bytes:
        return b'{"cells": [' + self._missing()

    def _missing(self) -> bytes:
        missing = self._origin.missing
        if not missing:
            return b""
        text = "**Not all cells of this context are here.**\n\n" + "\n".join(f"- {each}" for each in missing)
        return self._write({"cell_type": "markdown", "id": "not-kept", "metadata": {}, "source": text})

    def cell(self, cell: Cell) -> bytes:
        metadata: dict[str, Any] = {"polyrepl": cell.notes}
        if len(self._origin.languages) > 1:
            metadata["vscode"] = {"languageId": language_info(cell.language)["name"]}
        return self._write(
            {
                "cell_type": "code",
                "id": cell.id,
                "metadata": metadata,
                "execution_count": cell.execution_count,
                "source": cell.code,
                "outputs": outputs_of(cell),
            }
        )

    def gone(self, number: int) -> bytes:
        text = "*A cell that was no longer kept when its turn came.*"
        return self._write({"cell_type": "markdown", "id": f"gone-{number}", "metadata": {}, "source": text})

    def _write(self, cell: dict[str, Any]) -> bytes:
        before = b",\n" if self._has_cells else b"\n"
        self._has_cells = True
        return before + bytes(encode(cell))

    def end(self) -> bytes:
        origin = self._origin
        main = origin.languages[0] if origin.languages else "python"
        name, display_name, language = KERNELSPECS.get(main, (main, main, main))
        ours: dict[str, Any] = {"context_id": origin.context_id, "languages": origin.languages}
        if origin.missing:
            ours |= {"not_kept": origin.gone, "not_recorded": origin.elsewhere}
        metadata = {
            "kernelspec": {"name": name, "display_name": display_name, "language": language},
            "language_info": language_info(main),
            "polyrepl": ours,
        }
        return b'\n],\n"metadata": ' + bytes(encode(metadata)) + b',\n"nbformat": 4,\n"nbformat_minor": 5}\n'


def language_info(language: str) -> dict[str, Any]:
    """A language of ours as notebooks describe it."""
    name = KERNELSPECS.get(language, (language, language, language))[2]
    return _LANGUAGES.get(name, {"name": name})


def outputs_of(cell: Cell) -> list[Output]:
    """The outputs in their order: neighbouring pieces of a stream are one, updates are in the place of what they update.

    clear_output takes away all outputs so far, as in a notebook; the API keeps the logs."""
    if cell.events is None:
        return list(_without_order(cell))
    outputs: list[Output] = []
    by_index: dict[int, Output] = {}
    for event in cell.events:
        match event:
            case Stdout(text=text, omitted_bytes=omitted) | Stderr(text=text, omitted_bytes=omitted):
                name = "stdout" if isinstance(event, Stdout) else "stderr"
                if not outputs or outputs[-1].get("name") != name:
                    outputs.append(_stream(name, []))
                if omitted is not UNSET:
                    outputs[-1]["text"].append(f"\n[... {omitted} bytes omitted ...]\n")
                outputs[-1]["text"].append(text)
            case ItemAdded(index=index, item=item):
                by_index[index] = _shown(item, cell.execution_count)
                outputs.append(by_index[index])
            case ItemUpdated(index=index, item=item) if index in by_index:
                by_index[index] |= _bundle(item)
            case Cleared():
                outputs.clear()
                by_index.clear()
            case Failed(name=name, value=value, traceback=traceback):
                outputs.append(_error(name, value, traceback))
    for output in outputs:
        if output["output_type"] == "stream":
            output["text"] = "".join(output["text"])
    return outputs


def _without_order(cell: Cell) -> Iterator[Output]:
    """What is kept at the end, where the events are not: streams, then items, then the error."""
    for name, text in (("stdout", cell.stdout), ("stderr", cell.stderr)):
        if text:
            yield _stream(name, text)
    for item in cell.items:
        yield _shown(item, cell.execution_count)
    if cell.error is not None:
        yield _error(cell.error.name, cell.error.value, cell.error.traceback)


def _stream(name: str, text: Any) -> Output:
    return {"output_type": "stream", "name": name, "text": text}


def _error(name: str, value: str, traceback: str) -> Output:
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": traceback.split("\n")}


def _shown(item: Item, execution_count: int | None) -> Output:
    if item.is_primary:
        return {"output_type": "execute_result", "execution_count": execution_count, **_bundle(item)}
    return {"output_type": "display_data", **_bundle(item)}


def _bundle(item: Item) -> Output:
    data = {kind: _value(kind, value) for kind, value in to_bundle(item).items() if kind not in _OURS}
    metadata = stored(item, "metadata")
    if item.omitted is not UNSET:
        left_out = ", ".join(f"{kind} ({size} bytes)" for kind, size in item.omitted.items())
        data.setdefault("text/plain", f"[not kept: {left_out}]")
    return {"data": data, "metadata": {} if metadata is UNSET else metadata}


def _value(kind: str, value: Any) -> Any:
    """Text, or JSON where the MIME type says so: nbformat has nothing else."""
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if is_json or isinstance(value, str):
        return value
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else encode(value).decode()

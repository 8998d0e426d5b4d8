"""What a model is shown of an execution: text without ANSI sequences, within bounds; images as images; links to the rest.

Only the MCP dialect imports this, once it is used: the types come from an optional package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import mcp_types as types
import msgspec
from msgspec import UNSET

from engine.api.http.results import pieces
from engine.errors import FieldError, InvalidRequest
from engine.jupyter import FIELDS
from engine.models import FileChange, Item, Result, stored
from engine.output import strip_ansi, to_lines

SCHEME = "polyrepl"
MAX_TEXT = 20_000  # characters of each text: some 5,000 tokens
MAX_IMAGES = 8
MAX_IMAGE_BYTES = 1_500_000  # of base64 text, each: what models take
MAX_LINKS = 50
MAX_DIAGNOSTICS = 20
_IMAGES = {"png": "image/png", "jpeg": "image/jpeg"}
# Fields of items that are too large for a text, or that no model reads, with what a reader gets.
MIME_TYPES = {
    **_IMAGES,
    **{field: mime_type for mime_type, field in FIELDS.items()},
    "javascript": "text/javascript",
    "data": "application/json",
    "chart": "application/json",
}
BASE64 = frozenset({"png", "jpeg", "pdf"})
_READABLE = ("text", "markdown", "latex", "json", "html")  # the best one of these stands for an item in the text


@dataclass(frozen=True, slots=True)
class Address:
    """What a resource's URI names: an execution's stdout or stderr, a field of one of its items, or a file of a context."""

    execution_id: str = ""
    stream: str = ""
    item: int = -1
    field: str = ""
    context_id: str = ""
    path: str = ""


def stream_uri(execution_id: str, stream: str) -> str:
    return f"{SCHEME}://executions/{execution_id}/{stream}"


def item_uri(execution_id: str, index: int, field: str) -> str:
    return f"{SCHEME}://executions/{execution_id}/items/{index}/{field}"


def file_uri(context_id: str, path: str) -> str:
    return f"{SCHEME}://contexts/{quote(context_id, safe='')}/files/{quote(path)}"


def parse_uri(uri: str) -> Address:
    """Raises InvalidRequest for what none of the above made."""
    parts = urlsplit(uri)
    segments = parts.path.removeprefix("/").split("/")
    if parts.scheme == SCHEME:
        match (parts.netloc, segments):
            case ("executions", [execution_id, ("stdout" | "stderr") as stream]):
                return Address(execution_id=execution_id, stream=stream)
            case ("executions", [execution_id, "items", index, field]) if index.isdigit() and field in MIME_TYPES:
                return Address(execution_id=execution_id, item=int(index[:9]), field=field)
            case ("contexts", [context_id, "files", _, *_]):
                path = parts.path.split("/", 3)[3]
                return Address(context_id=unquote(context_id), path=unquote(path))
    allowed = f"{stream_uri('ID', 'stdout')}, {item_uri('ID', 0, 'svg')} or {file_uri('ID', 'PATH')}"
    raise InvalidRequest(FieldError("uri", f"must be of the form {allowed}"))


def text_of(value: Any) -> str:
    """A value of an item to read: text as it is, JSON as JSON."""
    if isinstance(value, msgspec.Raw) and memoryview(value)[:1].tobytes() == b'"':
        value = msgspec.json.decode(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def capped(text: str, limit: int = MAX_TEXT) -> tuple[str, bool]:
    """The text without ANSI sequences; of a long one the first and the last part. And whether it was cut."""
    text = "".join(map(strip_ansi, pieces(text)))
    if len(text) <= limit:
        return text, False
    half = limit // 2
    return f"{text[:half]}\n... [{len(text) - 2 * half} characters left out] ...\n{text[-half:]}", True


def lines_of(text: str) -> str:
    """A text as a terminal shows it. Its lines are never all there at once: there may be millions."""
    return "\n".join("\n".join(to_lines(piece)) for piece in pieces(text))


def show(result: Result, stdout: str, stderr: str) -> types.CallToolResult:
    """An execution as a tool's answer, and what it printed. A model that got `isError` can mend its code: all but `ok` is one."""
    shown = _Shown(result, stdout, stderr)
    content: list[types.ContentBlock] = [types.TextContent(text=shown.text()), *shown.images, *shown.links[:MAX_LINKS]]
    return types.CallToolResult(
        content=content,
        structured_content=shown.structured(),
        is_error=result.status not in ("ok", "queued", "running"),
    )


class _Shown:
    """Collects what is cut or left out while the parts are made."""

    def __init__(self, result: Result, stdout: str, stderr: str) -> None:
        self._result = result
        self.truncated = result.truncated is not UNSET
        self.images: list[types.ContentBlock] = []
        self.links: list[types.ContentBlock] = []
        self.stdout = self._stream("stdout", stdout)
        self.stderr = self._stream("stderr", stderr)
        self.items = [self._item(index, item) for index, item in enumerate(result.items)]
        found = [] if result.diagnostics is UNSET else result.diagnostics[:MAX_DIAGNOSTICS]
        self.diagnostics: list[dict[str, Any]] = [msgspec.to_builtins(each) for each in found]
        self.files = [] if result.files is UNSET else [self._file(change) for change in result.files]

    def _stream(self, name: str, text: str) -> str:
        text, cut = capped(lines_of(text))
        if cut:
            self.truncated = True
            uri = stream_uri(self._result.execution_id, name)
            self.links.append(types.ResourceLink(uri=uri, name=f"all of {name}", mime_type="text/plain"))
        return text

    def _item(self, index: int, item: Item) -> dict[str, Any]:
        """The item in structured form; its images and links are noted by the way."""
        found = {name: value for name in MIME_TYPES if (value := stored(item, name)) is not UNSET}
        shown: dict[str, Any] = {"is_primary": item.is_primary, "mime_types": [MIME_TYPES[name] for name in found]}
        readable = next((name for name in _READABLE if name in found), None)
        image = next((name for name in _IMAGES if name in found), None)
        cut = False
        if readable is not None:
            value = found[readable]
            shown["text"], cut = capped(text_of(value))
        is_shown = image is not None and len(found[image]) <= MAX_IMAGE_BYTES and len(self.images) < MAX_IMAGES
        if is_shown:
            assert image is not None
            self.images.append(types.ImageContent(data=found[image], mime_type=_IMAGES[image]))
        for name in found:
            # What a person would want besides: the long form of what was cut, drawings, documents, pages.
            if (name == readable and cut) or (name in _IMAGES and not is_shown) or name in ("svg", "pdf", "html"):
                uri = item_uri(self._result.execution_id, index, name)
                self.links.append(
                    types.ResourceLink(uri=uri, name=f"output {index + 1} as {name}", mime_type=MIME_TYPES[name])
                )
        self.truncated = self.truncated or cut
        return shown

    def _file(self, change: FileChange) -> dict[str, Any]:
        shown: dict[str, Any] = {"path": change.path, "change": change.change}
        if change.size is not UNSET:
            shown["size"] = change.size
            self.links.append(
                types.ResourceLink(
                    uri=file_uri(self._result.context_id, change.path),
                    name=change.path,
                    description=f"{change.change} by this code",
                    size=change.size,
                )
            )
        return shown

    def text(self) -> str:
        """All of it to read: what was printed, what came out, and the error."""
        return "\n".join(part for part in self._parts() if part) or f"(no output; status {self._result.status})"

    def _parts(self) -> Iterator[str]:
        yield self.stdout
        if self.stderr:
            yield f"[stderr]\n{self.stderr}"
        for item in self.items:
            yield item.get("text", "") if item["is_primary"] else f"[display] {item.get('text', '')}".rstrip()
        error = self._result.error
        if error is not UNSET:
            yield f"[{self._result.status}] {error.name}: {capped(error.value)[0]}"
            yield capped(error.traceback)[0]
            yield f"[hint] {error.hint}" if error.hint is not UNSET else ""
        for each in self.diagnostics:
            yield f"[TS{each['code']}, line {each['line']}, column {each['column']}] {each['message']}"
        if self._result.unchecked is not UNSET:
            yield f"[not checked] {self._result.unchecked}"
        if self._result.context_state not in (UNSET, "created", "preserved"):
            yield f"[context {self._result.context_id}: state {self._result.context_state}]"

    def structured(self) -> dict[str, Any]:
        result = self._result
        error = result.error
        shown: dict[str, Any] = {
            "execution_id": result.execution_id,
            "context_id": result.context_id,
            "language": result.language,
            "status": result.status,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "items": self.items,
            "truncated": self.truncated,
        }
        if error is not UNSET:
            shown["error"] = {"name": error.name, "value": capped(error.value)[0]}
            shown["error"]["traceback"] = capped(error.traceback)[0]
            if error.hint is not UNSET:
                shown["error"]["hint"] = error.hint
        for name in ("execution_count", "duration_ms", "context_state", "checkpoint"):
            value = getattr(result, name)
            if value is not UNSET:
                shown[name] = value
        if result.diagnostics is not UNSET:
            shown["diagnostics"] = self.diagnostics
        if result.unchecked is not UNSET:
            shown["unchecked"] = result.unchecked
        if self.files:
            shown["files"] = self.files
        return shown

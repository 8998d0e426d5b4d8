"""A notebook as an API: which cells answer which requests, and which are run once in each kernel. Pure.

A code cell whose first line is a comment like `# GET /hello/:person` is an endpoint's, one with `# ResponseInfo GET /hello/:person`
tells status and headers of its answers; all other code cells are set-up."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from engine.errors import BadNotebook

METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")
_OTHER_METHODS = ("HEAD", "OPTIONS", "TRACE", "CONNECT")
# The comment signs of the languages that have kernels; none of them begins a statement that could look like an annotation.
_ANNOTATION = re.compile(r"\A(?:#|//|--|;+|%)[ \t]*(ResponseInfo[ \t]+)?([A-Za-z]+)[ \t]+(/.*)")
_PARAMETER = re.compile(r"\A([^:]*):([A-Za-z_]\w*)", re.ASCII)
_NOT_IN_PATHS = re.compile(r"[?#]")
_MAX_SHOWN = 60  # characters of a cell's first line in an error


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell. `number`: its place in the notebook, from 1, other kinds of cells counted too."""

    number: int
    source: str

    def describe(self) -> str:
        lines = self.source.splitlines() or [""]
        first = lines[0] if len(lines[0]) <= _MAX_SHOWN else lines[0][:_MAX_SHOWN] + "..."
        return f"cell {self.number} ({first!r})"


@dataclass(slots=True)
class Operation:
    """What one method of an endpoint runs; `response` prints a JSON object with status and headers."""

    source: str = ""
    response: str | None = None


class _Segment:
    """One part of a path between slashes: literal text, or text before a parameter that takes the rest."""

    def __init__(self, text: str) -> None:
        self.literal, self.parameter = text, ""
        if ":" in text:
            found = _PARAMETER.fullmatch(text)
            if found is None:
                msg = f"{text!r} is no parameter: a colon and a name of letters, digits and _"
                raise ValueError(msg)
            self.literal, self.parameter = found.groups()

    @property
    def shape(self) -> tuple[str, bool]:
        """Equal for segments that take the same texts."""
        return self.literal, bool(self.parameter)

    def match(self, text: str, found: dict[str, str]) -> bool:
        if not self.parameter:
            return text == self.literal
        value = text.removeprefix(self.literal)
        found[self.parameter] = value
        return text.startswith(self.literal) and value != ""


@dataclass(slots=True)
class Endpoint:
    """A path of the API and its methods."""

    path: str
    segments: list[_Segment]
    operations: dict[str, Operation] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        return [method for method, operation in self.operations.items() if operation.source]

    @property
    def shape(self) -> tuple[tuple[str, bool], ...]:
        return tuple(segment.shape for segment in self.segments)

    @property
    def depth(self) -> float:
        """How many segments come before the first parameter; paths without one are looked at first."""
        places = (place for place, segment in enumerate(self.segments) if segment.parameter)
        return next(places, float("inf"))

    def match(self, texts: list[str]) -> dict[str, str] | None:
        """The parameters of a path's segments; None where it is another path."""
        found: dict[str, str] = {}
        if len(texts) != len(self.segments):
            return None
        fits = all(segment.match(text, found) for segment, text in zip(self.segments, texts, strict=True))
        return found if fits else None


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook that serves. `kernel_name`: its kernelspec, "" where it does not say; `language`: as it says, or ""."""

    name: str
    raw: bytes
    kernel_name: str
    language: str
    setup: list[Cell]
    endpoints: list[Endpoint]

    def find(self, raw_path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint of a path as it is in a request, percent-encoded, with the values of its parameters."""
        texts = [unquote(text) for text in raw_path.split("/")]
        for endpoint in self.endpoints:
            found = endpoint.match(texts)
            if found is not None:
                return endpoint, found
        return None

    def swagger(self) -> dict[str, Any]:
        """The API described, as Swagger 2.0; paths are written as in the notebook."""
        paths = {
            endpoint.path: {
                method.lower(): {"responses": {"200": {"description": "Success"}}} for method in endpoint.methods
            }
            for endpoint in self.endpoints
        }
        title = self.name.split(".")[0] or self.name
        return {"swagger": "2.0", "paths": paths, "info": {"version": "0.0.0", "title": title}}


def parse_notebook(name: str, raw: bytes) -> Notebook:
    """Read a notebook, whose file is called `name`. Raises BadNotebook that names the cell."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadNotebook(name, f"it is not JSON: {error}") from None
    cells = _code_cells(name, document)
    metadata = document.get("metadata")
    endpoints: dict[str, Endpoint] = {}
    setup = []
    for cell in cells:
        try:
            is_annotated = _annotate(cell, endpoints)
        except ValueError as error:
            raise BadNotebook(name, f"{cell.describe()}: {error}") from None
        if not is_annotated and cell.source.strip():
            setup.append(cell)
    if not endpoints:
        raise BadNotebook(name, "no cell is an endpoint: none begins with a comment like `# GET /hello`")
    _check_answers(name, endpoints)
    return Notebook(
        name=name,
        raw=raw,
        kernel_name=_text(metadata, "kernelspec", "name"),
        language=_text(metadata, "language_info", "name"),
        setup=setup,
        endpoints=sorted(endpoints.values(), key=lambda endpoint: endpoint.depth, reverse=True),
    )


def _code_cells(name: str, document: Any) -> list[Cell]:
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        raise BadNotebook(name, "it is no notebook of format 4: it has no list `cells`")
    found = []
    for number, cell in enumerate(cells, 1):
        source = cell.get("source") if isinstance(cell, dict) else None
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(source, str):
            raise BadNotebook(name, f"cell {number} has no source")
        if cell.get("cell_type") == "code":
            found.append(Cell(number, source))
    return found


def _annotate(cell: Cell, endpoints: dict[str, Endpoint]) -> bool:
    """Add an annotated cell to its endpoint; False for any other. Raises ValueError."""
    found = _ANNOTATION.match(cell.source.lstrip("\r\n"))
    if found is None:
        return False
    is_response, method, path = bool(found[1]), found[2], found[3].strip()
    if method.upper() not in (*METHODS, *_OTHER_METHODS):
        return False  # a comment with a path in it
    if method not in METHODS:
        msg = f"{method} is none of the methods {', '.join(METHODS)}"
        raise ValueError(msg)
    operation = _endpoint(path, endpoints).operations.setdefault(method, Operation())
    if is_response:
        operation.response = (operation.response or "") + cell.source + "\n"
    else:
        operation.source += cell.source + "\n"
    return True


def _endpoint(path: str, endpoints: dict[str, Endpoint]) -> Endpoint:
    if path in endpoints:
        return endpoints[path]
    if _NOT_IN_PATHS.search(path):
        msg = f"{path!r} is no path: it has a ? or # in it"
        raise ValueError(msg)
    segments = [_Segment(unquote(text)) for text in path.split("/")]
    names = [segment.parameter for segment in segments if segment.parameter]
    if len(set(names)) < len(names):
        msg = f"{path!r} has the same parameter twice"
        raise ValueError(msg)
    endpoint = Endpoint(path, segments)
    same = next((other.path for other in endpoints.values() if other.shape == endpoint.shape), None)
    if same is not None:
        msg = f"{path!r} takes the same requests as {same!r}; write both alike"
        raise ValueError(msg)
    endpoints[path] = endpoint
    return endpoint


def _check_answers(name: str, endpoints: dict[str, Endpoint]) -> None:
    for endpoint in endpoints.values():
        for method, operation in endpoint.operations.items():
            if not operation.source:
                raise BadNotebook(name, f"ResponseInfo {method} {endpoint.path} has no cell {method} {endpoint.path}")


def _text(metadata: Any, *keys: str) -> str:
    for key in keys:
        metadata = metadata.get(key) if isinstance(metadata, dict) else None
    return metadata if isinstance(metadata, str) else ""

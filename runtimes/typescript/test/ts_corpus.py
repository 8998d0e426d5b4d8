"""The corpus: cells with the outcome that each must have, in files that any runtime's kernel can be given.

A file is one context, its cells in order. `//% title` begins a cell; lines that begin with `//:` say what comes of it,
in the order in which the client must see it, and are no part of the cell:

    //: stdout TEXT, //: stderr TEXT    a line of output (writes that follow each other count as one)
    //: result TEXT                     the result's text/plain, //: | TEXT its further lines
    //: display TEXT, //: update TEXT   the same of display_data and update_display_data; (none) where it has no text
    //: clear                           clear_output
    //: error NAME: MESSAGE             the error, then its places in cells, innermost first:
    //: at [FUNCTION] LINE:COLUMN
    //: trace TEXT                      a part of some line of the traceback
    //: data MIME VALUE                 a value of the bundle before it; JSON for JSON types
    //: types MIME ...                  exactly the MIME types of the bundle before it
    //: file NAME                       this is no cell: write it into the context's directory
    //: differs RUNTIME REASON          the stated difference of bun or deno: the outcome is not checked there

A cell without such lines must give nothing at all. `cell_N` stands for any cell's file, DIRECTORY for the context's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "corpus"
# JavaScriptCore gives other columns to calls and `new`, and does not name the receivers of methods.
LINES_ONLY = frozenset({"bun"})
STREAMS = ("stdout", "stderr")
BUNDLES = {"result": "execute_result", "display": "display_data", "update": "update_display_data"}
FRAME = re.compile(
    r"(?:at (?:async )?(?:(?P<function>.*) \()?)?(?:cell|uncounted)_\d+\.ts:(?P<place>\d+:\d+)\)?[ {,]*$"
)


@dataclass
class Event:
    """One thing that the client sees, expected or seen."""

    kind: str
    lines: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    types: set[str] | None = None

    def difference(self, seen: Event, *, lines_only: bool) -> str | None:
        """What is wrong with the seen event, if anything; `lines_only`: of its places only the lines count."""
        if (self.kind, self.lines) != (seen.kind, seen.lines):
            return f"expected {self.kind} {self.lines}, got {seen.kind} {seen.lines}"
        if _compared(self.places, lines_only) != _compared(seen.places, lines_only):
            return f"expected the places {self.places}, got {seen.places} in {seen.traces}"
        for trace in self.traces:
            wanted = re.sub(r":\d+$", ":", trace) if lines_only else trace
            if not any(wanted in line for line in seen.traces):
                return f"expected {trace!r} in {seen.traces}"
        for mime, value in self.data.items():
            if seen.data.get(mime) != value:
                return f"expected {mime} {value!r}, got {seen.data.get(mime)!r}"
        if self.types is not None and self.types != set(seen.data):
            return f"expected the types {sorted(self.types)}, got {sorted(seen.data)}"
        return None


def _compared(places: list[str], lines_only: bool) -> list[str]:
    return [place.split(" ")[-1].split(":")[0] for place in places] if lines_only else places


@dataclass
class Cell:
    title: str
    code: str
    events: list[Event]
    file: str | None
    differs: dict[str, str]

    def differences(self, result: Any, directory: Path, runtime: str = "node") -> list[str]:
        """How the outcome of a run (`ts_kernel.Result`) differs from what is expected on this runtime."""
        if runtime in self.differs:
            return []
        seen = events_of(result, directory)
        if len(seen) != len(self.events):
            names = [[event.kind for event in events] for events in (self.events, seen)]
            return [f"expected {names[0]}, got {names[1]}: {[e.traces or e.lines for e in seen]}"]
        lines_only = runtime in LINES_ONLY
        found = [want.difference(got, lines_only=lines_only) for want, got in zip(self.events, seen, strict=True)]
        return [difference for difference in found if difference is not None]


def read(path: Path) -> list[Cell]:
    """The cells of a corpus file."""
    cells = []
    for part in re.split(r"^//% ", path.read_text(), flags=re.MULTILINE)[1:]:
        title, *lines = part.rstrip("\n").split("\n")
        code = "\n".join(line for line in lines if not line.startswith("//:")).strip("\n")
        cells.append(_cell(title, code, [line[3:].removeprefix(" ") for line in lines if line.startswith("//:")]))
    return cells


def _cell(title: str, code: str, expectations: list[str]) -> Cell:
    cell = Cell(title, code, [], None, {})
    for line in expectations:
        word, _, rest = line.partition(" ")
        if word == "file":
            cell.file = rest
        elif word == "differs":
            runtime, _, reason = rest.partition(" ")
            cell.differs[runtime] = reason
        else:
            _expect(cell.events, word, rest)
    return cell


def _expect(events: list[Event], word: str, rest: str) -> None:
    last = events[-1] if events else None
    if word in STREAMS and last is not None and last.kind == word:
        last.lines.append(rest)
    elif word in STREAMS or word in BUNDLES:
        events.append(Event(word, [] if rest == "(none)" else [rest]))
    elif word in ("error", "clear"):
        events.append(Event(word, [rest] if rest else []))
    elif last is None:
        raise ValueError(f"{word} must follow an event")
    elif word == "|":
        last.lines.append(rest)
    elif word == "at":
        last.places.append(rest)
    elif word == "trace":
        last.traces.append(rest)
    elif word == "types":
        last.types = set(rest.split())
    elif word == "data":
        mime, _, value = rest.partition(" ")
        last.data[mime] = json.loads(value) if mime.endswith("json") else value
    else:
        raise ValueError(f"unknown expectation {word!r}")


def events_of(result: Any, directory: Path) -> list[Event]:
    """What a client sees of a run, in order."""

    def lines_of(text: str) -> list[str]:
        return re.sub(r"\bcell_\d+\.ts", "cell_N.ts", text.replace(str(directory), "DIRECTORY")).split("\n")

    events: list[Event] = []
    text = ""
    for message in result.messages:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            if not events or events[-1].kind != content["name"]:
                events.append(Event(content["name"]))
                text = ""
            text += content["text"]
            events[-1].lines = lines_of(text.removesuffix("\n"))
        elif kind == "error":
            message_lines = lines_of(f"{content['ename']}: {content['evalue']}")
            trace = [line for entry in content["traceback"] for line in entry.split("\n")]
            events.append(Event("error", message_lines[:1], _places(trace), trace))
        elif kind == "clear_output":
            events.append(Event("clear"))
        elif kind in BUNDLES.values():
            name = next(name for name, msg_type in BUNDLES.items() if msg_type == kind)
            plain = content["data"].get("text/plain")
            events.append(Event(name, [] if plain is None else lines_of(plain), data=content["data"]))
    return events


def _places(trace: list[str]) -> list[str]:
    matches = [FRAME.match(line.strip()) for line in trace]
    return [" ".join(filter(None, [found["function"], found["place"]])) for found in matches if found]


def stated_differences(runtime: str) -> list[str]:
    """The lines of docs/typescript.md: each reason why cells differ on a runtime, and which."""
    titles: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("*.ts")):
        for cell in read(path):
            if runtime in cell.differs:
                titles.setdefault(cell.differs[runtime], []).append(f"{path.stem} / {cell.title}")
    return [f"- {reason}: {'; '.join(cells)}" for reason, cells in sorted(titles.items())]

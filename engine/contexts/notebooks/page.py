"""A page of HTML: one file, which loads nothing and runs nothing.

Its policy forbids scripts and every address. Text is escaped, pictures are images (in which SVG runs no scripts either), and an
output's HTML is in a frame without any permission: no scripts, forms, links to the outside, or sight of the page."""

from __future__ import annotations

import base64
import re
from html import escape
from typing import Any

from engine.contexts.notebooks.cells import Cell, Origin
from engine.contexts.notebooks.notebook import Output, outputs_of
from engine.models import encode
from engine.output import strip_ansi, to_lines

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
)
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
header, .note { color: #667; }
section { margin: 1.5em 0; }
.title { font-size: 13px; color: #667; margin: 0 0 .2em; }
pre { font: 14px/1.45 ui-monospace, monospace; margin: 0; padding: .6em .8em; }
pre { overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
pre.code { background: #8881; border-left: 3px solid #48c; }
pre.stderr { background: #fc82; }
pre.error { background: #f442; }
img { max-width: 100%; background: #fff; }
iframe { width: 100%; border: 1px solid #8884; background: #fff; color-scheme: light; resize: vertical; }
"""
_FRAME_STYLE = (
    "<style>body{font:14px system-ui,sans-serif;margin:8px}"
    "table{border-collapse:collapse}td,th{padding:2px 8px;text-align:right}</style>"
)
_ROWS = re.compile(r"<(?:tr|p|div|li|h\d|br)\b", re.IGNORECASE)
_ACTIVE = re.compile(r"<script|javascript:|\son\w+\s*=", re.IGNORECASE)
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_ROW = 26  # pixels of a table's row
_TALLEST = 600


class PageWriter:
    """Writes the file piece by piece."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def begin(self) -> bytes:
        title = escape(self._origin.context_id)
        missing = "".join(f'<p class="note">{escape(each)}</p>\n' for each in self._origin.missing)
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
            f"<style>{_STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1>\n{missing}</header>\n<main>\n"
        ).encode()

    def cell(self, cell: Cell) -> bytes:
        number = " " if cell.execution_count is None else str(cell.execution_count)
        state = "" if cell.status == "ok" else f", {cell.status}"
        parts = [
            f'<section>\n<p class="title">[{number}] {escape(cell.language)}{state}</p>\n',
            f'<pre class="code" tabindex="0"><code>{escape(cell.code)}</code></pre>\n',
            *map(_output, outputs_of(cell)),
            "</section>\n",
        ]
        return "".join(parts).encode("utf-8", "replace")

    def gone(self, number: int) -> bytes:
        return f'<p class="note">Cell {number} was no longer kept when its turn came.</p>\n'.encode()

    def end(self) -> bytes:
        return b"</main>\n</body>\n</html>\n"


def _output(output: Output) -> str:
    match output["output_type"]:
        case "stream":
            return _text("\n".join(to_lines(output["text"])), output["name"])
        case "error":
            return _text("\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}", "error")
    return _bundle(output["data"])


def _bundle(data: dict[str, Any]) -> str:
    """The first form that says the most without running: a picture, HTML, then text."""
    for kind in _IMAGES:
        if isinstance(data.get(kind), str) and _BASE64.fullmatch(data[kind]):
            return _image(kind, "".join(data[kind].split()), data)
    if isinstance(data.get("image/svg+xml"), str):
        return _image("image/svg+xml", _base64(data["image/svg+xml"]), data)
    if isinstance(data.get("text/html"), str):
        return _frame(data["text/html"], data)
    for kind in ("text/markdown", "text/latex", "text/plain"):
        if isinstance(data.get(kind), str):
            return _text(data[kind], "text") + _file(data)
    if "application/json" in data:
        return _text(encode(data["application/json"]).decode("utf-8", "replace"), "json")
    return _file(data) or _note(f"Not shown: {', '.join(data)}")


def _image(kind: str, content: str, data: dict[str, Any]) -> str:
    text = data.get("text/plain")
    label = escape(text[:200]) if isinstance(text, str) else "Output"
    return f'<p><img src="data:{kind};base64,{content}" alt="{label}"></p>\n'


def _frame(html: str, data: dict[str, Any]) -> str:
    """A frame without scripts has no way to say how tall it is: rows are counted, and readers can pull at its edge."""
    note = ""
    if _ACTIVE.search(html):
        text = data.get("text/plain")
        note = _note("This output has scripts. They do not run here.") + (
            _text(text, "text") if isinstance(text, str) else ""
        )
    height = min(_TALLEST, 60 + _ROW * len(_ROWS.findall(html)))
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    document = escape(policy + _FRAME_STYLE + html)
    return f'<iframe sandbox="" title="Output" style="height:{height}px" srcdoc="{document}"></iframe>\n{note}'


def _file(data: dict[str, Any]) -> str:
    """A link to what no page shows, to be saved: a PDF."""
    pdf = data.get("application/pdf")
    if not isinstance(pdf, str) or not _BASE64.fullmatch(pdf):
        return ""
    return f'<p><a download="output.pdf" href="data:application/pdf;base64,{"".join(pdf.split())}">output.pdf</a></p>\n'


def _text(text: str, kind: str) -> str:
    return f'<pre class="{kind}" tabindex="0">{escape(strip_ansi(text))}</pre>\n'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n'


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()

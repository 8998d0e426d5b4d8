"""What Altair's and Plotly's charts say to a client that reads items: the specification of the one, some words about the other."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from itertools import islice
from typing import Any

from .kinds import is_a

PLOTLY = "application/vnd.plotly.v1+json"
_VEGA_LITE = "application/vnd.vegalite"
_TEXT = "text/plain"
_HTML = "text/html"
_FEW = 5  # traces, or values of one, that are told of
_LONG = 80  # characters of a title or name


def complete(shown: Any, bundle: dict[str, Any]) -> None:
    """Add to the MIME bundle of a value what its library leaves out; whatever goes wrong, the rest stays as it is."""
    if (
        _HTML in bundle
        and is_a(shown, "altair", "TopLevelMixin")
        and not any(name.startswith(_VEGA_LITE) for name in bundle)
    ):
        try:
            spec = shown.to_dict(context={"pre_transform": False})
            bundle[f"{_VEGA_LITE}.v{_version(spec)}+json"] = spec
        except Exception:
            return
    add_text(bundle)


def add_text(bundle: dict[str, Any]) -> None:
    """Describe a figure of Plotly's in a bundle that has no text."""
    if PLOTLY in bundle and _TEXT not in bundle:
        try:
            bundle[_TEXT] = _description(bundle[PLOTLY])
        except Exception:
            bundle[_TEXT] = "Plotly figure"


def _version(spec: dict[str, Any]) -> str:
    """The major version of Vega-Lite, out of `https://vega.github.io/schema/vega-lite/v6.1.0.json`."""
    return str(spec["$schema"]).rpartition("/v")[2].partition(".")[0]


def _description(figure: dict[str, Any]) -> str:
    """Such as `Plotly figure "Sales": scatter "north" (12 points), bar (3 points); x: month, y: sales`."""
    layout = figure.get("layout") or {}
    title = _title(layout)
    traces = figure.get("data") or []
    told = [_trace(each) for each in islice(traces, _FEW)]
    if len(traces) > _FEW:
        told.append(f"and {len(traces) - _FEW} more")
    text = "Plotly figure" + (f" {json.dumps(title, ensure_ascii=False)}" if title else "")
    text += f": {', '.join(told)}" if told else ", empty"
    axes = ((name, _title(layout.get(f"{name}axis") or {})) for name in "xyz")
    named = ", ".join(f"{name}: {label}" for name, label in axes if label)
    return f"{text}; {named}" if named else text


def _title(part: dict[str, Any]) -> str:
    title = part.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return " ".join(str(text or "").split())[:_LONG]


def _trace(trace: dict[str, Any]) -> str:
    name = " ".join(str(trace.get("name") or "").split())[:_LONG]
    count = max(
        (_length(trace[each]) for each in ("x", "y", "z", "values", "lat", "r", "locations") if each in trace),
        default=0,
    )
    kind = str(trace.get("type") or "scatter")
    points = f" ({count} point{'s' if count > 1 else ''})" if count else ""
    return kind + (f" {json.dumps(name, ensure_ascii=False)}" if name else "") + points


def _length(values: Any) -> int:
    """How many values a list has, or an array that Plotly has packed."""
    if not isinstance(values, dict):
        return len(values)
    if "shape" in values:
        return math.prod(int(each) for each in str(values["shape"]).split(","))
    return len(b64decode(values["bdata"])) // int(values["dtype"][1:])

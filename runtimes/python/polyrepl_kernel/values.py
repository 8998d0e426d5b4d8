"""What is shown, as values for programs: the columns of tables, the data of plots, lists and dicts as JSON.

Only for cells that ask for it, and within bounds: what is larger is left out, and the bundle's metadata says so."""

from __future__ import annotations

import datetime
import math
import os
import sys
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .imports import on_import

if TYPE_CHECKING:
    from .shell import ZMQInteractiveShell

DATA = "e2b/data"
CHART = "e2b/chart"
JSON = "application/json"
MAX_CELLS = 100_000  # of a table
MAX_VALUES = 100_000  # in a list or a dict, at all depths
_MAX_DEPTH = 100
_WIDEST_INTEGER = 2**63


def add_values(shown: Any, bundle: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Add to the MIME bundle of a value what it holds. Whatever goes wrong, the rest of the bundle stays as it is."""
    try:
        if isinstance(shown, (list, dict)):
            if JSON not in bundle:
                bundle[JSON] = _Jsonable().value(shown)
        elif _is_a(shown, "matplotlib.figure", "Figure"):
            _add_chart(shown, bundle, metadata)
        elif _is_a(shown, "pandas", "DataFrame"):
            _add_data(shown, bundle, metadata)
    except Exception:
        return  # not JSON, or not as expected


def _is_a(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a class of a module, which is imported then."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _add_chart(figure: Any, bundle: dict[str, Any], metadata: dict[str, Any]) -> None:
    from . import charts  # with the first figure that is asked about

    try:
        chart = charts.chart_of(figure)
    except charts.TooLarge:
        metadata[CHART] = {"omitted": f"more than {charts.MAX_POINTS} points"}
        return
    if chart is not None:
        bundle[CHART] = chart


def _add_data(frame: Any, bundle: dict[str, Any], metadata: dict[str, Any]) -> None:
    if frame.size > MAX_CELLS:
        metadata[DATA] = {"omitted": f"more than {MAX_CELLS} cells"}
    elif not frame.columns.is_unique:
        metadata[DATA] = {"omitted": "two columns have the same name"}
    else:
        bundle[DATA] = {str(name): _column(frame[name]) for name in frame.columns}


def _column(series: Any) -> list[Any]:
    """The values of a column; what is missing is None."""
    values = series.astype(object).where(series.notna(), None).tolist()
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is int:
        return value if abs(value) < _WIDEST_INTEGER else str(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (list, dict)):
        return _Jsonable().value(value)
    return str(value)


class _Jsonable:
    """Copies a value that JSON has, exactly. Raises TypeError or ValueError for any other, and for one that is too large."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def value(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            msg = "too large"
            raise ValueError(msg)
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, (list, tuple)):
            return [self.value(each, depth + 1) for each in value]
        if isinstance(value, dict):
            return {self._key(key): self.value(each, depth + 1) for key, each in value.items()}
        msg = f"{type(value).__name__} is not JSON"
        raise TypeError(msg)

    @staticmethod
    def _key(key: Any) -> str:
        if isinstance(key, (str, int, float)) and not isinstance(key, bool):
            return str(key)
        msg = f"{type(key).__name__} is no key of JSON"
        raise TypeError(msg)


def watch(shell: ZMQInteractiveShell) -> None:
    """Have PIL's images shown when cells that ask for values save them to a file, once PIL is imported."""
    on_import("PIL.Image", lambda module: _wrap_save(module, shell))


def _wrap_save(module: ModuleType, shell: ZMQInteractiveShell) -> None:
    image_class: Any = module.Image  # type: ignore[attr-defined]
    save = image_class.save

    @wraps(save)
    def save_and_display(self: Any, fp: Any, *args: Any, **kwargs: Any) -> None:
        save(self, fp, *args, **kwargs)
        # matplotlib saves its figures through PIL; they are shown anyway.
        is_users = not str(sys._getframe(1).f_globals.get("__name__")).startswith("matplotlib")
        if is_users and isinstance(fp, (str, os.PathLike)) and shell.kernel.cells.current().gives_data:
            shell.display_pub.publish(*shell.display_formatter.format(self))

    image_class.save = save_and_display

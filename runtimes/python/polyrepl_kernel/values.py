"""What is shown, as values for programs: the columns of tables, the data of plots, lists and dicts as JSON.

Only for cells that ask for it, and within bounds: what is larger is left out, and the bundle's metadata says so."""

from __future__ import annotations

import datetime
import math
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .equivalents import equivalent
from .imports import on_import
from .kinds import is_a

if TYPE_CHECKING:
    from .shell import ZMQInteractiveShell

DATA = "e2b/data"
CHART = "e2b/chart"
JSON = "application/json"
MAX_CELLS = 100_000  # of a table
MAX_VALUES = 100_000  # in a list or a dict, at all depths
_MAX_DEPTH = 100
_TABLES = (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table", "RecordBatch"))
_WIDEST_INTEGER = 2**63


class Omitted(Exception):
    """Values are left out; the message is the reason."""


def add_values(shown: Any, bundle: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Add to the MIME bundle of a value what it holds. Whatever goes wrong, the rest of the bundle stays as it is."""
    if isinstance(shown, (list, dict)):
        if JSON not in bundle:
            with suppress(Exception):  # it is not JSON, or too large
                bundle[JSON] = _Jsonable().value(shown)
    elif is_a(shown, "matplotlib.figure", "Figure"):
        _add(_chart, shown, CHART, bundle, metadata)
    elif any(is_a(shown, *each) for each in _TABLES):
        _add(_table, shown, DATA, bundle, metadata)


def _add(read: Callable[[Any], Any], shown: Any, name: str, bundle: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Add what `read` finds in a value, or else the reason why it is not there."""
    try:
        found = read(shown)
    except Omitted as reason:
        metadata[name] = {"omitted": str(reason)}
    except Exception as error:
        metadata[name] = {"omitted": f"the values cannot be read: {type(error).__name__}"}
    else:
        if found is not None:
            bundle[name] = found


def _chart(figure: Any) -> dict[str, Any] | None:
    from . import charts  # with the first figure that is asked about

    try:
        return charts.chart_of(figure)
    except charts.TooLarge:
        raise Omitted(f"more than {charts.MAX_POINTS} points") from None


def _table(table: Any) -> dict[str, list[Any]]:
    """The columns of a table of pandas, polars or pyarrow."""
    rows, columns = table.shape
    if rows * columns > MAX_CELLS:
        raise Omitted(f"more than {MAX_CELLS} cells")
    if is_a(table, "pandas", "DataFrame"):
        names = list(table.columns)
        found = [_of_series(table.iloc[:, number]) for number in range(columns)]
    elif is_a(table, "polars", "DataFrame"):
        names, found = table.columns, [each.to_list() for each in table.iter_columns()]
    else:
        names, found = table.column_names, [each.to_pylist() for each in table.columns]
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        raise Omitted("two columns have the same name")
    cells = _Cells()
    return {text: [cells.value(each) for each in column] for text, column in zip(texts, found, strict=True)}


def _of_series(series: Any) -> list[Any]:
    """The values of a column; what is missing is None."""
    values: list[Any] = series.astype(object).where(series.notna(), None).tolist()
    return values


class _Cells:
    """Copies the values of a table's cells: numbers, text, lists and objects of JSON's, and for anything else its text."""

    def __init__(self) -> None:
        self._left = MAX_VALUES  # within cells

    def value(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        if value is None or kind is str or kind is bool:
            return value
        if kind is float:
            return value if math.isfinite(value) else None
        if kind is int:
            return value if abs(value) < _WIDEST_INTEGER else str(value)
        if is_a(value, "numpy", "ndarray", "generic"):
            found = equivalent(value)
            return str(value) if type(found) is kind else self.value(found, depth)
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat() if value == value else None  # pandas' NaT differs from itself
        if isinstance(value, (list, tuple, dict)):
            return self._within(value, depth + 1)
        return None if value is getattr(sys.modules.get("pandas"), "NA", value) else str(value)

    def _within(self, value: Any, depth: int) -> Any:
        self._left -= len(value)
        if self._left < 0 or depth > _MAX_DEPTH:
            raise Omitted(f"more than {MAX_VALUES} values in cells, or {_MAX_DEPTH} levels")
        if isinstance(value, dict):
            return {str(key): self.value(each, depth) for key, each in value.items()}
        return [self.value(each, depth) for each in value]


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

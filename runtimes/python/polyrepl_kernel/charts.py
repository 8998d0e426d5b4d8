"""What a matplotlib figure shows, as values: the data of its axes, read from the artists after they were drawn.

Only public attributes are read, so that it holds over matplotlib's versions. What is not understood is a chart of type unknown."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

from .boxplots import EPSILON, Boxes, boxes_of, is_same

MAX_POINTS = 50_000  # of a figure; it is no chart for programs beyond that
_UNIT = re.compile(r"\s\(([^()]+)\)|\[([^\[\]]+)\]")
_DIGITS = 6  # of an angle, in degrees

Chart = dict[str, Any]


class TooLarge(Exception):
    """The figure has more points than are read."""


def chart_of(figure: Any) -> Chart | None:
    """The chart of a figure: of its only axes, or of all of them as a superchart; None where nothing is drawn."""
    axes = [each for each in figure.axes if each.get_visible() and each.get_label() != "<colorbar>"]
    drawn = [each for each in axes if each.has_data()]
    if not drawn:
        return None
    budget = _Budget()
    if len(axes) == 1:
        return _Reader(drawn[0], budget).chart()
    charts = [_Reader(each, budget).chart() for each in drawn]
    return {"type": "superchart", "title": figure.get_suptitle(), "elements": charts}


class _Budget:
    """How many points may still be read."""

    def __init__(self) -> None:
        self._left = MAX_POINTS

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooLarge


class _Axis:
    """One axis of some axes: its label and unit, its ticks, and how values on it are written."""

    def __init__(self, axis: Any) -> None:
        self._axis = axis
        self.label = axis.get_label_text() or None
        found = _UNIT.search(self.label) if self.label else None
        self.unit = (found[1] or found[2]) if found else None
        self.ticks = [float(place) for place in axis.get_ticklocs()]
        self.tick_labels = [text.get_text() for text in axis.get_ticklabels()]
        dates = sys.modules.get("matplotlib.dates")
        category = sys.modules.get("matplotlib.category")
        locator = axis.get_major_locator()
        self._dates = dates if dates is not None and isinstance(locator, dates.DateLocator) else None
        self._periods = _period_maker(axis) if type(locator).__module__.startswith("pandas.") else None
        is_named = category is not None and isinstance(locator, category.StrCategoryLocator)
        self._has_names = is_named or type(locator).__name__ == "FixedLocator"
        self.scale = self._scale(is_named=is_named)

    @property
    def _has_dates(self) -> bool:
        return self._dates is not None or self._periods is not None

    def _scale(self, *, is_named: bool) -> str:
        if self._has_dates:
            return "datetime"
        scale = str(self._axis.get_scale())
        if scale != "linear":
            return scale
        pairs = list(zip(self.ticks, self.tick_labels, strict=False))
        counts_up = bool(pairs) and all(tick == at and text != str(at) for at, (tick, text) in enumerate(pairs))
        # A label such as 0.0 is only a number that is written at length.
        return "categorical" if is_named or (counts_up and not all(_is_number(text) for _, text in pairs)) else "linear"

    def described(self, name: str) -> Chart:
        """Its ticks, under names that begin with that of the axis."""
        return {
            f"{name}_ticks": [self.place(tick) for tick in self.ticks],
            f"{name}_tick_labels": self.tick_labels,
            f"{name}_scale": self.scale,
        }

    def place(self, value: float) -> Any:
        """A coordinate as it is told: a date where the axis has dates."""
        return self._date(value) if self._has_dates and math.isfinite(value) else _number(value)

    def told(self, values: Any) -> list[Any]:
        """The data of a line as they were given: numbers, names, dates."""
        told = _told(values)
        return [self.place(value) if isinstance(value, float) else value for value in told] if self._has_dates else told

    def name_at(self, place: float) -> str:
        """What stands below a place: the nearest tick's text where the ticks name places, or else the coordinate."""
        if self._has_names and self.ticks:
            nearest = min(range(len(self.ticks)), key=lambda at: abs(self.ticks[at] - place))
            gaps = [abs(after - before) for before, after in zip(self.ticks, self.ticks[1:], strict=False)]
            is_near = abs(self.ticks[nearest] - place) <= (min(gaps) if gaps else 1.0) / 2 + EPSILON
            if is_near and nearest < len(self.tick_labels) and self.tick_labels[nearest]:
                return self.tick_labels[nearest]
        return self._date(place) if self._has_dates else f"{place:g}"

    def _date(self, place: float) -> str:
        moment = self._dates.num2date(place) if self._dates is not None else self._periods(place)
        return str(moment.isoformat())


def _period_maker(axis: Any) -> Any:
    """What makes a date of a coordinate on an axis that pandas drew: it counts periods there. None where that is not known."""
    frequency = getattr(axis.axes, "freq", None)
    period = getattr(sys.modules.get("pandas"), "Period", None)
    if frequency is None or period is None:
        return None
    return lambda place: period(ordinal=int(place), freq=frequency).to_timestamp()


def _is_number(text: str) -> bool:
    try:
        float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return False
    return True


class _Reader:
    """Reads one pair of axes."""

    def __init__(self, axes: Any, budget: _Budget) -> None:
        self._axes = axes
        self._budget = budget
        self._bars = [each for each in axes.containers if type(each).__name__ == "BarContainer" and len(each)]
        self._lines = self._data_lines()
        self._scatters = [each for each in axes.collections if type(each).__name__ == "PathCollection"]
        self._wedges = [each for each in axes.patches if type(each).__name__ == "Wedge"]

    def _data_lines(self) -> list[Any]:
        """The lines in data coordinates, without those that only accompany others: caps of error bars, baselines of stems, and
        lines without a point, which seaborn draws for its legend."""
        companions: list[Any] = []
        for container in self._axes.containers:
            if type(container).__name__ == "ErrorbarContainer":
                companions += container.lines[1]
            elif type(container).__name__ == "StemContainer":
                companions.append(container.baseline)
        # axhline and axvline span the axes, whatever the data are.
        data = self._axes.transData
        lines = [each for each in self._axes.lines if each not in companions and each.get_transform() == data]
        drawn = [each for each in lines if len(each.get_xdata(orig=False))]
        return drawn if drawn or self._axes.collections else lines

    def chart(self) -> Chart:
        """The chart."""
        if self._axes.name == "3d" or self._has_other_data():
            return self._unknown()
        if self._wedges:
            return self._pie() if not (self._bars or self._lines or self._scatters) else self._unknown()
        if self._bars:
            return self._bar_chart() if not (self._scatters or self._plotted_over_bars()) else self._unknown()
        boxes = boxes_of(self._axes, self._lines)
        if boxes is not None:
            return self._box_chart(boxes)
        if self._scatters:
            return self._scatter_chart() if all(map(_is_segment, self._lines)) else self._unknown()
        return self._line_chart() if self._lines else self._unknown()

    def _has_other_data(self) -> bool:
        """Whether there is more than lines, areas and points: an image, a mesh, contours."""
        known = {"PathCollection", "LineCollection", "PolyCollection", "FillBetweenPolyCollection"}
        return bool(self._axes.images) or any(type(each).__name__ not in known for each in self._axes.collections)

    def _plotted_over_bars(self) -> bool:
        """Whether there are lines besides the error bars of the bars."""
        errors = [each.lines[0] for each in self._axes.containers if type(each).__name__ == "ErrorbarContainer"]
        return any(each not in errors and not _is_segment(each) for each in self._lines)

    def _label_of(self, line: Any) -> str:
        """Its label, or that of the error bars or stems that it belongs to, or its number."""
        for container in self._axes.containers:
            owned = getattr(container, "lines", None) or (getattr(container, "markerline", None),)
            label = str(container.get_label())
            if line is owned[0] and not label.startswith("_"):
                return label
        label = str(line.get_label())
        number = label.removeprefix("_child") if label.startswith("_child") else str(self._lines.index(line))
        return f"Line {number}" if label.startswith("_") else label

    def _base(self, kind: str, elements: list[Any]) -> Chart:
        return {"type": kind, "title": self._axes.get_title() or None, "elements": elements}

    def _unknown(self) -> Chart:
        return self._base("unknown", [])

    def _labelled(self, kind: str, elements: list[Any], x: _Axis, y: _Axis) -> Chart:
        labels = {"x_label": x.label, "y_label": y.label, "x_unit": x.unit, "y_unit": y.unit}
        return {**self._base(kind, elements), **labels}

    def _point_chart(self, kind: str, elements: list[Any], x: _Axis, y: _Axis) -> Chart:
        return {**self._labelled(kind, elements, x, y), **x.described("x"), **y.described("y")}

    def _axis_pair(self) -> tuple[_Axis, _Axis]:
        return _Axis(self._axes.xaxis), _Axis(self._axes.yaxis)

    def _line_chart(self) -> Chart:
        x, y = self._axis_pair()
        elements = []
        for line in self._lines:
            xs, ys = line.get_xdata(), line.get_ydata()
            self._budget.take(len(xs))
            points = [[px, py] for px, py in zip(x.told(xs), y.told(ys), strict=False)]
            elements.append({"label": self._label_of(line), "points": points})
        return self._point_chart("line", elements, x, y)

    def _scatter_chart(self) -> Chart:
        x, y = self._axis_pair()
        elements = []
        for collection in self._scatters:
            offsets = collection.get_offsets()
            self._budget.take(len(offsets))
            points = [[x.place(px), y.place(py)] for px, py in _rows(offsets)]
            elements.append({"label": str(collection.get_label()), "points": points})
        return self._point_chart("scatter", elements, x, y)

    def _bar_chart(self) -> Chart:
        x, y = self._axis_pair()
        is_horizontal = self._bars[0].orientation == "horizontal"
        if is_horizontal:
            x, y = y, x  # x is where the bars stand
        elements = []
        for at, container in enumerate(self._bars):
            group = str(container.get_label())
            if group.startswith("_container"):
                group = f"Group {group.removeprefix('_container') or at}"
            self._budget.take(len(container))
            for bar in container:
                place = bar.get_y() + bar.get_height() / 2 if is_horizontal else bar.get_x() + bar.get_width() / 2
                value = bar.get_width() if is_horizontal else bar.get_height()
                elements.append({"label": x.name_at(float(place)), "group": group, "value": _number(value)})
        return self._labelled("bar", elements, x, y)

    def _pie(self) -> Chart:
        elements = [
            {
                "label": str(wedge.get_label()),
                "angle": round(abs(float(wedge.theta2) - float(wedge.theta1)), _DIGITS),
                "radius": float(wedge.r),
            }
            for wedge in self._wedges
        ]
        return self._base("pie", elements)

    def _box_chart(self, boxes: Boxes) -> Chart:
        x, y = self._axis_pair()
        if boxes.is_horizontal:
            x, y = y, x
        elements = [
            {
                "label": x.name_at(box.place),
                "min": box.least,
                "first_quartile": box.low,
                "median": box.median,
                "third_quartile": box.high,
                "max": box.most,
                "outliers": box.beyond,
            }
            for box in boxes.all
        ]
        return self._labelled("box_and_whisker", elements, x, y)


def _is_segment(line: Any) -> bool:
    """Whether a line is one stroke along an axis, as error bars are."""
    xs, ys = line.get_xdata(orig=False), line.get_ydata(orig=False)
    return len(xs) == 2 and (is_same(xs[0], xs[1]) or is_same(ys[0], ys[1]))


def _rows(offsets: Any) -> list[tuple[float, float]]:
    """The points of a collection; what is masked has no place."""
    rows = offsets.tolist()
    return [tuple(math.nan if value is None else value for value in row) for row in rows]


def _told(values: Any) -> list[Any]:
    kind = getattr(getattr(values, "dtype", None), "kind", "O")
    if kind == "M":
        return [None if text == "NaT" else text for text in values.astype("datetime64[s]").astype(str).tolist()]
    plain = values.tolist() if kind in "fiub" else list(values)
    return [_told_value(value) for value in plain]


def _told_value(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value  # what is masked is None
    if hasattr(value, "isoformat"):
        return value.isoformat() if value == value else None  # pandas' NaT differs from itself
    try:
        return _number(value)
    except (TypeError, ValueError):
        return str(value)


def _number(value: Any) -> float | None:
    """A finite number; JSON has no other."""
    number = float(value)
    return number if math.isfinite(number) else None

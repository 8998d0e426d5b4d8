"""The boxes of box plots, found among the patches and lines of matplotlib's axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

EPSILON = 1e-9  # of coordinates
_NOTCHED = 11  # corners of a box with notches; other boxes have 5


class Box:
    """A box: where it stands, between which values, and what was found on it. Across: along the axis on which boxes stand."""

    def __init__(self, across: Sequence[float], along: Sequence[float]) -> None:
        self.left, self.right = min(across), max(across)
        opposite = along[5 if len(along) >= _NOTCHED else 2]  # a notch may reach beyond the box
        self.low, self.high = min(along[0], opposite), max(along[0], opposite)
        self.place = (self.left + self.right) / 2
        self.least, self.most = self.low, self.high
        self._levels: list[float] = []  # of lines across: caps of the whiskers, the median, a mean, as they were drawn
        self._markers: list[float] = []
        self.whiskers = 0

    def take(self, across: list[float], along: list[float], *, is_marker: bool) -> None:
        """Read a line that stands on this box: a whisker, the median, or points beyond the whiskers."""
        if is_marker:
            self._markers = along  # the last ones: a mean, which has a marker too, is drawn before
        elif _is_along(across, along):
            if self.whiskers == 2:  # another box of the same values is drawn over this one
                self._levels, self._markers, self.whiskers = [], [], 0
            self.least, self.most = min(self.least, *along), max(self.most, *along)
            self.whiskers += 1
        elif len(along) == 2 and is_same(along[0], along[1]):
            self._levels.append(along[0])

    @property
    def span(self) -> tuple[float, float]:
        """From where to where it stands."""
        return self.left, self.right

    def has_whisker(self, along: list[float]) -> bool:
        """Whether a whisker begins at this box."""
        return any(is_same(along[0], end) for end in (self.low, self.high))

    @property
    def is_whole(self) -> bool:
        """Whether it has what every box has."""
        return bool(self.whiskers and self._levels)

    @property
    def median(self) -> float:
        """The first level that is no cap: caps are at the ends of the whiskers, and the median may be there, too."""
        levels = list(self._levels)
        for end in (self.least, self.most):
            if len(levels) > 1 and end in levels:
                levels.remove(end)
        return levels[0]

    @property
    def beyond(self) -> list[float]:
        """The outliers: what lies between the whiskers is a mean."""
        return [value for value in self._markers if value < self.least or value > self.most]


class Boxes:
    """The boxes of some axes."""

    def __init__(self, boxes: list[Box], *, is_horizontal: bool) -> None:
        self.all = boxes
        self.is_horizontal = is_horizontal


def boxes_of(axes: Any, lines: list[Any]) -> Boxes | None:
    """The boxes of a box plot, drawn as patches or as closed lines, with what belongs to them; None where it is none."""
    outlines: list[tuple[Any, Any]] = []
    rest = []
    for patch in axes.patches:
        corners = patch.get_path().vertices
        if type(patch).__name__ == "PathPatch" and len(corners) >= 5:
            outlines.append((corners[:, 0], corners[:, 1]))
    for line in lines:
        xs, ys = line.get_xdata(orig=False), line.get_ydata(orig=False)
        if len(xs) in (5, _NOTCHED) and is_same(xs[0], xs[-1]) and is_same(ys[0], ys[-1]):
            outlines.append((xs, ys))
        else:
            rest.append((_floats(xs), _floats(ys), str(line.get_linestyle()).lower() == "none"))
    if not outlines:
        return None
    for is_horizontal in (False, True):
        boxes = [
            Box(ys, xs) if is_horizontal else Box(xs, ys) for xs, ys in ((_floats(a), _floats(b)) for a, b in outlines)
        ]
        shown: dict[tuple[float, float], Box] = {}  # by its place: of boxes over each other the one that is drawn last
        for xs, ys, is_marker in rest:
            across, along = (ys, xs) if is_horizontal else (xs, ys)
            below = [each for each in boxes if across and each.left <= min(across) and max(across) <= each.right]
            if below and _is_along(across, along) and not is_marker:
                shown[below[0].span] = next((each for each in below if each.has_whisker(along)), below[0])
            if below:
                shown.get(below[0].span, below[0]).take(across, along, is_marker=is_marker)
        if {each.span for each in boxes} == shown.keys() and all(box.is_whole for box in shown.values()):
            return Boxes(list(shown.values()), is_horizontal=is_horizontal)
    return None


def _is_along(across: Sequence[float], along: Sequence[float]) -> bool:
    """Whether a line is a whisker."""
    return len(along) == 2 and is_same(across[0], across[1])


def is_same(one: float, other: float) -> bool:
    """Whether two coordinates are one."""
    return math.isclose(one, other, rel_tol=EPSILON, abs_tol=EPSILON)


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]

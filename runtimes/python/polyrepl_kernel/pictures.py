"""Figures and images of cells whose client reads items: each is shown, and once.

matplotlib's figures are shown by its backend for notebooks, at `plt.show()` and at the end of the cell; PIL's images as one picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .imports import on_import
from .kinds import is_a, is_among, mro

if TYPE_CHECKING:
    from .shell import ZMQInteractiveShell

_PYPLOT = "matplotlib.pyplot"
_INLINE = "matplotlib_inline.backend_inline"
# The backends of matplotlib that only write files, and those that need a page of Jupyter's.
_WITHOUT_DISPLAY = frozenset({"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"})
_IN_A_PAGE = frozenset({"notebook", "nbagg", "widget", "ipympl"})
_DRAWN = (
    ("matplotlib.artist", "Artist"),
    ("matplotlib.container", "Container", "PieContainer"),
    ("matplotlib.animation", "Animation"),
    ("seaborn.axisgrid", "Grid"),
    ("sympy.plotting.backends.base_backend", "Plot"),
    ("sympy.plotting.plot", "Plot"),  # before sympy 1.13
)
_PLAIN = frozenset({bool, int, float, complex, str, bytes})
_FEW = 20  # parts of a value that are looked at
_MAX_DEPTH = 2


def watch(shell: ZMQInteractiveShell) -> None:
    """Prepare matplotlib and PIL when cells import them, or now if they are there."""
    on_import(_PYPLOT, lambda module: _keep_shown(module, shell))
    on_import("PIL.Image", lambda module: _wrap_show(module, shell))


def is_backend_without_display(name: object) -> bool:
    """Whether a backend of matplotlib shows nothing to a client that reads items."""
    return isinstance(name, str) and name.lower() in _WITHOUT_DISPLAY | _IN_A_PAGE


def _keep_shown(pyplot: ModuleType, shell: ZMQInteractiveShell) -> None:
    """Let the backend for notebooks stand in for backends that show nothing: it draws with Agg, too, and saves in all their formats."""
    switch: Callable[[Any], None] = pyplot.switch_backend  # type: ignore[attr-defined]

    @wraps(switch)
    def switch_backend(newbackend: Any) -> None:
        if is_backend_without_display(newbackend) and shell.kernel.cells.current().reads_items:
            shell.enable_matplotlib("inline")
        else:
            switch(newbackend)

    pyplot.switch_backend = switch_backend  # type: ignore[attr-defined]


class ShownFigures:
    """The figures that the present cell has shown."""

    def __init__(self) -> None:
        self._shown: WeakSet[Any] = WeakSet()

    def note(self, figure: Any) -> None:
        """Take down that a figure was shown as it is now."""
        self._shown.add(figure)
        figure.stale = False  # what its drawing leaves as it was, matplotlib counts as changes

    def close(self) -> None:
        """Close those that did not change since: at the end of a cell pyplot shows, and closes, all that are open."""
        inline: Any = sys.modules.get(_INLINE)
        if inline is None or not getattr(inline.show, "_draw_called", False):
            return
        for manager in inline.Gcf.get_all_fig_managers():
            figure = manager.canvas.figure
            if figure not in self._shown or figure.stale:
                continue
            if inline.InlineBackend.instance().close_figures:
                inline.matplotlib.pyplot.close(figure)
            elif figure in inline.show._to_draw:
                inline.show._to_draw.remove(figure)


def is_figure(value: Any) -> bool:
    """Whether it is a figure of matplotlib's."""
    return is_a(value, "matplotlib.figure", "Figure")


def is_image(value: Any) -> bool:
    """Whether it is an image of PIL's."""
    return is_a(value, "PIL.Image", "Image")


def is_of_figure(value: Any) -> bool:
    """Whether a value only stands for what was drawn: an artist of matplotlib's, a group of them, seaborn's grids, an animation."""
    return _PYPLOT in sys.modules and type(value) not in _PLAIN and _is_drawn(value, 0)


def _is_drawn(value: Any, depth: int) -> bool:
    if any(is_a(value, *each) for each in _DRAWN):
        return True
    return depth < _MAX_DEPTH and any(_is_drawn(each, depth + 1) for each in islice(_parts(value), _FEW))


def _parts(value: Any) -> Iterable[Any]:
    """The values in a container of Python's, an array of objects, or a column of objects; a user's class has no say in it."""
    kinds = mro(type(value))
    if is_among(dict, kinds):
        return dict.values(value)
    for kind in (list, tuple):
        if is_among(kind, kinds):
            return kind.__iter__(value)
    if is_a(value, "pandas", "Series"):
        value = value.array.to_numpy()
    return value.flat if is_a(value, "numpy", "ndarray") and value.dtype.hasobject else ()


def _wrap_show(module: ModuleType, shell: ZMQInteractiveShell) -> None:
    """Let `Image.show()` display the image: PIL would start a program with a window."""
    image_class: Any = module.Image  # type: ignore[attr-defined]
    show = image_class.show

    @wraps(show)
    def display_or_show(self: Any, *args: Any, **kwargs: Any) -> None:
        cell = shell.kernel.cells.current()
        if cell.reads_items or cell.gives_data:
            bundle, metadata = shell.display_formatter.format(self)
            if bundle.keys() <= {"text/plain"}:  # no file has this mode; PIL shows it in another one, too
                bundle, metadata = shell.display_formatter.format(self.convert(module.getmodebase(self.mode)))
            shell.display_pub.publish(bundle, metadata)
        else:
            show(self, *args, **kwargs)

    image_class.show = display_or_show

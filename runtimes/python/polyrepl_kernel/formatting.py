"""Which forms a value is shown in: IPython's rules, with a short way for values that have only one."""

from __future__ import annotations

import math
from typing import Any

from IPython.core.formatters import BaseFormatter
from IPython.core.formatters import DisplayFormatter as _DisplayFormatter
from IPython.lib import pretty

from . import charting, limits, pictures
from .values import add_values

# Exact types whose only base is object and that have no _repr_*_ method: unless somebody registered a printer, text is all.
_PLAIN = frozenset({int, float, complex, str, bytes, list, tuple, dict, set, frozenset})
# Of these, the ones whose text is their repr, always one line.
_ONE_LINE = frozenset({int, float, complex, str, bytes})
# Values in a container of which IPython's text shows no more. sympy's would be one formula, and take minutes.
_MANY = 1000
_SPARE = 0.8  # of the size that a preview may have: details shrink less than the picture
_CONTAINERS = frozenset({list, dict})
_TEXT, _PNG, _JPEG = "text/plain", "image/png", "image/jpeg"


class DisplayFormatter(_DisplayFormatter):
    """Asks the formatters of eleven other MIME types about a plain value only where one of them would know it.

    Asking them all is more than a third of the time that a cell like ``1+1`` takes."""

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the MIME bundle of `obj` and its metadata."""
        kind = type(obj)
        if kind in _PLAIN and not include and not exclude:
            formatters = self.formatters
            text = formatters.get(_TEXT)
            if text is not None and not self._is_known(obj, kind, formatters):
                shown = repr(obj) if kind in _ONE_LINE and _is_shown_by_repr(text, obj, kind) else text(obj)
                found: tuple[dict[str, Any], dict[str, Any]] = ({} if shown is None else {_TEXT: shown}), {}
                return self._with_values(obj, *found) if kind in _CONTAINERS else found
            if kind not in _ONE_LINE and len(obj) > _MANY and _is_sympys(formatters, kind):
                return {_TEXT: pretty.pretty(obj)}, {}
        if include or exclude:
            return super().format(obj, include=include, exclude=exclude)
        return self._with_values(obj, *self._for_reader(obj))

    def _for_reader(self, obj: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The bundle as the cell's client wants it: a notebook that of IPython, other clients each picture once, and words."""
        cell = self.parent.kernel.cells.current()
        if not cell.reads_items:
            return super().format(obj)
        if pictures.is_image(obj):
            return self._image(obj, cell.limits.item_bytes)
        bundle, metadata = super().format(obj)
        if pictures.is_figure(obj):
            self.parent.note_figure(obj)
        charting.complete(obj, bundle)
        return bundle, metadata

    def _image(self, image: Any, most: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """An image of PIL's as PNG, which loses nothing; as JPEG if that is not possible, or larger than `most` bytes; or smaller."""
        bundle, metadata = super().format(image, exclude={_JPEG})
        if not _is_within(bundle.get(_PNG), most):
            other, more = super().format(image, include={_JPEG})
            if _JPEG in other and not _is_within(other[_JPEG], most):
                other, more = self._preview(image, len(other[_JPEG]), most or 0)
            if _JPEG in other:
                bundle.pop(_PNG, None)
                return {**bundle, **other}, {**metadata, **more}
        return bundle, metadata

    def _preview(self, image: Any, size: int, most: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A smaller copy, to be shown in the size of the original; nothing if that is too large, too."""
        scale = math.sqrt(most / limits.BASE64 / size) * _SPARE
        copy = image.resize([max(1, int(each * scale)) for each in image.size])
        bundle, _ = super().format(copy, include={_JPEG})
        if not _is_within(bundle.get(_JPEG), most):
            return {}, {}
        return bundle, {_JPEG: {"width": image.width, "height": image.height}}

    def _with_values(
        self, obj: Any, bundle: dict[str, Any], metadata: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add the values of what is shown, for cells that ask for them."""
        if bundle and self.parent.kernel.cells.current().gives_data:
            add_values(obj, bundle, metadata)
        return bundle, metadata

    def _is_known(self, obj: Any, kind: type, formatters: dict[str, BaseFormatter]) -> bool:
        if _knows(self.ipython_display_formatter, obj, kind) or _knows(self.mimebundle_formatter, obj, kind):
            return True
        return any(_knows(formatter, obj, kind) for mime_type, formatter in formatters.items() if mime_type != _TEXT)


def _is_within(picture: bytes | str | None, most: int | None) -> bool:
    return picture is not None and (most is None or limits.base64_length(picture) <= most)


def _knows(formatter: BaseFormatter, obj: Any, kind: type) -> bool:
    by_type, singletons, deferred = _printers(formatter)
    if by_type and (kind in by_type or object in by_type):
        return True
    if singletons and id(obj) in singletons:
        return True
    return bool(deferred) and (("builtins", kind.__name__) in deferred or ("builtins", "object") in deferred)


def _is_sympys(formatters: dict[str, BaseFormatter], kind: type) -> bool:
    """Whether sympy's `init_printing` has taken over the values of a class."""
    printer = _printers(formatters["text/latex"])[0].get(kind)
    return str(getattr(printer, "__module__", None)).startswith("sympy.")


def _is_shown_by_repr(text: BaseFormatter, obj: Any, kind: type) -> bool:
    by_type, singletons, _ = _printers(text)
    return by_type.get(kind) is pretty._repr_pprint and id(obj) not in singletons


def _printers(formatter: BaseFormatter) -> tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]:
    """What is registered with a formatter: by type, by object, and by the names of types that are not imported yet."""
    values = formatter._trait_values  # without the descriptors, which take most of the time
    try:
        return values["type_printers"], values["singleton_printers"], values["deferred_printers"]
    except KeyError:  # not asked for before
        return formatter.type_printers, formatter.singleton_printers, formatter.deferred_printers


FORMATS = (
    DisplayFormatter.format,
    DisplayFormatter._for_reader,
    DisplayFormatter._image,
    DisplayFormatter._with_values,
)
"""Functions that run what libraries do to show a value, for as long as that takes; all can be interrupted."""

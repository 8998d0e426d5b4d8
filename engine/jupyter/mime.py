"""MIME bundles as items: which MIME type becomes which field, and in what form."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec
from msgspec import UNSET

from engine.models import Item, encode

FIELDS: dict[str, str] = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    "e2b/data": "data",
    "e2b/chart": "chart",
}
_OBJECTS = frozenset({"e2b/data", "e2b/chart"})
_BINARY = frozenset({"image/png", "image/jpeg", "application/pdf"})
_encoder = msgspec.json.Encoder(enc_hook=repr)


def is_json(mime_type: str) -> bool:
    return mime_type == "application/json" or mime_type.endswith("+json") or mime_type in _OBJECTS


def to_item(
    data: Mapping[str, Any],
    *,
    is_primary: bool,
    metadata: Mapping[str, Any] | None = None,
    max_value_bytes: int | None = None,
) -> tuple[Item, int]:
    """Make an item of a MIME bundle; returns it with its size in bytes.

    A value above `max_value_bytes` is left out and listed in the item's `omitted` (the bundle's metadata as "metadata"),
    next to what the kernel itself left out (`metadata["omitted"]`, see runtimes/README.md)."""
    item = Item(is_primary=is_primary)
    rest = dict(metadata or {})
    omitted = _sizes(rest.pop("omitted", None))
    extra: dict[str, Any] = {}
    total = 0
    for mime_type, raw in data.items():
        value, size = _normalize(mime_type, raw)
        if max_value_bytes is not None and size > max_value_bytes:
            omitted[mime_type] = size
            continue
        total += size
        field = FIELDS.get(mime_type)
        if field is None or (mime_type in _OBJECTS and not isinstance(value, dict)):
            extra[mime_type] = value
        else:
            setattr(item, field, value)
    if extra:
        item.extra = extra
    if rest:
        size = len(encode(rest, _encoder))
        if max_value_bytes is not None and size > max_value_bytes:
            omitted["metadata"] = size
        else:
            item.metadata = rest
            total += size
    if omitted:
        item.omitted = omitted
    return item, total


def _sizes(value: Any) -> dict[str, int]:
    """A kernel's own list of what it left out, as far as it is one."""
    if not isinstance(value, dict):
        return {}
    return {str(name): size for name, size in value.items() if is_count(size)}


def is_count(value: Any) -> TypeGuard[int]:
    """A whole number, 0 or more; JSON's true is none, though Python counts it as one."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def to_bundle(item: Item) -> dict[str, Any]:
    """The item as a MIME bundle again."""
    values = {mime_type: getattr(item, field) for mime_type, field in FIELDS.items()}
    bundle = {mime_type: value for mime_type, value in values.items() if value is not UNSET}
    return bundle if item.extra is UNSET else bundle | item.extra


def _normalize(mime_type: str, value: Any) -> tuple[Any, int]:
    """The value in the form that an item holds, and its size in bytes."""
    if is_json(mime_type) or (mime_type not in FIELDS and not _is_text(value)):
        return value, len(encode(value, _encoder))
    text = _text(value)
    if mime_type in _BINARY:
        text = "".join(text.split())  # base64 as some kernels break it into lines
    return text, utf8_size(text)


def _is_text(value: Any) -> bool:
    """Text, bytes that become base64, or one of nbformat's multi-line strings."""
    if isinstance(value, list):
        return all(isinstance(part, str) for part in value)
    return isinstance(value, (str, bytes, bytearray, memoryview))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    return "".join(value) if _is_text(value) else encode(value, _encoder).decode()


def utf8_size(text: str) -> int:
    """Length in UTF-8; ASCII text, the usual case, is not encoded for it."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))

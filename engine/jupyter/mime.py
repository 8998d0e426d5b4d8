"""MIME bundles as items: which MIME type becomes which field, and in what form."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, TypeGuard

import msgspec
from msgspec import UNSET

from engine.errors import MessageError
from engine.jupyter.contents import OBJECTS, is_json
from engine.jupyter.values import Json, Text
from engine.models import Item, encode, stored

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
_EMPTY = msgspec.Raw(b"{}")
_BINARY = frozenset({"image/png", "image/jpeg", "application/pdf"})
_TEXTS = FIELDS.keys() - _BINARY - OBJECTS - {"application/json"}
_MAX_LISTS = 1_000_000  # lists and objects of one value: a reader needs half a second for so many, and the server none
_MAX_METADATA = 1000  # members of a display's
_ONE_LINE = 64 * 1024  # bytes of JSON that is looked at in the place of text
_encoder = msgspec.json.Encoder(enc_hook=repr)
_decoder = msgspec.json.Decoder()
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def to_item(
    data: Mapping[str, Any],
    *,
    is_primary: bool,
    metadata: Mapping[str, Any] | None = None,
    max_value_bytes: int | None = None,
    max_bytes: int | None = None,
) -> tuple[Item, int]:
    """Make an item of a MIME bundle; returns it with its size in bytes. JSON stays as it came, and is not parsed.

    A value above `max_value_bytes`, or with more than a million lists and objects, is left out and listed in the item's `omitted`
    (the bundle's metadata as "metadata"), next to what the kernel itself left out (`metadata["omitted"]`, see runtimes/README.md).
    Of values that together exceed `max_bytes` the largest are left out, until the rest fits."""
    item = Item(is_primary=is_primary)
    rest = dict(metadata) if metadata else {}
    omitted = _sizes(rest.pop("omitted")) if "omitted" in rest else {}
    extra: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for mime_type, raw in data.items():
        if type(raw) is str and mime_type in _TEXTS:
            value, size = raw, utf8_size(raw)
        elif max_value_bytes is not None and isinstance(raw, (Json, Text)) and _is_too_much(raw, max_value_bytes):
            omitted[mime_type] = raw.size
            continue
        else:
            value, size = _normalize(mime_type, raw)
        if max_value_bytes is not None and size > max_value_bytes:
            omitted[mime_type] = size
            continue
        sizes[mime_type] = size
        field = FIELDS.get(mime_type)
        if field is None or (mime_type in OBJECTS and not _is_object(value)):
            extra[mime_type] = value
        else:
            setattr(item, field, value)
    total = sum(sizes.values())
    if max_bytes is not None and total > max_bytes:
        for mime_type in _largest(sizes, total - max_bytes):
            omitted[mime_type] = sizes[mime_type]
            total -= sizes[mime_type]
            if mime_type in extra:
                del extra[mime_type]
            else:
                setattr(item, FIELDS[mime_type], UNSET)
    if rest:
        size = len(encode(rest, _encoder))
        if (max_value_bytes is not None and size > max_value_bytes) or (
            max_bytes is not None and total + size > max_bytes
        ):
            omitted["metadata"] = size
        else:
            item.metadata = rest
            total += size
    if extra:
        item.extra = extra
    if omitted:
        item.omitted = omitted
    return item, total


def _largest(sizes: dict[str, int], size: int) -> Iterator[str]:
    """The largest values, which have this size together. There may be very many: they are sorted once."""
    for name, each in sorted(sizes.items(), key=itemgetter(1), reverse=True):
        yield name
        size -= each
        if size <= 0:
            return


def _is_too_much(value: Json | Text, most: int) -> bool:
    return value.size > most or (isinstance(value, Json) and value.lists > _MAX_LISTS)


def members_of(value: Any) -> dict[str, Any]:
    """The members of an object, which stay JSON where they are; nothing for what is no object. Raises MessageError for too many."""
    if isinstance(value, Json):
        value = value.raw()
    if isinstance(value, msgspec.Raw):
        if value == _EMPTY or not _is_object(value):
            return {}
        value = _members_decoder.decode(value)
    if not isinstance(value, dict):
        return {}
    if len(value) > _MAX_METADATA:
        msg = f"metadata has more than {_MAX_METADATA} members"
        raise MessageError(msg)
    return dict(value)


def _sizes(value: Any) -> dict[str, int]:
    """A kernel's own list of what it left out, as far as it is one."""
    if not isinstance(value, dict):
        return {}
    return {str(name): size for name, size in value.items() if is_count(size)}


def is_count(value: Any) -> TypeGuard[int]:
    """A whole number, 0 or more; JSON's true is none, though Python counts it as one."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def to_bundle(item: Item) -> dict[str, Any]:
    """The item as a MIME bundle again, to be encoded: JSON in it may be `msgspec.Raw`."""
    values = {mime_type: stored(item, field) for mime_type, field in FIELDS.items()}
    bundle = {mime_type: value for mime_type, value in values.items() if value is not UNSET}
    extra = stored(item, "extra")
    return bundle if extra is UNSET else bundle | extra


def _normalize(mime_type: str, value: Any) -> tuple[Any, int]:
    """The value in the form that an item holds, and its size in bytes."""
    if isinstance(value, Json):
        value = value.raw()
    if isinstance(value, msgspec.Raw) and not is_json(mime_type) and len(memoryview(value)) <= _ONE_LINE:
        with contextlib.suppress(
            msgspec.DecodeError, UnicodeDecodeError
        ):  # a number that nothing here can hold stays JSON
            value = _decoder.decode(value)
    if is_json(mime_type) or (mime_type not in FIELDS and not _is_text(value)):
        return value, len(memoryview(value) if isinstance(value, msgspec.Raw) else encode(value, _encoder))
    text = _text(value)
    if mime_type in _BINARY:
        text = "".join(text.split())  # base64 as some kernels break it into lines
    return text, utf8_size(text)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, msgspec.Raw) and memoryview(value)[:1].tobytes() == b"{")


def _is_text(value: Any) -> bool:
    """Text, bytes that become base64, or one of nbformat's multi-line strings."""
    if isinstance(value, list):
        return all(isinstance(part, str) for part in value)
    return isinstance(value, (str, Text, bytes, bytearray, memoryview))


def _text(value: Any) -> str:
    if isinstance(value, (str, Text)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    return "".join(value) if _is_text(value) else encode(value, _encoder).decode()


def utf8_size(text: str) -> int:
    """Length in UTF-8; ASCII text, the usual case, is not encoded for it."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))

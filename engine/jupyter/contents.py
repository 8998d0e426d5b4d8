"""What messages say: their contents by type, read within bounds.

Contents that are small by nature are small, or none. Those of displays, streams and errors are as large as a frame: what is in a
display stays JSON, and a large one is read in steps (`json_reader`), so that nobody else waits for it."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import MessageError
from engine.jupyter.json_reader import MAX_DEPTH, TOO_DEEP, JsonReader, Steps, check_depth, check_valid
from engine.jupyter.values import Json, Text

EMPTY = b"{}"
OBJECTS = frozenset({"e2b/data", "e2b/chart"})
DISPLAYS = frozenset({"display_data", "execute_result", "update_display_data"})
_LARGE = DISPLAYS | {"stream", "error", "execute_reply", "execute_input", "input_request"}
"""Types whose content grows with what users print, show, raise, ask or run."""
_SMALL = {"status": 4096, "clear_output": 4096, "iopub_welcome": 4096}
_MOST = 1024 * 1024  # bytes of the other contents: replies, comms
AT_ONCE = 256 * 1024  # bytes of a content that is read in one step
_FEW = 16 * 1024  # bytes of a content that is, whatever it is
_MAX_MARKS = 20_000  # quotes and brackets of such a content: they take time, and memory when they are parsed
_MAX_OBJECTS = 100_000  # of those in contents that are always parsed
_MAX_METADATA = 128 * 1024  # bytes
_MAX_MEMBERS = 100  # of a content; MIME types of a display
_MAX_LINES = 10_000  # of a traceback
_SHORT = 64 * 1024  # bytes of a text that is kept in one part
_SIMPLE = 4  # braces of a display without any objects in it: its own, and those of data, metadata and transient
_QUOTE = ord('"')
_PLAIN = frozenset({"text/plain", "text/html", "image/png"})  # the most usual types that are text
Content = dict[str, Any]


class _Display(msgspec.Struct):
    data: dict[str, msgspec.Raw] = {}
    metadata: msgspec.Raw = msgspec.Raw(EMPTY)
    transient: dict[str, Any] = {}
    execution_count: int | None = None


_decoder = msgspec.json.Decoder()
_display_decoder = msgspec.json.Decoder(_Display)
_text_decoder = msgspec.json.Decoder(str)


def is_json(mime_type: str) -> bool:
    return mime_type == "application/json" or mime_type.endswith("+json") or mime_type in OBJECTS


def read_content(msg_type: str, raw: bytes | memoryview) -> Content | Steps[Content]:
    """The content of a message; steps, the last of which returns it, where reading it takes long. Raises MessageError.

    Of a display, `data` has a str, `Text`, `Raw` or `Json` for each MIME type, and `metadata` is a `Raw` or `Json`; a long text of other
    messages is a `Text`."""
    if msg_type in _LARGE:
        if not isinstance(raw, bytes) or not _is_light(raw):
            return _read(msg_type, raw)
        try:
            return _read_display(raw) if msg_type in DISPLAYS else _read_object(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _read(msg_type, raw)
    most = _SMALL.get(msg_type, _MOST)
    if len(raw) > most:
        msg = f"content of {len(raw)} bytes; at most {most} are allowed in a message of this type"
        raise MessageError(msg)
    return read_object(bytes(raw))


def read_metadata(raw: bytes | memoryview) -> Content:
    """The metadata of a message. Raises MessageError."""
    if len(raw) > _MAX_METADATA:
        msg = f"metadata of {len(raw)} bytes; at most {_MAX_METADATA} are allowed"
        raise MessageError(msg)
    return {} if raw == EMPTY else read_object(bytes(raw))


def read_object(raw: bytes) -> Content:
    """An object that is small enough to be parsed at once. Raises MessageError."""
    if _marks(raw) > _MAX_OBJECTS:
        msg = f"content has more than {_MAX_OBJECTS} quotes and brackets"
        raise MessageError(msg)
    try:
        return _read_object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _checked(_parsed(_at_once(JsonReader(raw).json()).raw()), raw)


def _parsed(raw: bytes | msgspec.Raw) -> Any:
    """Raises MessageError for JSON that is valid, and that nothing here can hold: 1e999, a number of thousands of digits."""
    try:
        return _decoder.decode(raw)
    except RecursionError:
        raise MessageError(TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"content cannot be read: {error}"
        raise MessageError(msg) from None


def _is_light(raw: bytes) -> bool:
    return len(raw) <= _FEW or (len(raw) <= AT_ONCE and _marks(raw) <= _MAX_MARKS)


def _marks(raw: bytes) -> int:
    return raw.count(b'"') + raw.count(b"[") + raw.count(b"{")


def _read_object(raw: bytes) -> Content:
    """Raises DecodeError too: it may be JSON all the same."""
    try:
        value = _decoder.decode(raw)
    except RecursionError:
        raise MessageError(TOO_DEEP) from None
    return _checked(value, raw)


def _checked(value: Any, raw: bytes) -> Content:
    if not isinstance(value, dict):
        msg = f"content is not a JSON object but {type(value).__name__}"
        raise MessageError(msg)
    if len(raw) > 2 * MAX_DEPTH:
        check_depth(raw)
    return value


def _read_display(raw: bytes) -> Content:
    """Raises DecodeError, or UnicodeDecodeError, for what is not as it should be; it may be JSON all the same."""
    if len(raw) <= _FEW and raw.count(b"{") <= _SIMPLE and b"[" not in raw:
        content = _read_object(raw)
        _check_members(content.get("data"))
        return content
    try:
        found = _display_decoder.decode(raw)
    except RecursionError:
        raise MessageError(TOO_DEEP) from None
    _check_members(found.data)
    check_valid(raw)
    data = {mime_type: _value(mime_type, value) for mime_type, value in found.data.items()}
    return {
        "data": data,
        "metadata": found.metadata,
        "transient": found.transient,
        "execution_count": found.execution_count,
    }


def _check_members(data: object) -> None:
    if isinstance(data, dict) and len(data) > _MAX_MEMBERS:
        msg = f"content has more than {_MAX_MEMBERS} MIME types"
        raise MessageError(msg)


def _value(mime_type: str, raw: msgspec.Raw) -> str | msgspec.Raw:
    value = bytes(raw)
    if value[0] != _QUOTE or (mime_type not in _PLAIN and is_json(mime_type)):
        return msgspec.Raw(value)
    return _text_decoder.decode(value)


def _read(msg_type: str, raw: bytes | memoryview) -> Steps[Content]:
    reader = JsonReader(raw)
    content: Content = {}
    for name in reader.names(_MAX_MEMBERS):
        first = reader.next()
        if name == "data" and first == b"{" and msg_type in DISPLAYS:
            content[name] = yield from _read_data(reader)
        elif first == b'"':
            content[name] = _short((yield from reader.text()))
        elif name == "traceback" and first == b"[":
            content[name] = yield from _read_lines(reader)
        elif name == "metadata" and msg_type in DISPLAYS:
            content[name] = yield from reader.json()
        else:
            value = yield from reader.json()
            if value.size > _MOST or sum(map(_marks, value.parts)) > _MAX_OBJECTS:
                msg = f"{name!r} has {value.size} bytes; at most {_MOST}, with {_MAX_OBJECTS} quotes and brackets, are allowed"
                raise MessageError(msg)
            content[name] = _parsed(value.raw())
    reader.end()
    return content


def _read_data(reader: JsonReader) -> Steps[Content]:
    data: Content = {}
    for mime_type in reader.names(_MAX_MEMBERS):
        is_text = reader.next() == b'"' and not is_json(mime_type)
        data[mime_type] = (yield from reader.text()) if is_text else (yield from reader.json())
    return data


def _read_lines(reader: JsonReader) -> Steps[list[Any]]:
    lines = []
    for _ in reader.elements(_MAX_LINES):
        if reader.next() == b'"':
            lines.append((yield from reader.text()))
        else:
            yield from reader.json()
    return lines


def _short(text: Text) -> str | Text:
    return str(text) if text.size <= _SHORT else text


def _at_once(steps: Steps[Json]) -> Json:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Json = end.value
            return found

"""Jupyter messages (messaging protocol 5.4) as the kernel reads and builds them; no sockets."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from time import gmtime, strftime
from typing import Any

from . import clock
from .equivalents import cleaned, equivalent, is_iterator

VERSION = "5.4"
EMPTY = b"{}"
SHELL, IOPUB, CONTROL, STDIN = range(4)

try:
    import orjson
except ImportError:  # the interpreter of the settings need not have it
    orjson = None  # type: ignore[assignment]


class Request:
    """A message from the client: its parts as they came, decoded where they are needed."""

    __slots__ = ("_content", "_metadata", "buffers", "channel", "fds", "header", "idents", "raw_content", "raw_header",
                 "raw_metadata")  # fmt: skip

    def __init__(
        self, channel: int, parts: Sequence[bytes], *, idents: Sequence[bytes] = (), fds: Sequence[int] = ()
    ) -> None:
        """Raises ValueError for what is not a message: `parts` are header, parent, metadata, content and buffers."""
        if len(parts) < 4:
            msg = f"{len(parts)} parts are not a message"
            raise ValueError(msg)
        self.channel = channel
        self.idents = idents
        self.fds = fds
        self.raw_header = parts[0]
        self.raw_metadata = parts[2]
        self.raw_content = parts[3]
        self.buffers = parts[4:]
        self.header = _decode_object(parts[0], "header")
        if not isinstance(self.header.get("msg_type"), str):
            msg = "the header has no msg_type"
            raise ValueError(msg)
        self._content: dict[str, Any] | None = None
        self._metadata: dict[str, Any] | None = None

    @property
    def msg_type(self) -> str:
        """The header's msg_type."""
        msg_type: str = self.header["msg_type"]
        return msg_type

    @property
    def content(self) -> dict[str, Any]:
        """The decoded content. Raises ValueError where it is no JSON object."""
        if self._content is None:
            self._content = _decode_object(self.raw_content, "content")
        return self._content

    @property
    def metadata(self) -> dict[str, Any]:
        """The decoded metadata. Raises ValueError where it is no JSON object."""
        if self._metadata is None:
            self._metadata = {} if self.raw_metadata == EMPTY else _decode_object(self.raw_metadata, "metadata")
        return self._metadata

    def check(self) -> None:
        """Raises ValueError, and closes what descriptors came along, where the content or the metadata is no JSON object."""
        try:
            _ = self.content, self.metadata
        except ValueError:
            fds, self.fds = self.fds, ()
            for fd in fds:
                os.close(fd)
            raise

    def as_dict(self) -> dict[str, Any]:
        """The message in the form in which libraries (comm, ipywidgets) know it."""
        return {
            "header": self.header,
            "msg_id": self.header.get("msg_id", ""),
            "msg_type": self.msg_type,
            "parent_header": {},
            "metadata": self.metadata,
            "content": self.content,
            "buffers": [memoryview(buffer) for buffer in self.buffers],
        }


def _decode_object(raw: bytes, name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(raw) if orjson is not None else json.loads(raw)
    except (ValueError, RecursionError):
        msg = f"the {name} is no JSON"
        raise ValueError(msg) from None
    if not isinstance(value, dict):
        msg = f"the {name} is no JSON object"
        raise ValueError(msg)
    return value


class Session:
    """Numbers and dates the messages of one kernel."""

    def __init__(self) -> None:
        self.id = os.urandom(16).hex()
        self._numbers = itertools.count(1)
        self._second = 0
        self._second_text = ""

    def header(self, msg_type: str) -> bytes:
        """Make a header; none of its values needs escaping."""
        now = clock.now()
        if int(now) != self._second:
            self._second = int(now)
            self._second_text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(self._second))
        date = f"{self._second_text}.{int(now % 1 * 1_000_000):06d}Z"
        return (
            f'{{"msg_id":"{self.id}_{next(self._numbers)}","session":"{self.id}","username":"kernel",'
            f'"date":"{date}","msg_type":"{msg_type}","version":"{VERSION}"}}'
        ).encode()


def encode(value: Any) -> bytes:
    """Make JSON of anything that libraries put into messages: see equivalents.py."""
    return _encoded(value)[0]


def measure(value: Any) -> tuple[int, Any]:
    """Return the number of bytes that a value has as JSON, and the value to encode: where it held an iterator, another one."""
    raw, value = _encoded(value)
    return len(raw), value


def _encoded(value: Any) -> tuple[bytes, Any]:
    if orjson is not None:
        try:
            return orjson.dumps(value, default=_at_once, option=orjson.OPT_NON_STR_KEYS), value
        except (TypeError, ValueError, RecursionError) as error:
            # A lone surrogate, a large integer, a subclass of str as a key, an iterator: the slow way can.
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise error.__cause__ from None
    value = cleaned(value)
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode(), value


def _at_once(value: Any) -> Any:
    """What orjson takes instead of `value`. Raises TypeError for an iterator, which only the last attempt may read."""
    if is_iterator(value):
        raise TypeError
    return equivalent(value)

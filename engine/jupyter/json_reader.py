"""JSON that strangers wrote, read in small steps: checked, cut into its values, and made valid where kernels are known to be wrong.

Reading a large text takes many steps, so that others can work between two of them. No step is longer than a piece of 8 KiB takes, or
one of 128 KiB in a string (64 KiB if it has escapes): each byte is looked at a fixed number of times, and no value becomes an object."""

from __future__ import annotations

import re
from array import array
from collections.abc import Generator
from itertools import accumulate, islice
from typing import TypeVar

import msgspec

from engine.errors import MessageError
from engine.jupyter.values import Json, Text

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that is done step by step; it returns a value with the last one."""

MAX_DEPTH = 200  # of nested JSON; encoders, ours and clients', give up somewhat deeper
TOO_DEEP = f"content is nested more than {MAX_DEPTH} deep"
_PIECE = 8 * 1024  # bytes
_LONG = 128 * 1024  # bytes of a piece inside of a string, where there is less to do
_ESCAPED = 64 * 1024  # bytes of one that has escapes
_PART = 256 * 1024  # bytes that a part of a text has at least, but for the last
_MAX_NAME = 1000  # bytes of a member's name, where names are read

_WS = rb"[ \t\n\r]*+"
_CHARS = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'
_STRING = rb'"' + _CHARS + rb'"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_SCALAR = rb"(?:" + _STRING + rb"|true|false|null|NaN|-?Infinity|" + _NUMBER + rb")"


_scalar = re.compile(_SCALAR)
_name = re.compile(rb"(" + _STRING + rb")" + _WS + rb":" + _WS)
_space = re.compile(_WS)
_surrogate = re.compile(rb"\\u[dD][89a-fA-F]")
_half_pair = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
_escapes = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_text_decoder = msgspec.json.Decoder(str)
_checker = msgspec.json.Decoder(msgspec.Raw)
_bracket = re.compile(rb"[\[\]{}]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_LEVEL = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")  # one more is open, or one less
_CLOSE = bytes.maketrans(b"[{", b"]}")
_OPEN = {ord("["): b"[", ord("{"): b'{"":'}
_VALUE = {ord("["): b"0", ord("{"): b'"":0'}


class JsonReader:
    """Reads `data` from its beginning. Each method reads what comes next; all raise MessageError for what is not JSON."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._at = 0
        self._brackets = 0  # outside of strings, in the present value

    def next(self) -> bytes:
        """The first byte of what comes next; none at the end."""
        found = _space.match(self._data, self._at)
        self._at = found.end() if found is not None else self._at
        return bytes(self._data[self._at : self._at + 1])

    def names(self, most: int) -> Generator[str, None, None]:
        """The name of each member of the object that comes next; the caller reads its value before it asks for another.

        Raises MessageError for more than `most`."""
        if not self.skips(b"{"):
            raise self._wrong("is not a JSON object")
        if self.skips(b"}"):
            return
        for _ in range(most):
            self.next()
            found = _name.match(self._data, self._at, self._at + _MAX_NAME)
            if found is None:
                raise self._wrong("has no name of a member, or a long one,")
            self._at = found.end()
            yield _text_decoder.decode(_valid(found[1], in_string=True))
            if self.skips(b"}"):
                return
            if not self.skips(b","):
                raise self._wrong("has no comma")
        msg = f"content has more than {most} members in one object"
        raise MessageError(msg)

    def elements(self, most: int) -> Generator[None, None, None]:
        """Yields before each element of the list that comes next; the caller reads it. Raises MessageError for more than `most`."""
        if not self.skips(b"["):
            raise self._wrong("is not a JSON list")
        if self.skips(b"]"):
            return
        for _ in range(most):
            yield
            if self.skips(b"]"):
                return
            if not self.skips(b","):
                raise self._wrong("has no comma")
        msg = f"content has more than {most} elements in one list"
        raise MessageError(msg)

    def skips(self, byte: bytes) -> bool:
        """Whether that byte comes next, which is then read."""
        is_there = self.next() == byte
        self._at += is_there
        return is_there

    def end(self) -> None:
        if self.next():
            raise self._wrong("goes on")

    def text(self) -> Steps[Text]:
        """The string that comes next."""
        parts: list[str] = []
        part: list[str] = []
        size = held = 0
        for piece, text in self._string():
            part.append(text)
            held += len(piece) if b"\\" not in piece else len(text.encode())
            if held >= _PART:
                parts.append("".join(part))
                size, held = size + held, 0
                part.clear()
            yield
        parts.append("".join(part))
        return Text(parts, size + held)

    def json(self) -> Steps[Json]:
        """The value that comes next."""
        parts: list[bytes] = []
        self._brackets = 0
        first = self.next()
        if first == b'"':
            parts.append(b'"')
            for piece, _ in self._string():
                parts.append(piece)
                yield
            parts.append(b'"')
        elif first in (b"[", b"{"):
            for piece in self._container():
                if piece:
                    parts.append(piece)
                yield
        else:
            found = _scalar.match(self._data, self._at, self._at + _PIECE)
            if found is None:
                raise self._wrong("is not JSON")
            self._at = found.end()
            parts.append(_valid(found[0]))
        return Json(parts, sum(map(len, parts)), self._brackets // 2)

    def _string(self) -> Generator[tuple[bytes, str], None, None]:
        """What is between the quotes, in pieces that end between two characters, as JSON and as text."""
        self._at += 1
        most = _LONG
        while True:
            piece, is_last = _until_quote(bytes(self._data[self._at : self._at + most]))
            most = _ESCAPED if b"\\" in piece else _LONG
            if not piece and not is_last:
                raise self._wrong("has a string that does not end")
            try:
                valid, text = piece, _text_decoder.decode(b'"' + piece + b'"')
            except (msgspec.DecodeError, UnicodeDecodeError):
                valid, text = self._mended(piece)
            self._at += len(piece)
            yield valid, text
            if is_last:
                self._at += 1
                return

    def _mended(self, piece: bytes) -> tuple[bytes, str]:
        valid = _valid(piece, in_string=True)
        try:
            return valid, _text_decoder.decode(b'"' + valid + b'"')
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._wrong("is not JSON") from None

    def _container(self) -> Generator[bytes, None, None]:
        """A list or an object in pieces, each cut behind a comma and checked as a text of its own.

        What is open where a piece begins is written before it, what is open where it ends is closed behind it, and a 0 stands for
        the values that came before."""
        stack = b""  # the brackets that are open
        before = b""  # what has been read, in short
        while True:
            chunk = _Chunk(bytes(self._data[self._at : self._at + _PIECE]))
            end = chunk.end(len(stack))
            if end is not None:
                self._brackets += len(chunk.brackets(end))
                yield self._take(before, chunk.text[:end], b"")
                return
            if cut := chunk.last_comma():
                brackets = chunk.brackets(cut)
                self._brackets += len(brackets)
                stack = _still_open(stack + brackets)
                yield self._take(before, chunk.text[:cut], _VALUE[stack[-1]] + _closed(stack))
                before = _opened(stack) + b","
            elif chunk.string is not None:
                brackets = chunk.brackets(chunk.string)
                self._brackets += len(brackets)
                stack = _still_open(stack + brackets)
                text = chunk.text[: chunk.string]
                self._at += len(text)
                yield _valid(text) + b'"'
                for piece, _ in self._string():
                    yield piece
                yield b'"'
                is_name = self.next() == b":"
                self._check(before, text, (b'"":0' if is_name else b'""') + _closed(stack))
                before = _opened(stack)[: -2 if is_name else None]
            else:
                raise self._wrong("is not JSON")

    def _take(self, before: bytes, text: bytes, behind: bytes) -> bytes:
        """Check a piece, and go behind it; returns it valid."""
        valid = self._check(before, text, behind)
        self._at += len(text)
        return valid

    def _check(self, before: bytes, text: bytes, behind: bytes) -> bytes:
        valid = _valid(text)
        try:
            _checker.decode(b"".join((before, valid, behind)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._wrong("is not JSON") from None
        return valid

    def _wrong(self, what: str) -> MessageError:
        return MessageError(f"content {what} at byte {self._at}")


class _Chunk:
    """The text of the next bytes, which begins outside of strings. `string`: where the last one begins, which may go on behind it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        masked = text.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in text else text
        self._parts = masked.split(b'"')  # every second one is inside of a string
        last = self._parts[-1 if len(self._parts) % 2 == 0 else -2 :]
        self.string = len(text) - sum(len(part) + 1 for part in last) if len(self._parts) > 1 else None

    def brackets(self, end: int) -> bytes:
        """The brackets before that place, which is outside of strings."""
        found, at = [], 0
        for number, part in enumerate(self._parts):
            if number % 2 == 0:
                found.append(part[: end - at])
            at += len(part) + 1
            if at > end:
                break
        return b"".join(found).translate(None, _NO_BRACKETS)

    def end(self, depth: int) -> int | None:
        """Where the last of `depth` open brackets is closed, if it is. Raises MessageError for too many that are open at once."""
        brackets = b"".join(self._parts[::2]).translate(None, _NO_BRACKETS)
        levels = list(accumulate(array("b", brackets.translate(_LEVEL)), initial=depth))
        closed = levels.index(0, 1) if 0 in levels[1:] else len(levels)
        if max(levels[:closed]) > MAX_DEPTH:
            raise MessageError(TOO_DEEP)
        return None if closed == len(levels) else self._place(closed)

    def _place(self, number: int) -> int:
        """Where that bracket ends, counted from 1."""
        at = 0
        for index, part in enumerate(self._parts):
            if index % 2 == 0:
                count = len(part.translate(None, _NO_BRACKETS))
                if count >= number:
                    return at + next(islice(_bracket.finditer(part), number - 1, None)).end()
                number -= count
            at += len(part) + 1
        raise AssertionError("there are fewer brackets than there were")

    def with_constants_as_text(self) -> bytes:
        """The text with NaN and the infinities, which JSON does not have, as strings."""
        parts, at = [], 0
        for index, part in enumerate(self._parts):
            if index % 2 == 0:
                part = part.replace(b"NaN", b'"NaN"').replace(b"Infinity", b'"Infinity"')
                parts.append(part.replace(b'-"Infinity"', b'"-Infinity"'))
            else:
                parts.append(self.text[at : at + len(part)])
            at += len(self._parts[index]) + 1
        return b'"'.join(parts)

    def last_comma(self) -> int:
        """The place behind the last comma outside of strings; 0 where there is none."""
        at = len(self.text)
        for index in range(len(self._parts) - 1, -1, -1):
            part = self._parts[index]
            at -= len(part)
            if index % 2 == 0 and (found := part.rfind(b",")) >= 0:
                return at + found + 1
            at -= 1
        return 0


def _still_open(brackets: bytes) -> bytes:
    """The brackets that are not closed."""
    length = len(brackets) + 1
    while len(brackets) < length:
        length = len(brackets)
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if not brackets or b"]" in brackets or b"}" in brackets:
        raise MessageError("content has brackets that do not match")
    return brackets


def _opened(stack: bytes) -> bytes:
    """Those brackets, and a value in the last of them."""
    return b"".join([_OPEN[each] for each in stack[:-1]]) + _OPEN[stack[-1]][:1] + _VALUE[stack[-1]]


def _closed(stack: bytes) -> bytes:
    return stack[::-1].translate(_CLOSE)


def check_depth(text: bytes) -> None:
    """Raise MessageError for JSON, known to be well formed, that is nested too deep."""
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        _Chunk(text).end(0)


def check_valid(text: bytes) -> None:
    """Raise DecodeError, or UnicodeDecodeError, for JSON, known to be well formed, that strict readers do not take: bytes that are not
    UTF-8, half pairs. Raise MessageError for what is nested too deep."""
    if not text.isascii():
        text.decode()
    if b"\\u" in text and _surrogate.search(text) is not None and _valid(text) != text:
        raise msgspec.DecodeError("half of a surrogate pair")
    check_depth(text)


def _until_quote(piece: bytes) -> tuple[bytes, bool]:
    """What a piece inside of a string has up to the quote that ends it, or as much as is whole; and whether that quote is there."""
    if b"\\" not in piece:
        end = piece.find(b'"')
        return (piece[:end], True) if end >= 0 else (_whole_characters(piece), False)
    piece = piece[:_ESCAPED]
    end = piece.find(b'"')
    if end >= 0 and _is_escaped(piece, end):  # mostly more of them are
        end = piece.replace(b"\\\\", b"__").replace(b'\\"', b"__").find(b'"')
    if end >= 0:
        return piece[:end], True
    escape = piece.rfind(b"\\", -5)
    if escape >= 0 and not _is_escaped(piece, escape) and (escape == len(piece) - 1 or piece[escape + 1] == ord("u")):
        piece = piece[:escape]  # in which it ends
    return _whole_characters(piece), False


def _is_escaped(piece: bytes, at: int) -> bool:
    return (at - len(piece[:at].rstrip(b"\\"))) % 2 == 1


def _whole_characters(piece: bytes) -> bytes:
    """Without the beginning of a character at its end."""
    end = len(piece)
    while end > len(piece) - 4 and end and piece[end - 1] & 0xC0 == 0x80:
        end -= 1
    if end and piece[end - 1] >= 0xC0:
        end -= 1
    else:
        end = len(piece)
    whole = piece[:end]
    return (_half_pair.sub(b"", whole) if b"\\" in whole[-6:] else whole) or piece


def _valid(piece: bytes, *, in_string: bool = False) -> bytes:
    """The same with what kernels send in spite of JSON made valid: bytes that are not UTF-8, half pairs, NaN."""
    if not piece.isascii():
        try:
            piece.decode()
        except UnicodeDecodeError:
            piece = piece.decode("utf-8", "replace").encode()
    if b"\\u" in piece and _surrogate.search(piece) is not None:
        piece = _escapes.sub(lambda found: b"?" if found[1] else found[0], piece)
    if not in_string and (b"NaN" in piece or b"Infinity" in piece):
        piece = _Chunk(piece).with_constants_as_text()
    return piece

"""Forms with files: multipart/form-data read part by part as it comes, so that no file has to fit into memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from engine.errors import FieldError, InvalidRequest, RequestTooLarge

_MAX_BESIDES = 1024 * 1024  # bytes of headers and of fields that are no files
_MAX_PARTS = 1000
_PIECE = 64 * 1024  # bytes that are parsed in one turn of the loop
_Token = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file of a form. `chunks` has to be read before the next part is asked for."""

    field: str
    filename: str
    chunks: AsyncIterator[bytes]


class Form:
    """A form as it is sent. Raises InvalidRequest for what is none, and RequestTooLarge for one with too much besides its files."""

    def __init__(self, request: Request) -> None:
        kind, options = parse_options_header(request.headers.get("content-type"))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise _invalid("must be multipart/form-data, with a boundary")
        self._stream = request.stream()
        self._tokens: list[_Token] = []
        self._besides = self._parts = 0
        try:
            self._parser = MultipartParser(options[b"boundary"], self._callbacks())  # type: ignore[arg-type]
        except FormParserError as error:
            raise _invalid(str(error)) from None

    def _callbacks(self) -> dict[str, object]:
        def note_part() -> None:
            self._parts += 1
            if self._parts > _MAX_PARTS:
                raise _invalid(f"has more than {_MAX_PARTS} parts")
            self._tokens.append(("begin", b""))

        def note(kind: str) -> object:
            return lambda: self._tokens.append((kind, b""))

        def note_data(kind: str) -> object:
            return lambda data, start, end: self._tokens.append((kind, data[start:end]))

        return {
            "on_part_begin": note_part,
            "on_header_field": note_data("name"),
            "on_header_value": note_data("value"),
            "on_header_end": note("header"),
            "on_headers_finished": note("headers"),
            "on_part_data": note_data("data"),
            "on_part_end": note("end"),
            "on_end": note("form"),
        }

    async def files(self) -> AsyncIterator[FilePart]:
        """The parts that are files, in order; what is no file is passed over."""
        tokens = self._read()
        headers: dict[bytes, bytes] = {}
        name = value = b""
        async for kind, data in tokens:
            if kind != "data":
                self._count(data)
            if kind == "begin":
                headers, name, value = {}, b"", b""
            elif kind == "name":
                name += data
            elif kind == "value":
                value += data
            elif kind == "header":
                headers[name.lower()] = value
                name = value = b""
            elif kind == "headers":
                _, options = parse_options_header(headers.get(b"content-disposition"))
                chunks = _data_of(tokens)
                if b"filename" in options:
                    yield FilePart(_text(options.get(b"name", b"")), _text(options[b"filename"]), chunks)
                    async for _ in chunks:  # what its reader left of it
                        pass
                else:
                    async for chunk in chunks:
                        self._count(chunk)
            elif kind == "form":
                return
        raise _broken_off()

    async def _read(self) -> AsyncIterator[_Token]:
        async for chunk in self._stream:
            for start in range(0, len(chunk), _PIECE):
                if start:
                    await asyncio.sleep(0)  # what looks like boundaries takes long
                try:
                    self._parser.write(chunk[start : start + _PIECE])
                except FormParserError as error:
                    raise _invalid(str(error)) from None
                tokens, self._tokens = self._tokens, []
                for token in tokens:
                    yield token

    def _count(self, data: bytes) -> None:
        self._besides += len(data)
        if self._besides > _MAX_BESIDES:
            raise RequestTooLarge(_MAX_BESIDES)


async def _data_of(tokens: AsyncIterator[_Token]) -> AsyncIterator[bytes]:
    async for kind, data in tokens:
        if kind == "end":
            return
        yield data
    raise _broken_off()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _broken_off() -> InvalidRequest:
    return _invalid("ends before its last boundary")


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest(FieldError("body", problem))

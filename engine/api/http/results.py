"""Results of executions as JSON: encoded once for all that read the same one, and beside the loop when they are large."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
from collections.abc import Callable, Iterator
from functools import partial
from weakref import WeakValueDictionary

import msgspec
import orjson

from engine.api.http.large import PIECE, LargeResponse
from engine.api.http.parsing import beside_loop
from engine.contexts import Execution
from engine.models import Event, Logs, Result, encode
from engine.output import to_lines

LARGE = 64 * 1024  # bytes of output from which orjson, which is faster on long strings, encodes
_LONG = 1024 * 1024  # bytes from which encoding takes too much of the loop's time
_GROWTH = 12  # times these bytes are the most that orjson takes: every character an escape, in a buffer that doubles


class _Encoded:
    """A result that is encoded, or will be; it is there as long as somebody reads it."""

    def __init__(self, encoding: asyncio.Task[bytes]) -> None:
        self.encoding = encoding


_shared: WeakValueDictionary[tuple[str, str, int], _Encoded] = WeakValueDictionary()


async def result_response(
    execution: Execution, status: int = 200, headers: dict[str, str] | None = None
) -> LargeResponse:
    """The execution as it stands now."""
    if execution.size < LARGE:
        return LargeResponse(_encode_short(execution), status, headers, "application/json")

    def encoding() -> Callable[[], bytes]:
        return partial(
            encode_result, execution.result(logs=Logs([], [])), execution.stdout, execution.stderr, size=execution.size
        )

    return await _response(execution, "result", encoding, status, headers)


def _encode_short(execution: Execution) -> bytes:
    return bytes(encode(execution.result()))


async def events_response(execution: Execution, after: int) -> LargeResponse:
    """The events that are kept of those numbered above `after`."""

    def encoding() -> Callable[[], bytes]:
        last, finished = execution.journal.last, execution.is_finished
        return partial(encode_events, execution.journal.read(after), last=last, finished=finished)

    if execution.size < LARGE:
        return LargeResponse(encoding()(), media_type="application/json")
    return await _response(execution, f"events {after}", encoding)


async def _response(
    execution: Execution,
    what: str,
    encoding: Callable[[], Callable[[], bytes]],
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> LargeResponse:
    key = (execution.id, what, execution.revision)
    encoded = _shared.get(key)
    if encoded is None:
        task = asyncio.create_task(_encode(encoding(), execution.size))
        encoded = _shared[key] = _Encoded(task)
    response = LargeResponse(await asyncio.shield(encoded.encoding), status, headers, "application/json")
    response.shared = encoded
    return response


async def _encode(encode: Callable[[], bytes], size: int) -> bytes:
    return encode() if size < _LONG else await beside_loop(encode)


def encode_event(number: int, event: Event) -> bytes:
    """The event as JSON, with its number as `id`."""
    return b'{"id":%d,' % number + encode(event)[1:]


def encode_events(events: list[tuple[int, Event]], *, last: int, finished: bool) -> bytes:
    """A page of events."""
    listed = b",".join(encode_event(*each) for each in events)
    return b'{"events":[%b],"last":%d,"finished":%b}' % (listed, last, b"true" if finished else b"false")


def encode_result(result: Result, stdout: str, stderr: str, *, size: int) -> bytes:
    """A result whose logs are these texts. Their lines are never all there at once: there may be millions.

    `size` tells roughly how large it is. Raises MemoryError."""
    fields = memoryview(_encode_fields(result, size))[:-1]
    logs = (b',"logs":{"stdout":[', *_lines(stdout), b'],"stderr":[', *_lines(stderr), b"]}}")
    return b"".join((fields, *logs))


def _encode_fields(result: Result, size: int) -> bytes | bytearray:
    """The result without its logs."""
    if _can_have(_GROWTH * size):
        with contextlib.suppress(TypeError, ValueError):  # an integer beyond 64 bits in somebody's JSON
            fields = msgspec.to_builtins(result, builtin_types=(msgspec.Raw,))
            del fields["logs"]
            return orjson.dumps(fields, default=_stored)
    told = msgspec.structs.asdict(result)
    return encode({name: value for name, value in told.items() if name != "logs" and value is not msgspec.UNSET})


def _stored(value: object) -> orjson.Fragment:
    """JSON that a kernel sent is passed on as it is."""
    if isinstance(value, msgspec.Raw):
        return orjson.Fragment(bytes(value))
    raise TypeError


def _can_have(size: int) -> bool:
    """Whether there is this much memory. orjson crashes the process if not."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True


def _lines(text: str) -> Iterator[bytes | memoryview]:
    """The elements of the list of its lines, in pieces."""
    separator = b""
    for piece in pieces(text):
        yield separator
        yield memoryview(_encode_lines(piece))[1:-1]
        separator = b","


def _encode_lines(text: str) -> bytes | bytearray:
    lines = to_lines(text)
    if _can_have(_GROWTH * len(text)):
        with contextlib.suppress(TypeError):  # half of a surrogate pair
            return orjson.dumps(lines)
    return encode(lines)


def pieces(text: str) -> Iterator[str]:
    """The text in pieces of whole lines."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + PIECE) + 1 or len(text)
        yield text[start:end]
        start = end

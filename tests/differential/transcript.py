"""A cell's record as lines of text that are equal when a user sees the same: first the result as our API tells it, then the
facts that only a Jupyter client sees. Only what differs between two runs of one kernel is masked."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from engine.jupyter.messages import Channel, Message
from engine.models import Item
from engine.output.buffers import OutputLimits
from engine.output.normalizer import Normalizer, strip_ansi
from tests.differential.corpus import Cell
from tests.differential.recorder import Record

_LIMITS = OutputLimits(stream_bytes=1 << 22, item_bytes=1 << 24, items=500, output_bytes=1 << 26)
_RANDOM_ID = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # UUIDs
    r"|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
    r"|[0-9a-f]{8}-[0-9a-f]{24}_\d+_\d+"  # message ids
)
_ALWAYS = [
    (re.compile(r"\b0x[0-9a-fA-F]{6,}"), "<address>"),
    (re.compile(r"/tmp/ipykernel_\d+/\d+\.py"), "<cell file>"),
    (re.compile(r"\b\d{5,10}\.py(?=, line )"), "<cell file>"),
    (re.compile(r"\bT_[0-9a-f]{5}(?![0-9a-f])"), "<style id>"),
    (re.compile(r"(?<=tmp)[a-z0-9_]{8}\b"), "<random>"),
    # The same libraries run in both; where they are installed, and in which version, is not to be in the document.
    (re.compile(r"[~/][^\s\"':]{0,200}/(?:site-packages|lib/python3\.\d+)/"), "<lib>/"),
    (re.compile(r"(<lib>/\S+\.py):\d+"), r"\1:<line>"),
    (re.compile(r"(<lib>/\S+\.py\\?\", line )\d+"), r"\1<line>"),
    # Versions of Python point at different parts of a line in the traceback of a group.
    (re.compile(r"^\S+[ |]+\| +[~^]+\n|\\n[ |]+\| +[~^]+(?=\\n)", re.MULTILINE), ""),
]
# The first line of a traceback's frame that is the kernel's own code
_KERNEL_FRAME = re.compile(r"File \S*/(?:ipykernel|polyrepl_kernel)/\w+\.py:\d+, in ")
# What is not output, and so not in an order with it that means something: stock ipykernel does not flush streams before comms.
_APART = ("input_request", "comm_open", "comm_msg", "comm_close")
_KERNEL_FRAME_NAME = "File <the kernel>\n"
_VISIBLE = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}  # Unicode's control pictures
# What a reply says besides what is compared by name below.
_REPLY_FACTS = ("status", "execution_count", "user_expressions", "payload", "ename", "evalue")


class Masks:
    """Names for what is random in one kernel: the same id gets the same name in all cells of a group."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self._ids: dict[str, str] = {}

    def apply(self, text: str, extra: list[str]) -> str:
        text = text.replace(self._home, "<home>")
        for pattern, name in _ALWAYS:
            text = pattern.sub(name, text)
        for expression in extra:
            text = re.sub(expression, "<masked>", text)
        return _RANDOM_ID.sub(lambda found: self._ids.setdefault(found[0], f"<id {len(self._ids) + 1}>"), text)


def transcript(record: Record, cell: Cell, masks: Masks) -> list[str]:
    """The lines to compare."""
    for content in (record.reply, *(message["content"] for message in record.messages)):
        if "traceback" in content:
            content["traceback"] = _without_kernel_frames(content["traceback"])
    lines = [*_result(record, cell), *_facts(record, cell)]
    text = masks.apply("\n".join(lines), cell.options.mask)
    return text.translate(_VISIBLE).split("\n")


def _without_kernel_frames(traceback: list[str]) -> list[str]:
    """A traceback in which frames of the kernel's own code are named only so, several in a row once."""
    kept: list[str] = []
    for part in traceback:
        if not _KERNEL_FRAME.match(strip_ansi(part)):
            kept.append(part)
        elif not (kept and kept[-1] == _KERNEL_FRAME_NAME):
            kept.append(_KERNEL_FRAME_NAME)
    return kept


def _result(record: Record, cell: Cell) -> Iterator[str]:
    """What the API's users see."""
    normalizer = Normalizer(_LIMITS)
    for message in (*record.messages, *record.late):
        channel = Channel.STDIN if message["msg_type"] == "input_request" else Channel.IOPUB
        normalizer.feed(
            Message(channel, message["msg_type"], "", content=message["content"], metadata=message["metadata"])
        )
    if cell.options.request == "execute_request" and not cell.options.widget:
        normalizer.feed(Message(Channel.SHELL, "execute_reply", "", content=record.reply))
    normalizer.finish()
    for item in normalizer.items():
        yield from _item(item)
    logs = normalizer.logs()
    for name, lines in (("stdout", logs.stdout), ("stderr", logs.stderr)):
        yield from _labelled(name, sorted(set(lines)) if cell.options.loose else lines)
    if error := normalizer.error:
        yield from _labelled("error", [f"{error.name}: {error.value}"])
        yield from _labelled("traceback", error.traceback.split("\n"))
    if normalizer.execution_count is not None:
        yield f"execution_count| {normalizer.execution_count}"
    if normalizer.truncated() is not msgspec.UNSET:
        yield "truncated"


def _item(item: Item) -> Iterator[str]:
    fields = {name: value for name in item.__struct_fields__ if (value := getattr(item, name)) is not msgspec.UNSET}
    is_primary = fields.pop("is_primary")
    yield "item (primary)" if is_primary else "item"
    for name, value in fields.items():
        yield from _labelled(f"  {name}", _value(name, value).split("\n"))


def _value(name: str, value: Any) -> str:
    if name in ("png", "jpeg"):
        return _pixels(value)
    return value if isinstance(value, str) else _json(value)


def _pixels(data: str) -> str:
    """An image by what it shows: encoders may write the same pixels as other bytes."""
    raw = base64.b64decode(data)
    try:
        with Image.open(io.BytesIO(raw)) as image:
            digest = hashlib.sha256(image.convert("RGBA").tobytes()).hexdigest()
            return f"{image.format} {image.width}x{image.height}, pixels {digest[:12]}"
    except OSError:
        return f"no image: {data}"


def _facts(record: Record, cell: Cell) -> Iterator[str]:
    """What a Jupyter client sees beyond the result."""
    prompts: list[dict[str, Any]] = []
    for message in _merged(record.messages, keep_streams=not (cell.options.until or cell.options.loose)):
        content = message["content"]
        match message["msg_type"]:
            case "streams":
                yield from (f"message| stream {name} {json.dumps(text)}" for name, text in sorted(content.items()))
            case "execute_input":
                sent = "its code" if content["code"] == cell.code else json.dumps(content["code"])
                yield f"message| execute_input {content['execution_count']}, {sent}"
            case "error":
                yield "message| error"
                yield from _labelled("coloured", "\n".join(content["traceback"]).split("\n"))
            case "display_data" | "execute_result" | "update_display_data":
                more = {"transient": content.get("transient"), "count": content.get("execution_count")}
                yield f"message| {message['msg_type']} {_json(more)} {sorted(content['data'])}"
            case "input_request":
                prompts.append(content)
            case other:
                yield f"message| {other} {_json(content)} {[len(b) for b in message.get('buffers', ())]}"
    # They come on a channel of their own, so their place among the other messages means nothing.
    yield from (f"input_request| {_json(prompt)}" for prompt in prompts)
    if cell.options.request != "execute_request":
        yield from _labelled(
            "reply", json.dumps(record.reply, indent=1, sort_keys=True, ensure_ascii=False).split("\n")
        )
        return
    for name in _REPLY_FACTS:
        if name in record.reply:
            yield f"reply| {name} {_json(record.reply[name])}"
    if cell.options.ends:
        yield "the kernel ended" if record.ended else "the kernel stays"


def _merged(messages: list[dict[str, Any]], *, keep_streams: bool) -> Iterator[dict[str, Any]]:
    """The messages, streams between two others merged by name: when they are sent is a matter of timers."""
    pending: dict[str, str] = {}
    for message in messages:
        if message["msg_type"] in _APART:
            yield message
        elif message["msg_type"] == "stream":
            name = message["content"]["name"]
            pending[name] = pending.get(name, "") + message["content"]["text"]
        else:
            if pending and keep_streams:
                yield {"msg_type": "streams", "content": pending}
            pending = {}
            yield message
    if pending and keep_streams:
        yield {"msg_type": "streams", "content": pending}


def _labelled(label: str, lines: list[str]) -> Iterator[str]:
    return (f"{label}| {line}" for line in lines)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)

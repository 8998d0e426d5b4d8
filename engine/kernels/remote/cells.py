"""Code that runs in a Python kernel elsewhere: its source is sent in a silent cell. Nothing here is called on this side.

It uses what Python 3.8 knows, leaves no name behind, and fails as a whole where the kernel is not ipykernel."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

REPLAY = "polyrepl_replay"
"""Message type, without `_request` and `_reply`, on the control channel of a kernel that keeps its messages."""


def cell(function: Callable[..., Any], **arguments: Any) -> str:
    """A cell that calls `function` with these arguments, whose repr() is Python."""
    return f"exec({_source(function, arguments)!r}, {{}})"


def expression(function: Callable[..., Any], **arguments: Any) -> str:
    """An expression whose value is what `function` returns, called with these arguments."""
    return f"(lambda names: exec({_source(function, arguments)!r}, names) or names['result'])({{}})"


def _source(function: Callable[..., Any], arguments: dict[str, Any]) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"from __future__ import annotations\n{inspect.getsource(function)}\nresult = {function.__name__}({given})"


def keep_messages(msg_type: str, limit: int) -> None:
    """Keep the latest `limit` bytes of what the kernel sends, and answer `<msg_type>_request`s: those of a client that lost some.

    Content: `after` (a number), `missing` (pairs of first and last), `limit` (bytes). The reply has the messages, in the order
    they were sent, in its buffers, `parts` of each; `dropped` is the highest number that is not kept any more. Also has an
    answer to input() count once only, however often it comes."""
    import threading
    from collections import deque

    from IPython import get_ipython

    kernel = get_ipython().kernel
    session = kernel.session
    if f"{msg_type}_request" in kernel.control_handlers:
        return
    serialize, send, receive = session.serialize, session.send, session.recv
    kept: deque[Any] = deque()
    sums = {"bytes": 0, "dropped": 0}
    lock, here = threading.RLock(), threading.local()  # a signal's handler may send while its thread sends
    answered: deque[str] = deque(maxlen=16)
    unknown = 2**53

    def keep(message: Any, frames: Any) -> None:
        kind = message["header"]["msg_type"]
        if kind == f"{msg_type}_reply":
            return
        number = int(message["header"]["msg_id"].rpartition("_")[2])
        frames = [*frames, *(memoryview(each).tobytes() for each in getattr(here, "buffers", ()))]
        size = 500 + sum(map(len, frames))
        with lock:
            kept.append((number, kind, frames, size))
            sums["bytes"] += size
            while sums["bytes"] > limit:
                number, _, _, size = kept.popleft()
                sums["bytes"] -= size
                sums["dropped"] = max(sums["dropped"], number)

    def serialize_and_keep(message: Any, ident: Any = None) -> Any:
        frames = serialize(message, ident)
        try:
            keep(message, frames)
        except Exception:  # what is sent matters more; that something is not kept is told
            sums["dropped"] = unknown
        return frames

    def send_and_keep(
        stream: Any,
        what: Any,
        content: Any = None,
        parent: Any = None,
        ident: Any = None,
        buffers: Any = None,
        **more: Any,
    ) -> Any:
        here.buffers = buffers or (what.get("buffers") if isinstance(what, dict) else None) or ()
        try:
            return send(stream, what, content, parent, ident, buffers, **more)
        finally:
            here.buffers = ()

    def receive_once(*args: Any, **named: Any) -> Any:
        idents, message = receive(*args, **named)
        if message and message["header"]["msg_type"] == "input_reply":
            if message["header"]["msg_id"] in answered:
                return None, None
            answered.append(message["header"]["msg_id"])
        return idents, message

    def replay(stream: Any, ident: Any, parent: Any) -> None:
        content = parent["content"]
        wanted = [*content["missing"], (content["after"] + 1, unknown)]
        with lock:
            messages, dropped = list(kept), sums["dropped"]
        counts: list[int] = []
        buffers: list[bytes] = []
        left, more = content["limit"], False
        for number, kind, frames, size in messages:
            if not any(first <= number <= last for first, last in wanted):
                continue
            start = frames.index(b"<IDS|MSG>")
            is_personal = kind.endswith("_reply") or kind == "input_request"
            if is_personal and bytes(ident[0]) not in frames[:start]:
                continue
            if left < 0:
                more = True
                break
            left -= size
            parts = frames[start + 2 :]
            counts.append(len(parts))
            buffers += parts
        answer = {"status": "ok", "parts": counts, "dropped": dropped, "more": more}
        session.send(stream, f"{msg_type}_reply", answer, parent, ident=ident, buffers=buffers)

    session.serialize, session.send, session.recv = serialize_and_keep, send_and_keep, receive_once
    kernel.control_handlers[f"{msg_type}_request"] = replay


def reach_file(action: str, root: str, names: list[str], **given: Any) -> str:
    """Work on a file or directory of the kernel's machine, at `names` below `root` ("": where the kernel was started).

    Returns JSON: `done`; or `errno` and `reason`; or `instead`, the type of what is there and no file. No symbolic link below
    the root is followed."""
    import base64
    import errno
    import json
    import os
    import shutil
    import stat

    if not root:
        from IPython import get_ipython

        root = get_ipython().starting_dir

    def described(path: str, below: list[str]) -> dict[str, Any]:
        info = os.lstat(path)
        kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink"))
        kind = next((name for is_kind, name in kinds if is_kind(info.st_mode)), "other")
        etag = f"{info.st_mtime_ns:x}-{info.st_size:x}-{info.st_ino:x}"
        return {"path": "/".join(below), "type": kind, "size": info.st_size, "modified": info.st_mtime, "etag": etag}

    def directory(below: list[str]) -> str:
        path = root
        for name in below:
            path = os.path.join(path, name)
            if given.get("make") and not os.path.lexists(path):
                os.mkdir(path)
            if os.path.islink(path) or (os.path.exists(path) and not os.path.isdir(path)):
                raise OSError(errno.ENOTDIR, "leads through what is no directory")
        return path

    def regular(path: str, below: list[str]) -> dict[str, Any]:
        found = described(path, below)
        if found["type"] != "file":
            raise ValueError(found["type"])
        return found

    def entries(top: str, below: list[str]) -> Any:
        for name in sorted(os.listdir(top)):
            path, inner = os.path.join(top, name), [*below, name]
            try:
                name.encode()
                yield described(path, inner)
                if given["recursive"] and os.path.isdir(path) and not os.path.islink(path):
                    yield from entries(path, inner)
            except (OSError, UnicodeEncodeError):
                continue

    def listed() -> Any:
        after, found = given["after"], []
        for entry in entries(directory(names), names):
            if entry["path"].split("/") > after:
                found.append(entry)
            if len(found) > given["limit"]:
                break
        return found

    def done() -> Any:
        if action == "list":
            return listed()
        path = os.path.join(directory(names[:-1]), names[-1])
        if action == "look":
            return regular(path, names)
        if action == "read":
            with open(path, "rb") as file:
                file.seek(given["start"])
                return base64.b64encode(file.read(given["size"])).decode()
        if action == "write":  # the same part again does no harm
            part = os.path.join(os.path.dirname(path), given["part"])
            with open(part, "r+b" if given["start"] else "wb") as file:
                file.seek(given["start"])
                file.write(base64.b64decode(given["data"]))
            return None
        if action == "publish":
            part = os.path.join(os.path.dirname(path), given["part"])
            is_new = not os.path.lexists(path)
            if not is_new and not os.path.islink(path):
                regular(path, names)
            os.replace(part, path)
            return [described(path, names), is_new]
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        elif given["recursive"]:
            shutil.rmtree(path)
        else:
            os.rmdir(path)
        return None

    try:
        return json.dumps({"done": done()})
    except ValueError as error:
        return json.dumps({"instead": str(error)})
    except OSError as error:
        return json.dumps({"errno": error.errno or errno.EIO, "reason": error.strerror or str(error)})

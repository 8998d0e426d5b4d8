"""What a forked process is to become, as the server's request says it (``runtimes/README.md``)."""

from __future__ import annotations

import re
from typing import Any

from polyrepl_confine import confinement

_FDS = 6  # stream, stdin, and both ends of the pipes for stdout and stderr; then those of its confinement
_TAG = re.compile(r"[A-Za-z0-9_-]{1,12}")
_NAME = "pr-"

Message = dict[str, Any]


def process_name(tag: str) -> str:
    """What a kernel with this tag is called, and what is forked from it without an exec."""
    return f"{_NAME}{tag}"


class Start:
    """What a forked process is to become. The descriptors are owned by whoever has this."""

    def __init__(self, message: Message, fds: list[int]) -> None:
        """Raises ValueError that names what is wrong with the request."""
        self.cwd = message.get("cwd")
        self.env = message.get("env")
        self.tag = message.get("tag")
        self.argv = message.get("argv", [])
        self.stream_fd = message.get("stream_fd", -1)
        if not isinstance(self.cwd, str) or not self.cwd.startswith("/") or "\0" in self.cwd:
            raise ValueError("cwd is an absolute path")
        if not isinstance(self.env, dict) or not all(map(_is_variable, self.env.items())):
            raise ValueError("env is an object of strings")
        if not isinstance(self.tag, str) or not _TAG.fullmatch(self.tag):
            raise ValueError("tag is 1 to 12 letters, digits, _ or -")
        if not isinstance(self.argv, list) or not all(isinstance(each, str) and "\0" not in each for each in self.argv):
            raise ValueError("argv is a list of strings")
        if type(self.stream_fd) is not int:
            raise ValueError("stream_fd is a number")
        wanted = message.get("confinement", {})
        confinement.check(wanted)
        expected = _FDS + confinement.descriptors(wanted)
        if len(fds) != expected:
            raise ValueError(f"{len(fds)} descriptors instead of {expected}")
        self.fds = fds[:_FDS]
        self.confining = confinement.Confining(wanted, fds[_FDS:])


def _is_variable(item: tuple[str, Any]) -> bool:
    name, value = item
    return bool(name) and isinstance(value, str) and not {"=", "\0"} & set(name) and "\0" not in value

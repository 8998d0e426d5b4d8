"""What a box is to be, as the server's message says it (runtimes/README.md)."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

NETWORKS = ("none", "open")
_KNOWN = ("root", "read", "write", "network", "uid", "tmp_bytes", "shm_bytes", "devices", "mounts")
_DEFAULT_BYTES = 256 << 20


class Plan(NamedTuple):
    """One box. All paths are absolute and without links, except `read` and `mounts`."""

    root: str
    read: list[str]
    write: list[str]
    network: str
    uid: int | None
    tmp_bytes: int
    shm_bytes: int
    devices: list[str]
    mounts: list[tuple[str, str]]

    @classmethod
    def of(cls, message: Any) -> Plan:
        """Raises ValueError that names what is wrong."""
        if not isinstance(message, dict):
            raise ValueError("a plan is an object")
        for name in message:
            if name not in _KNOWN:
                raise ValueError(f"unknown in a plan: {name!r}; known: {', '.join(_KNOWN)}")
        uid = message.get("uid")
        if uid is not None and (type(uid) is not int or not 0 < uid < 1 << 31):
            raise ValueError("uid is null or a number above 0")
        if message.get("network", "none") not in NETWORKS:
            raise ValueError(f"network is one of: {', '.join(NETWORKS)}")
        mounts = message.get("mounts", [])
        if not isinstance(mounts, list) or not all(isinstance(each, list) and len(each) == 2 for each in mounts):
            raise ValueError("mounts is a list of pairs of paths")
        return cls(
            root=_path("root", message.get("root")),
            read=_paths("read", message),
            write=_paths("write", message),
            network=message.get("network", "none"),
            uid=uid,
            tmp_bytes=_bytes("tmp_bytes", message),
            shm_bytes=_bytes("shm_bytes", message),
            devices=_paths("devices", message),
            mounts=[(_path("mounts", source), _path("mounts", target)) for source, target in mounts],
        )


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or not value.startswith("/") or os.path.normpath(value) != value:
        raise ValueError(f"{name}: {value!r} is no absolute, normal path")
    if value == "/" or value.startswith("//"):
        raise ValueError(f"{name}: {value!r} would be the whole machine")
    return value


def _paths(name: str, message: dict[str, Any]) -> list[str]:
    values = message.get(name, [])
    if not isinstance(values, list):
        raise ValueError(f"{name} is a list of paths")
    return [_path(name, value) for value in values]


def _bytes(name: str, message: dict[str, Any]) -> int:
    value = message.get(name, _DEFAULT_BYTES)
    if type(value) is not int or value <= 0:
        raise ValueError(f"{name} is a number above 0")
    return value

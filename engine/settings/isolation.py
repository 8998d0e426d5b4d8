"""Settings of isolation: how far the code of contexts is contained, and what a request may choose."""

from __future__ import annotations

import os
import re
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from engine.settings.fields import Names, Paths, split_names

TierName = Literal["none", "process", "landlock", "namespaces"]
Network = Literal["none", "open"]
Networks = Annotated[list[Network], NoDecode, BeforeValidator(split_names)]
_UIDS = re.compile(r"(\d{1,10})-(\d{1,10})")
_MOST_UID = 2**31 - 2


class Tier(IntEnum):
    """How far the code of a context is contained; a later one holds all that an earlier one does. Only Landlock may be missing in boxes,
    where Linux has none: they show no file that it would refuse."""

    NONE = 0
    PROCESS = 1
    LANDLOCK = 2
    NAMESPACES = 3

    @classmethod
    def named(cls, name: str) -> Tier:
        return cls[name.upper()]

    @property
    def label(self) -> TierName:
        """As settings, requests and answers name it."""
        return _LABELS[self]

    @property
    def refuses_network(self) -> bool:
        """Whether code can be kept from the network."""
        return self >= Tier.LANDLOCK


_LABELS: dict[Tier, TierName] = {
    Tier.NONE: "none",
    Tier.PROCESS: "process",
    Tier.LANDLOCK: "landlock",
    Tier.NAMESPACES: "namespaces",
}
TIERS: tuple[TierName, ...] = tuple(_LABELS.values())


class Isolation(BaseModel):
    isolation: Literal["auto", "none", "process", "landlock", "namespaces"] = Field(
        "auto",
        description="How far the code of contexts is isolated: none, process, landlock or namespaces. auto: the strongest that works "
        "on this machine.",
    )
    isolation_required: TierName | None = Field(
        None,
        description="The server does not start if it cannot isolate contexts at least this far. Default: any isolation.",
    )
    isolation_lowest: TierName | None = Field(
        None, description="The weakest isolation that a request may choose. Default: the isolation of the server."
    )
    network: Network | None = Field(
        None,
        description="Network of contexts: none, or open. Default: none with the isolation landlock or namespaces, else open.",
    )
    networks_allowed: Networks | None = Field(
        None, description="Networks that a request may choose: none, open, or both. Default: `network`."
    )
    read_only_mounts: Names = Field(
        [],
        description="Files and directories that isolated code can read, such as data sets: /data, or /srv/data:/data for another "
        "path inside.",
    )
    devices: Paths = Field([], description="Devices that isolated code can use, such as /dev/nvidia0.")
    context_uids: str = Field(
        "50000-59999",
        description="Range of user ids for contexts, if the server runs as root. Each context has its own. Ids in /etc/passwd are "
        "not used.",
    )

    @field_validator("context_uids")
    @classmethod
    def _check_uids(cls, value: str) -> str:
        found = _UIDS.fullmatch(value)
        if found is None or not 1 <= int(found[1]) <= int(found[2]) <= _MOST_UID:
            msg = f"{value!r} is no range of user ids; allowed: 1-{_MOST_UID}, such as 50000-59999"
            raise ValueError(msg)
        return value

    @field_validator("read_only_mounts")
    @classmethod
    def _check_mounts(cls, mounts: list[str]) -> list[str]:
        for mount in mounts:
            for path in mount.split(":", 1):
                if not os.path.isabs(path) or os.path.normpath(path) == "/" or "\0" in path:
                    msg = f"{mount!r} is no mount; allowed: an absolute path, or two with a colon between"
                    raise ValueError(msg)
        return mounts

    @field_validator("devices")
    @classmethod
    def _check_devices(cls, devices: list[Path]) -> list[Path]:
        for device in devices:
            if not device.is_relative_to("/dev"):
                msg = f"{str(device)!r} is no device; allowed: paths in /dev"
                raise ValueError(msg)
        return devices

    @property
    def uid_range(self) -> tuple[int, int]:
        """The first and the last of `context_uids`."""
        first, last = self.context_uids.split("-")
        return int(first), int(last)

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """From where to where, of `read_only_mounts`."""
        return [(parts[0], parts[-1]) for parts in (mount.split(":", 1) for mount in self.read_only_mounts)]

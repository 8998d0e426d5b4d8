"""Which control groups this server can use, found out by making one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.kernels.limiting import version1
from engine.kernels.limiting.cgroups import Cgroups, own_groups, read
from engine.kernels.limiting.version1 import Version1
from engine.kernels.limiting.version2 import Version2
from engine.log import get_logger
from engine.settings import Limits

_TRIAL = Limits(cpus=1, processes=64)


def find_cgroups() -> Cgroups | None:
    """Those of version 2, or else of version 1; None where the server may write to neither. Blocks."""
    try:
        places = own_groups(read(Path("/proc/self/mountinfo")), read(Path("/proc/self/cgroup")))
    except OSError:
        return None
    return choose(places)


def choose(places: Mapping[str, Path]) -> Cgroups | None:
    """The best of those in `places`: our own group for each controller, that of version 2 under the empty name."""
    if "" in places:
        try:
            return _tried(Version2(places[""]))
        except OSError as error:
            get_logger().debug("cgroup_v2_not_usable", reason=error.strerror or str(error))
    usable = {
        name: places[name] for name in version1.CONTROLLERS if name in places and os.access(places[name], os.W_OK)
    }
    if usable:
        try:
            return _tried(Version1(usable))
        except OSError as error:
            get_logger().debug("cgroup_v1_not_usable", reason=error.strerror or str(error))
    return None


def _tried(cgroups: Cgroups) -> Cgroups:
    """These, once one group could be made and limited. Raises OSError; nothing is left then."""
    try:
        group = cgroups.make("trial", _TRIAL)
        try:
            if "memory" in cgroups.controllers:
                group.set_memory(1 << 30)
        finally:
            group.remove()
    except OSError:
        cgroups.close()
        raise
    return cgroups

"""Users for contexts: which numbers the system uses itself."""

from __future__ import annotations

import grp
import pwd


def system_uids() -> frozenset[int]:
    """The numbers of users and groups that this machine knows: none of them is a context's."""
    return frozenset([*(each.pw_uid for each in pwd.getpwall()), *(each.gr_gid for each in grp.getgrall())])

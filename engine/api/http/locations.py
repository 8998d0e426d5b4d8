"""What a setting names by a path or a URL, read."""

from __future__ import annotations

import urllib.request
from pathlib import Path

_FETCH_TIMEOUT = 20.0  # seconds without a byte
_MAX_BYTES = 32 * 1024 * 1024


def read_location(location: str) -> bytes:
    """What is at a path or a URL. Raises OSError or ValueError."""
    if not location.startswith(("http://", "https://", "file://")):
        return Path(location).read_bytes()
    with urllib.request.urlopen(location, timeout=_FETCH_TIMEOUT) as response:  # noqa: S310 - its scheme was looked at
        raw: bytes = response.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        msg = f"it is larger than {_MAX_BYTES} bytes"
        raise ValueError(msg)
    return raw

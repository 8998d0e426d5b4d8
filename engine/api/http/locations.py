"""What a setting names by a path or a URL, read."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote

_FETCH_TIMEOUT = 20.0  # seconds without a byte
_IN_URLS = "%/:?#[]@!$&'()*+,;="  # what else a URL may have besides letters and digits: spaces are sent as %20
_MAX_BYTES = 32 * 1024 * 1024


def read_location(location: str) -> bytes:
    """What is at a path or a URL. Raises OSError or ValueError."""
    if not location.startswith(("http://", "https://", "file://")):
        return Path(location).read_bytes()
    written = quote(location, safe=_IN_URLS)
    try:
        with urllib.request.urlopen(written, timeout=_FETCH_TIMEOUT) as response:  # noqa: S310 - its scheme was looked at
            raw: bytes = response.read(_MAX_BYTES + 1)
    except HTTPException as error:
        msg = f"its server does not speak HTTP: {type(error).__name__}"
        raise ValueError(msg) from None
    if len(raw) > _MAX_BYTES:
        msg = f"it is larger than {_MAX_BYTES} bytes"
        raise ValueError(msg)
    return raw

"""Frames as a kernel of ours sends them, for tests that stand in for one."""

from __future__ import annotations

from collections.abc import Sequence

from engine.jupyter import Channel, frame_pieces


def encode_frame(channel: Channel, parts: Sequence[bytes]) -> bytes:
    """The bytes of a frame. Raises MessageError for one that the other side would refuse."""
    return b"".join(frame_pieces(channel, parts))

"""Frames: what one side joins the other cuts, wherever the stream is cut; what is no frame is refused at its first bytes."""

from __future__ import annotations

import itertools
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MessageError
from engine.jupyter.frames import MAX_FRAME, MAX_PARTS, VERSION, Frame, FrameDecoder, frame_pieces
from engine.jupyter.messages import Channel
from tests.harness.frames import encode_frame

frames = st.builds(Frame, st.sampled_from(Channel), st.lists(st.binary(max_size=300), min_size=4, max_size=8))


def decode(*pieces: bytes) -> list[Frame]:
    decoder = FrameDecoder()
    found: list[Frame] = []
    for piece in pieces:
        decoder.feed(piece)
        while (frame := decoder.take()) is not None:
            found.append(frame)
    assert decoder.held == 0
    return found


def head(length: int, *, version: int = VERSION, channel: int = 1, count: int = 4) -> bytes:
    return struct.pack("<IBBH", length, version, channel, count)


@given(st.lists(frames, max_size=5))
def test_what_one_side_encodes_the_other_decodes(sent: list[Frame]):
    assert decode(b"".join(encode_frame(*frame) for frame in sent)) == sent


@given(st.lists(frames, min_size=1, max_size=4))
def test_a_stream_that_comes_byte_by_byte_gives_the_same_frames(sent: list[Frame]):
    stream = b"".join(encode_frame(*frame) for frame in sent)
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == sent


@given(st.lists(frames, min_size=1, max_size=6), st.lists(st.integers(0, 3000), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_frames(sent: list[Frame], cuts: list[int]):
    stream = b"".join(encode_frame(*frame) for frame in sent)
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert decode(*pieces) == sent


@given(st.lists(st.sampled_from([b"", b"small", b"l" * 300_000, b"L" * 400_000]), min_size=4, max_size=7))
def test_a_large_part_is_a_piece_of_its_own_and_no_copy(parts: list[bytes]):
    pieces = frame_pieces(Channel.SHELL, parts)
    assert decode(b"".join(pieces)) == [Frame(Channel.SHELL, parts)]
    assert [id(piece) for piece in pieces if len(piece) > 300_000 - 1] == [
        id(part) for part in parts if len(part) > 1000
    ]


def test_parts_are_bytes_whether_a_frame_came_whole_or_in_pieces():
    stream = encode_frame(Channel.IOPUB, [b"h", b"p", b"m", b"c", b"buffer"])
    for pieces in ([stream], [stream[:11], stream[11:]]):
        ((channel, parts),) = decode(*pieces)
        assert channel is Channel.IOPUB
        assert all(type(part) is bytes for part in parts)


def test_a_large_frame_in_pieces_is_held_once():
    parts = [b"{}", b"{}", b"{}", b"x" * 12_000_000]
    stream = encode_frame(Channel.IOPUB, parts)
    pieces = [stream[at : at + 200_000] for at in range(0, len(stream), 200_000)]
    tracemalloc.start()
    try:
        assert decode(*pieces) == [(Channel.IOPUB, parts)]
        assert tracemalloc.get_traced_memory()[1] < 3 * len(stream)
    finally:
        tracemalloc.stop()


def test_a_claimed_length_costs_no_memory():
    tracemalloc.start()
    try:
        decoder = FrameDecoder()
        decoder.feed(head(MAX_FRAME) + b"abc")
        assert decoder.take() is None
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


NO_FRAMES = {
    "junk": (b"GET / HTTP/1.1\r\n\r\n", "version 47"),
    "another version": (head(100, version=2), "version 2"),
    "a length above the limit": (head(MAX_FRAME + 1), str(MAX_FRAME + 1)),
    "the largest length": (head(2**32 - 1), str(2**32 - 1)),
    "no length at all": (bytes(8), "version 0"),
    "an unknown channel": (head(100, channel=4), "channel 4"),
    "no parts": (head(4, count=0), "0 parts"),
    "three parts": (head(100, count=3), "3 parts"),
    "more parts than allowed": (head(1_000_000, count=MAX_PARTS + 1), f"{MAX_PARTS + 1} parts"),
    "no room for the sizes": (head(19), "no room"),
    "sizes that add up to less": (head(24) + struct.pack("<4I", 1, 1, 1, 0) + b"1234", "add up to 3"),
    "sizes that add up to more": (head(24) + struct.pack("<4I", 1, 1, 1, 2) + b"1234", "add up to 5"),
    "sizes that overflow": (head(24) + struct.pack("<4I", *[2**32 - 1] * 3, 7) + b"1234", "add up to"),
}


@pytest.mark.parametrize("name", NO_FRAMES)
def test_what_is_no_frame_is_refused_with_its_reason_and_so_is_all_that_follows(name: str):
    junk, reason = NO_FRAMES[name]
    decoder = FrameDecoder()
    good = encode_frame(Channel.SHELL, [b"{}"] * 4)
    decoder.feed(good + junk)
    assert decoder.take() == (Channel.SHELL, [b"{}"] * 4)
    for _ in range(2):
        with pytest.raises(MessageError, match=reason):
            decoder.take()
        decoder.feed(good)
        assert decoder.held == 0


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes_are_frames_or_a_message_error(pieces: list[bytes]):
    decoder = FrameDecoder()
    try:
        for piece in pieces:
            decoder.feed(piece)
            while decoder.take() is not None:
                pass
    except MessageError:
        assert decoder.held == 0


@pytest.mark.parametrize("parts", [[], [b"{}"] * 3, [b""] * (MAX_PARTS + 1), [b"", b"", b"", bytes(MAX_FRAME)]])
def test_a_frame_that_the_other_side_would_refuse_is_not_made(parts: list[bytes]):
    with pytest.raises(MessageError, match="cannot be sent"):
        encode_frame(Channel.SHELL, parts)

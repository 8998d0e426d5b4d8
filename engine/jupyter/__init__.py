"""The Jupyter messaging protocol as values: messages, frames, MIME bundles and connection files. Pure."""

from engine.jupyter.client_frames import ClientMessage, Outgoing, read_frame
from engine.jupyter.contents import EMPTY
from engine.jupyter.frames import MAX_FRAME, Frame, FrameDecoder, frame_pieces
from engine.jupyter.json_reader import Steps
from engine.jupyter.messages import DELIMITER, Channel, Message, Session, encode_header
from engine.jupyter.mime import FIELDS, is_count, members_of, to_bundle, to_item, utf8_size
from engine.jupyter.values import Json, Text
from engine.jupyter.websocket_frames import V1, Parts, decode_legacy, decode_v1, encode_legacy, encode_v1

__all__ = [
    "DELIMITER",
    "EMPTY",
    "FIELDS",
    "MAX_FRAME",
    "V1",
    "Channel",
    "ClientMessage",
    "Frame",
    "FrameDecoder",
    "Json",
    "Message",
    "Outgoing",
    "Parts",
    "Session",
    "Steps",
    "Text",
    "decode_legacy",
    "decode_v1",
    "encode_header",
    "encode_legacy",
    "encode_v1",
    "frame_pieces",
    "is_count",
    "members_of",
    "read_frame",
    "to_bundle",
    "to_item",
    "utf8_size",
]

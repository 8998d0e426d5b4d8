"""The channels to one kernel: one interface, whatever carries the messages."""

from engine.kernels.channels.channels import Channels, Listener, MakeChannels, Receiver
from engine.kernels.channels.stream import StreamChannels, stream_pair
from engine.kernels.channels.zmq import ZmqChannels

__all__ = ["Channels", "Listener", "MakeChannels", "Receiver", "StreamChannels", "ZmqChannels", "stream_pair"]

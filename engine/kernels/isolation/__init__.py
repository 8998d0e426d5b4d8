"""Isolation: how far the code of contexts is contained, the boxes that contain it, and what works on this machine."""

from engine.kernels.isolation.box import Box
from engine.kernels.isolation.isolator import OPEN, EnclosedTool, Enclosure, Isolator

__all__ = ["OPEN", "Box", "EnclosedTool", "Enclosure", "Isolator"]

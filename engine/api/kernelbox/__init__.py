"""The dialect of KernelBox."""

from engine.api.kernelbox.dialect import KERNELBOX

__all__ = ["KERNELBOX"]

"""Kernels on a remote Jupyter: a Jupyter Server, Kernel Gateway or Enterprise Gateway."""

from engine.kernels.remote.backend import RemoteJupyter

__all__ = ["RemoteJupyter"]

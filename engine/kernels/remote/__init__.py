"""Kernels on a remote Jupyter: a Jupyter Server, Kernel Gateway or Enterprise Gateway."""

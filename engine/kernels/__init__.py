"""Kernels: how one is found, started, reached, limited and ended."""

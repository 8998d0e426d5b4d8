"""Limits of contexts, with real kernels of both languages: every limit hit in the ways that code has."""

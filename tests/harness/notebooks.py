"""Notebooks that are served as APIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def raw(*cells: str | list[str], **metadata: Any) -> bytes:
    """A notebook's file with these cells of code."""
    made = [{"cell_type": "code", "source": source, "metadata": {}} for source in cells]
    return json.dumps({"nbformat": 4, "metadata": metadata, "cells": made}).encode()


def notebook(path: Path, *cells: str, kernel: str = "python3", language: str = "python") -> Path:
    """Write a notebook with these cells."""
    path.write_bytes(raw(*cells, kernelspec={"name": kernel}, language_info={"name": language}))
    return path

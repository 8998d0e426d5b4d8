"""Notebooks: the executions of a context as a notebook, a script or a page, and notebooks that are read to be run. Pure."""

from engine.contexts.notebooks.cells import Cell, Origin, snapshot
from engine.contexts.notebooks.formats import FORMATS, Format, writer
from engine.contexts.notebooks.notebook import outputs_of
from engine.contexts.notebooks.reading import BadNotebook, CodeCell, Document, read_notebook

__all__ = [
    "FORMATS",
    "BadNotebook",
    "Cell",
    "CodeCell",
    "Document",
    "Format",
    "Origin",
    "outputs_of",
    "read_notebook",
    "snapshot",
    "writer",
]

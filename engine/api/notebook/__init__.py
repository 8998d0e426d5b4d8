"""The notebook dialect: an annotated notebook served as an API, as the Kernel Gateway's mode notebook-http does."""

from engine.api.notebook.kernels import NotebookKernels
from engine.api.notebook.routes import is_served, load_notebook

__all__ = ["NotebookKernels", "is_served", "load_notebook"]

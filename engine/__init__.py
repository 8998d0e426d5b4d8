"""polyrepl: a multi-language REPL execution engine on Jupyter kernels."""

__version__ = "0.1.0"

"""The command line: `polyrepl serve`, `run`, `repl`, `kernels`, `doctor`, `tools` and `mcp`."""

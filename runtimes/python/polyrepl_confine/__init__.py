"""What keeps the code of a context inside it: boxes (namespaces), and what a process puts on itself.

Standard library and ctypes only. `runtimes/README.md` has the messages by which the server asks for it."""

"""What keeps a context's code inside its context, as seen from the processes that start it: boxes (namespaces), and what a process puts on itself.

Standard library and ctypes only. `runtimes/README.md` has the messages by which the server asks for it."""

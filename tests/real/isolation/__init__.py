"""Boxes and what is in them, by the messages of the spawner and the zygote (``runtimes/README.md``)."""

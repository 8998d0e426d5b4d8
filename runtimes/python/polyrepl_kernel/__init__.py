"""A Jupyter kernel for Python around IPython's InteractiveShell: one thread with one loop, and one helper thread.

Runs inside users' kernel processes, under whatever interpreter the settings name; needs only what ipykernel needs."""

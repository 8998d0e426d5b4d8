"""Start ipykernel as one of our kernels: ``python launch_ipykernel.py -f CONNECTION_FILE``."""

import os
import sys


def main() -> None:
    """Import the kernel from this directory and run it, leaving no trace of the directory on ``sys.path``."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [here, *(entry for entry in sys.path if entry != here)]
    try:
        from polyrepl_ipykernel import launch
    finally:
        # What the kernel imports later finds its siblings through the package itself.
        sys.path.remove(here)
    launch()


if __name__ == "__main__":
    main()

"""Start one of our Python kernels: ``python launch.py -f CONNECTION_FILE`` (or the zygote: ``[--world FD] --zygote FD``)."""

import os
import sys


def _main() -> None:
    """Import the kernel from this directory and run it, leaving no trace of the directory on ``sys.path``."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [here, *(entry for entry in sys.path if entry != here)]
    try:
        from polyrepl_confine import world
        from polyrepl_kernel.lifetime import die_with_parent

        # What follows takes a second, in which nothing would notice the end of the server.
        die_with_parent(int(os.environ.get("JPY_PARENT_PID") or 0))
        if place := world.taken_from(sys.argv):
            world.enter(int(place))  # before anything that is imported starts a thread
        from polyrepl_kernel.app import main
    finally:
        # What the kernel imports later finds its siblings through the package itself.
        sys.path.remove(here)
    main(sys.argv[1:])


if __name__ == "__main__":
    _main()

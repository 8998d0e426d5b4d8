"""Start stock ipykernel with the packages of its context: ``python stock.py -f CONNECTION_FILE``."""

import os
import runpy
import sys


def _main() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [here, *(entry for entry in sys.path if entry != here)]
    from polyrepl_kernel.packages import Packages

    sys.path.remove(here)
    packages = Packages()
    packages.refresh()
    packages.watch_imports()
    packages.child_starts()  # for good: nobody tells it of cells
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()

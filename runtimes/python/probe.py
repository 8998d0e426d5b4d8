"""Try what a process can put on itself on this machine: ``python -I -S probe.py`` (runtimes/README.md)."""

import os
import sys


def _main() -> None:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from polyrepl_confine import probe

    probe.main()


if __name__ == "__main__":
    _main()

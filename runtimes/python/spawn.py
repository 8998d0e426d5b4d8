"""Start the spawner: ``python -I -S spawn.py --zygote FD``."""

import os
import sys


def _main() -> None:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from polyrepl_kernel.spawner import main

    main(int(sys.argv[2]))


if __name__ == "__main__":
    _main()

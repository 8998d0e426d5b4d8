"""Start the spawner: ``python -I -S spawn.py --zygote FD [--world new|FD]``."""

import os
import sys


def _main() -> None:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from polyrepl_confine import world
    from polyrepl_kernel.spawner import main

    place = world.taken_from(sys.argv)
    main(int(sys.argv[2]), place)


if __name__ == "__main__":
    _main()

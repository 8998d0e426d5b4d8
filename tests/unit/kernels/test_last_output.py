"""What a dead kernel has left in its pipes is read without waiting, whoever else holds the pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from jupyter_client.kernelspec import KernelSpec

from engine.kernels.provisioners import ForkProvisioner
from engine.kernels.provisioners.provisioner import Exit

_HAMMER = """
import fcntl, sys
fd = int(sys.argv[1])
print(flush=True)
while True:
    fcntl.fcntl(fd, fcntl.F_SETFL, 0)
"""


def test_a_process_that_shares_the_flags_of_a_pipe_does_not_have_us_wait():
    reader, writer = os.pipe()
    os.write(writer, b"last words")
    provisioner = ForkProvisioner(None, metrics=None, mark="k", pipes={"stdout": reader}, kernel_spec=KernelSpec())
    provisioner.exit = Exit(3)
    found: list[tuple[str, str]] = []
    reading = threading.Thread(target=lambda: found.extend(provisioner.read_output()), daemon=True)
    command = [sys.executable, "-I", "-S", "-c", _HAMMER, str(reader)]
    with subprocess.Popen(command, pass_fds=[reader, writer], stdout=subprocess.PIPE) as hammer:
        assert hammer.stdout is not None
        hammer.stdout.readline()
        reading.start()
        reading.join(30)
        hammer.kill()
    os.close(writer)
    assert found == [("stdout", "last words")]
    assert not os.path.exists(f"/proc/self/fd/{reader}")

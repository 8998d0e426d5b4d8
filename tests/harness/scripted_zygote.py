"""A zygote that plays a script instead of forking kernels: `python scripted_zygote.py SCRIPT --zygote FD`.

The script is a JSON list of steps. A step sends a message, with as many descriptors as `fds` says; `{"after": op}` waits for a
request of that kind before the next step, and gives its id to what follows as `ID`; `{"child": true}` starts a process, whose
number follows as `PID`; `{"end": true}` ends it; `{"print": text}` and `{"exit": code}` do what they say."""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import sys
from typing import Any

HELLO = {
    "op": "hello",
    "pid": 2,
    "preloaded": ["json"],
    "failed": {},
    "watched": {},
    "threads": 1,
    "boot_ms": 1,
    "huge_page_bytes": 0,
}


def command(script: list[dict[str, Any]]) -> list[str]:
    """What starts a zygote with this script."""
    return [sys.executable, __file__, json.dumps(script)]


class Player:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.values: dict[str, Any] = {}

    def play(self, step: dict[str, Any]) -> None:
        if "after" in step:
            while True:
                data, fds, _, _ = socket.recv_fds(self.connection, 1 << 18, 16)
                if not data:
                    sys.exit()
                for fd in fds:
                    os.close(fd)
                message = json.loads(data)
                if message["op"] == step["after"]:
                    self.values["ID"] = message["id"]
                    return
        elif "child" in step:
            tests = os.pidfd_open(os.getppid())
            pid = os.fork()
            if pid == 0:
                self.connection.close()
                os.setsid()
                select.select([tests], [], [])  # it may outlive the zygote, and not the tests
                os._exit(0)
            os.close(tests)
            self.values["PID"] = pid
        elif "end" in step:
            os.kill(self.values["PID"], signal.SIGKILL)
            self.values["STATUS"] = os.waitpid(self.values["PID"], 0)[1]
        elif "print" in step:
            print(step["print"], flush=True)
        elif "exit" in step:
            os._exit(step["exit"])
        elif "raw" in step:
            self.connection.send(step["raw"].encode())
        else:
            self.send(dict(step))

    def send(self, message: dict[str, Any]) -> None:
        fds = [os.pidfd_open(self.values.get("PID", os.getpid())) for _ in range(message.pop("fds", 0))]
        filled = {
            key: self.values.get(value, value) if isinstance(value, str) else value for key, value in message.items()
        }
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.connection.sendmsg([json.dumps(filled).encode()], rights)
        for fd in fds:
            os.close(fd)


def main() -> None:
    player = Player(socket.socket(fileno=int(sys.argv[sys.argv.index("--zygote") + 1])))
    for step in json.loads(sys.argv[1]):
        player.play(step)
    player.play({"after": "the end of the connection"})


if __name__ == "__main__":
    main()

"""Run a kernel that can only listen on TCP ports, and pass what comes through unix sockets on to these ports:
``python relay.py PLACE PORT... -- PROGRAM ARGUMENT...``. Socket PLACE-1 leads to the first port, and so on.

In a box without a network the ports of its own 127.0.0.1 are out of the server's reach; its sockets in a shared directory are not."""

import contextlib
import os
import socket
import sys
import threading
import time

_RETRY = 0.02  # seconds until the kernel may listen
_CHUNK = 65536


def _main() -> None:
    place, *rest = sys.argv[1:]
    end = rest.index("--")
    listeners = []
    for number, _ in enumerate(rest[:end], 1):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{place}-{number}")
        listener.listen(16)
        listeners.append(listener)
    if os.fork() == 0:
        _relay(list(zip(listeners, map(int, rest[:end]), strict=True)))
    for listener in listeners:
        listener.close()
    command = rest[end + 1 :]
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


def _relay(pairs: "list[tuple[socket.socket, int]]") -> None:
    """Until the program has ended. Signals to its group are not for us."""
    kernel = os.getppid()
    os.setsid()
    for listener, port in pairs:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
    while os.getppid() == kernel:
        time.sleep(1.0)
    os._exit(0)


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, port), daemon=True).start()


def _serve(client: socket.socket, port: int) -> None:
    while True:
        try:
            kernel = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            time.sleep(_RETRY)
    kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=_pass_on, args=(kernel, client), daemon=True).start()
    _pass_on(client, kernel)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # one side is gone
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    _main()

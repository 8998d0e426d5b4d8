"""The network, and machines that refuse parts of the isolation: checks 29 and 30."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.hostile.check import check, scene
from tests.hostile.prelude import *  # noqa: F403 - what the attack's text begins with

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

# ruff: noqa: F405


@check(29, "Nothing leaves.", since="landlock")
def connections() -> object:
    """Connects to ports of the host by TCP, over IPv4 and IPv6, to the metadata address, and to an address of the internet."""

    def connected(address: str, port: int) -> bool:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
            client.settimeout(0.5)
            try:
                client.connect((address, port))
            except ConnectionRefusedError:
                return address not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")  # an answer came from outside
            except TimeoutError:
                return address not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")  # a packet left: nothing said no
            return True

    ports = {"server": FACTS["port"], "host": FACTS["tcp"]}
    attempts = {name: lambda port=port: connected("127.0.0.1", port) for name, port in ports.items()}
    attempts |= {f"{name} v6": lambda port=port: connected("::ffff:127.0.0.1", port) for name, port in ports.items()}
    attempts |= {
        address: lambda address=address: connected(address, 80)
        for address in ("169.254.169.254", "192.0.2.1", "2001:db8::1")
    }
    return reached(attempts)


@scene(29, "Nothing leaves.", since="landlock", depends=True)
def packets(stage: Stage, language: str) -> object:
    """Sends UDP packets to a port of the host, to the resolver of the machine and to the metadata address."""
    cells = {
        "python": """
import socket
sent = []
for address, port in (("127.0.0.1", {port}), ("169.254.169.254", 53), ("192.0.2.1", 53), ("2001:db8::1", 53), ("::ffff:127.0.0.1", {port})):
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"packet", (address, port)); sent.append(address)
    except OSError: pass
print(sent)
""",
        "typescript": """
const dgram = require('dgram'), sent = [];
for (const [address, port, type] of [['127.0.0.1', {port}, 'udp4'], ['169.254.169.254', 53, 'udp4'], ['192.0.2.1', 53, 'udp4'], ['2001:db8::1', 53, 'udp6']]) {{
  try {{
    const one = dgram.createSocket(type);
    await new Promise((done) => {{ one.on('error', done); one.send('packet', port, address, (error) => {{ if (!error) sent.push(address); done() }}) }});
    one.close();
  }} catch {{}}
}}
console.log(JSON.stringify(sent));
""",
    }
    answer = stage.run(language, cells[language].format(port=stage.facts["udp"]), timeout_ms=30_000)
    assert answer.status == "ok", answer
    # To its own loopback a box may send: what counts there is what arrives.
    sent = [
        each
        for each in answer.stdout[0].strip("[]").replace("'", "").replace('"', "").split(",")
        if each.strip() and "127.0.0.1" not in each
    ]
    with contextlib.suppress(BlockingIOError):
        sent.append(f"arrived: {stage.on_udp.recv(100)!r}")
    return sent


@check(29, "Nothing is resolved.", since="landlock", depends=True)
def names() -> object:
    """Asks for the addresses of names, which would carry data to whoever answers."""

    def resolved(name: str) -> object:
        return [each for each in socket.getaddrinfo(name, 80) if each[4][0] not in ("127.0.0.1", "::1")]

    return reached(
        {
            name: lambda name=name: in_child(lambda: resolved(name))
            for name in ("example.com", "metadata.google.internal")
        }
    )


@check(29, "Only its own loopback, and no route.", since="namespaces")
def interfaces() -> object:
    """Lists the interfaces and the routes of the machine."""
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    routes = Path("/proc/net/route").read_text().splitlines()[1:] if os.path.exists("/proc/net/route") else []
    return others or routes


@scene(29, "The answer has a hint that names the setting and the field.", since="landlock", languages="python")
def told_of_the_network(stage: Stage, language: str) -> object:
    """Fetches a page."""
    cell = "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=2)"
    error = stage.run(language, cell, timeout_ms=30_000).get("error")
    assert error is not None
    hint = str(error.get("hint", ""))
    return "" if "network" in hint else f"no hint: {error['name']}: {error['value'][:100]} {hint}"

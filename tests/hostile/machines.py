"""Machines that refuse a part of the isolation: check 30."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.client import Repl
from tests.harness.server import POLYREPL, Server
from tests.hostile.check import TIERS, scene

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

REFUSED = {"process": "no_new_privs", "landlock": "landlock", "namespaces": "docker"}
"""Tier -> a part that it needs."""
NAMES = {"process": "priv", "landlock": "landlock", "namespaces": "namespace"}


def machine(stage: Stage, part: str, **settings: str) -> Server:
    """A server on a system that refuses a part."""
    program = stage.home / f"polyrepl-{part}"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("refusing.py")} {part} {POLYREPL} "$@"\n'
    )
    program.chmod(0o755)
    return Server(settings={"pool_max": "0", "preload": "", **settings}, program=program)


@scene(
    30,
    "The server does not start, and names the part; or it says which lower tier it has.",
    since="none",
    languages="python",
)
def system_that_refuses(stage: Stage, language: str) -> object:
    """Not an attack: the server starts without Landlock, without no_new_privs, and as with Docker's default profile."""
    if stage.tier in REFUSED:
        return must_refuse(stage, REFUSED[stage.tier])
    return [
        problem
        for part, most in (("docker", "landlock"), ("landlock", "namespaces"))
        for problem in must_say(stage, part, most)
    ]


def must_refuse(stage: Stage, part: str) -> list[str]:
    """What is wrong with a server that must have the tier and cannot."""
    found = []
    for setting in ("isolation", "isolation_required"):
        with machine(stage, part, **{setting: stage.tier}) as server:
            try:
                client = server.client()
                said = client.http.get("/readyz").json().get("isolation")
                client.close()
                # A higher tier that does without the part is as good.
                if setting == "isolation" or said not in TIERS or TIERS.index(said) <= TIERS.index(stage.tier):
                    found.append(f"{setting}: it serves at {server.url} with {said}")
            except AssertionError:
                text = server.log_text.lower()
                found += [] if NAMES[stage.tier] in text and "isolation" in text else [f"{setting}: {text[-300:]}"]
    return found


def must_say(stage: Stage, part: str, most: str) -> list[str]:
    """What is wrong with a server that may choose: it must name one tier, no higher one than the machine can have."""
    with machine(stage, part) as server:
        client = server.client()
        repl = Repl(client, "python")
        assert repl.run("1+1").text == "2"
        said = client.http.get("/readyz").json().get("isolation")
        shown = repl.info
        client.close()
        if said not in TIERS or shown is None or shown.get("isolation") != said:
            return [f"{part}: /readyz says {said}, the context {shown}"]
        return [f"{part}: {said}"] if TIERS.index(said) > TIERS.index(most) or said == part else []

"""The environment of kernels: an allow-list, never the server's own variables or token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.kernels.environment import kernel_env
from engine.settings import Settings
from engine.validation import check_env_vars


def env_of(
    server_env: dict[str, str],
    *,
    spec_env: dict[str, str] | None = None,
    given: dict[str, Any] | None = None,
    **settings: Any,
) -> dict[str, str]:
    return kernel_env(
        Settings(**settings),
        spec_env=spec_env or {},
        tmp_dir=Path("/run/tmp"),
        state_dir=Path("/run/state"),
        server_env=server_env,
        **(given or {}),
    )


NOT_ALLOWED = [
    "POLYREPL_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "SSH_AUTH_SOCK", "LD_PRELOAD", "PYTHONPATH",
    "NODE_OPTIONS", "HTTP_PROXY", "JPY_PARENT_PID", "XDG_RUNTIME_DIR", "HOMEX", "VIRTUAL_ENV",
]  # fmt: skip


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_a_variable_that_is_not_allowed_does_not_reach_kernels(name: str):
    assert name not in env_of({name: "secret", "HOME": "/h"})


@pytest.mark.parametrize("name", ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "SHELL", "TERM"])
def test_what_programs_need_of_the_machine_reaches_kernels(name: str):
    assert env_of({name: "value"})[name] == "value"


def test_a_setting_allows_more_by_name_or_by_beginning():
    env = env_of({"AWS_REGION": "eu", "AWSX": "1", "PROXY": "p"}, kernel_env_allow=["AWS_*", "PROXY"])
    assert env["AWS_REGION"] == "eu"
    assert env["PROXY"] == "p"
    assert "AWSX" not in env


def test_the_interpreters_programs_come_first_and_once_on_the_path():
    settings = Settings()
    own = str(settings.python.parent)
    path = env_of({"PATH": f"/usr/bin:{own}::/bin"})["PATH"].split(os.pathsep)
    assert path[0] == own
    assert path.count(own) == 1
    assert path[-2:] == ["/usr/bin", "/bin"]
    assert "" not in path


def test_temporary_files_are_the_contexts_own():
    assert env_of({"TMPDIR": "/elsewhere"})["TMPDIR"] == "/run/tmp"


def test_the_kernelspec_wins_over_the_machine_and_the_setting_over_both():
    spec_env = {"TZ": "spec", "A": "spec", "B": "spec"}
    env = env_of({"TZ": "machine"}, spec_env=spec_env, kernel_env={"B": "setting"})
    assert (env["TZ"], env["A"], env["B"]) == ("spec", "spec", "setting")


def test_an_empty_server_environment_still_gives_a_path():
    assert env_of({})["PATH"]


def test_what_programs_keep_lies_with_the_context():
    env = env_of({"IPYTHONDIR": "/shared", "XDG_CACHE_HOME": "/shared"})
    for name in ("IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "DENO_DIR"):
        assert env[name].startswith("/run/state/")


def test_nothing_wins_over_what_the_server_says_to_its_kernel():
    other = {"POLYREPL_KERNEL": "other", "POLYREPL_HIDDEN": ""}
    given = {"context_env": other, "own": {"POLYREPL_KERNEL": "k1"}}
    env = env_of({}, spec_env=other, given=given, kernel_env=other)
    assert (env["POLYREPL_KERNEL"], env["POLYREPL_HIDDEN"]) == ("k1", "1")


def test_a_request_cannot_give_the_servers_own_variables():
    assert check_env_vars({"POLYREPL_KERNEL": "other", "POLYREPL_URL": "mine"}) == {"POLYREPL_URL": "mine"}

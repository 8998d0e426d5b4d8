"""Packages: what may be asked for, and what an error that misses one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InvalidRequest
from engine.kernels.provisioners.fake import Say
from engine.packages.names import MAX_LENGTH, MAX_PACKAGES, Tool, check_packages, missing_package, package_hint
from engine.packages.tools import explain
from engine.packages.variables import tool_variables
from engine.settings import Settings

GOOD: list[tuple[Tool, str]] = [
    ("pip", "cowsay"), ("pip", "Flask-SQLAlchemy==3.1.1"), ("pip", "uvicorn[standard] >= 0.30, < 1"), ("pip", "a"), ("pip", "x~=1.0"),
    ("npm", "left-pad"), ("npm", "left-pad@1.3.0"), ("npm", "@types/node@^24"), ("npm", "lodash@>=4 <5"), ("npm", "react@latest"),
]  # fmt: skip
BAD: list[tuple[Tool, str, str]] = [
    ("pip", "--index-url=http://evil", "option of pip"), ("pip", "-r", "option of pip"), ("npm", "--registry", "option of npm"),
    ("pip", "-e .", "option of pip"), ("pip", "", "empty"), ("pip", "a b", "not a package"), ("pip", "a\n--pre", "control character"),
    ("pip", "a @ https://host/a.whl", "not a package"), ("pip", "https://host/a.whl", "package_sources"), ("pip", "./a", "package_sources"),
    ("pip", "git+https://host/a", "package_sources"), ("npm", "user/repo", "not a package"), ("npm", "a@file:../b", "not a package"),
    ("npm", "a@npm:b", "not a package"), ("npm", "../a", "package_sources"), ("npm", "x" * (MAX_LENGTH + 1), "at most"),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "package"), GOOD)
def test_a_name_of_the_registry_is_taken(tool: Tool, package: str) -> None:
    assert check_packages([f" {package} "], tool, any_source=False) == [package]


@pytest.mark.parametrize(("tool", "package", "reason"), BAD)
def test_what_is_no_name_is_refused_by_its_place(tool: Tool, package: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_packages(["fine", package], tool, any_source=False)
    (error,) = refused.value.errors
    assert error.field == "packages.1"
    assert reason in error.error


def test_other_sources_are_taken_where_the_setting_says_so() -> None:
    sources = ["https://host/a.whl", "git+https://host/a", "/srv/a.whl", "./a"]
    assert check_packages(sources, "pip", any_source=True) == sources
    with pytest.raises(InvalidRequest):
        check_packages(["--index-url=http://evil"], "pip", any_source=True)


@pytest.mark.parametrize("packages", [[], ["a"] * (MAX_PACKAGES + 1)])
def test_the_number_of_packages_is_bounded(packages: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        check_packages(packages, "pip", any_source=True)


@pytest.mark.parametrize(
    ("tool", "name", "value", "missing"),
    [
        ("pip", "ModuleNotFoundError", "No module named 'cv2'", ("cv2", "opencv-python-headless")),
        ("pip", "ModuleNotFoundError", "No module named 'sklearn'", ("sklearn", "scikit-learn")),
        ("pip", "ModuleNotFoundError", "No module named 'cowsay'", ("cowsay", "cowsay")),
        ("pip", "ImportError", "Missing optional dependency 'openpyxl'. Use pip", ("openpyxl", "openpyxl")),
        ("pip", "ModuleNotFoundError", "No module named 'numpy.nothing'", None),
        ("pip", "ModuleNotFoundError", "No module named 'tkinter'", None),
        ("pip", "ImportError", "cannot import name 'a' from 'b'", None),
        ("pip", "ValueError", "No module named 'cowsay'", None),
        ("npm", "Error", "Cannot find package 'left-pad' imported from /c/cell.ts", ("left-pad", "left-pad")),
        ("npm", "Error", "Cannot find package '@a/b' imported from /c/cell.ts", ("@a/b", "@a/b")),
        ("npm", "Error", "Cannot find module 'lodash/fp'\nRequire stack: MODULE_NOT_FOUND", ("lodash", "lodash")),
        ("npm", "Error", "Cannot find module './a' MODULE_NOT_FOUND", None),
        ("npm", "Error", "Cannot find module '/c/a.ts' imported from /c/cell.ts ERR_MODULE_NOT_FOUND", None),
        ("npm", "Error", "Cannot find module 'left-pad'", None),
        ("npm", "TypeError", 'Import "zod" not a dependency', ("zod", "zod")),
        ("npm", "TypeError", 'Import "@scope/pkg/sub" not a dependency', ("@scope/pkg", "@scope/pkg")),
        ("npm", "TypeError", 'Import "@/own" not a dependency', None),
        (
            "npm",
            "TypeError",
            "Could not find a matching package for 'npm:zod@3' in the node_modules directory.",
            ("zod", "zod"),
        ),
        ("npm", "ResolveMessage", "Cannot find package 'jsr:@std' imported from /c/cell.ts", None),
    ],
)
def test_an_error_that_misses_a_package_names_it(
    tool: Tool, name: str, value: str, missing: tuple[str, str] | None
) -> None:
    assert missing_package(tool, name, value) == missing


def test_a_hint_names_the_call() -> None:
    hint = package_hint("pip", ("ModuleNotFoundError", "No module named 'yaml'", ""), "POST /packages [{package}]")
    assert hint is not None
    assert hint.endswith("package PyYAML. To install it: POST /packages [PyYAML]")


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("ERROR: Could not find a version that satisfies the requirement x (from versions: none)", "PackageNotFound"),
        ("ERROR: Could not find a version that satisfies the requirement x==9 (from versions: 1)", "VersionNotFound"),
        ("WARNING: Max retries exceeded\nERROR: ... (from versions: none)", "RegistryUnreachable"),
        ("ERROR: ResolutionImpossible", "DependencyConflict"),
        ("npm error code E404\nnpm error 404 Not Found", "PackageNotFound"),
        ("npm error code ETARGET", "VersionNotFound"),
        ("npm error code ENOTFOUND", "RegistryUnreachable"),
        ("npm error code E401", "RegistryRefused"),
        ("npm error code ENOSPC", "DiskFull"),
        ("strange", "InstallationFailed"),
    ],
)
def test_a_complaint_of_a_tool_has_a_name_and_a_remedy(output: str, name: str) -> None:
    error = explain(output)
    assert error.name == name
    assert error.message
    assert error.remediation


def test_a_tool_gets_the_registry_and_no_secrets_and_no_other_place() -> None:
    server = {
        "HOME": "/h", "PIP_INDEX_URL": "https://mirror", "PIP_TARGET": "/elsewhere", "npm_config_registry": "https://npm",
        "NPM_CONFIG_PREFIX": "/elsewhere", "HTTPS_PROXY": "http://proxy", "OPENAI_API_KEY": "secret", "POLYREPL_TOKEN": "secret",
    }  # fmt: skip

    def env(tool: Tool) -> dict[str, str]:
        return tool_variables(tool, Settings(), tmp_dir=Path("/t"), cache_dir=Path("/c"), server_env=server).plain

    pip, npm = env("pip"), env("npm")
    assert (pip["PIP_INDEX_URL"], pip["HTTPS_PROXY"], pip["HOME"]) == ("https://mirror", "http://proxy", "/h")
    assert (npm["npm_config_registry"], npm["npm_config_cache"]) == ("https://npm", "/c/npm")
    for found in (pip, npm):
        assert not found.keys() & {"PIP_TARGET", "NPM_CONFIG_PREFIX", "OPENAI_API_KEY", "POLYREPL_TOKEN"}
    assert "npm_config_registry" not in pip


MISSING = {"ename": "ModuleNotFoundError", "evalue": "No module named 'bs4'", "traceback": []}


@pytest.mark.anyio
async def test_an_error_carries_the_hint_in_its_result_and_its_event(api) -> None:
    client = (await api({"x": [Say("error", MISSING)]})).client
    body = (await client.post("/execute", json={"code": "x", "context_id": "c"})).json()
    assert "beautifulsoup4" in body["error"]["hint"]
    events = (await client.get(f"/executions/{body['execution_id']}/events")).json()["events"]
    assert [each["hint"] for each in events if each["type"] == "error"] == [body["error"]["hint"]]


@pytest.mark.anyio
async def test_switched_off_it_is_refused_and_not_hinted_at(api) -> None:
    client = (await api({"x": [Say("error", MISSING)]}, packages=False)).client
    body = (await client.post("/execute", json={"code": "x", "context_id": "c"})).json()
    assert "hint" not in body["error"]
    refused = await client.post("/contexts/c/packages", json={"packages": ["cowsay"]})
    assert refused.status_code == 403
    assert "packages" in refused.json()["message"]


@pytest.mark.anyio
async def test_a_wrong_request_names_what_is_wrong(api) -> None:
    client = (await api()).client
    assert (await client.post("/contexts/c/packages", json={"packages": ["a"]})).status_code == 404
    await client.post("/contexts", json={"context_id": "c"})
    for body, field in (
        ({"packages": []}, "packages"),
        ({"packages": ["--pre"]}, "packages.0"),
        ({}, "packages"),
        ({"packages": ["a"], "language": "cobol"}, "language"),
        ({"packages": ["a"], "timeout_ms": 0}, "timeout_ms"),
    ):
        answer = await client.post("/contexts/c/packages", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    foreign = await client.post("/contexts", json={"context_id": "i", "language": "ipykernel"})
    assert foreign.status_code == 201
    assert (await client.post("/contexts/i/packages", json={"packages": ["a"]})).status_code == 501

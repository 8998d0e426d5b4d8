"""Settings of kernels: their interpreters, environment and limits, and those on a remote Jupyter."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator

from engine.settings.fields import MIB, Names, Numbers, Pairs, Seconds, Texts


class Kernels(BaseModel):
    run_dir: Path | None = Field(
        None,
        description="Private directory for sockets and the files of contexts. Default: a directory in $XDG_RUNTIME_DIR or /tmp.",
    )
    python: Path = Field(Path(sys.executable), description="Interpreter for python kernels. It needs IPython.")
    node: Path | None = Field(
        None, description="Node for typescript kernels. Default: the Node that the wheel installs, or the Node in PATH."
    )
    kernel_env_allow: Names = Field(
        [], description="Additional variables of the server's environment for kernels. A trailing * matches any rest."
    )
    kernel_env: Texts = Field({}, description="Environment variables for all kernels, as a JSON object.")
    kernel_rlimits: Numbers = Field(
        {},
        description='Limits for each kernel process (setrlimit), as a JSON object: {"AS": 4000000000, "NPROC": 200}.',
    )
    kernel_memory: int | None = Field(
        None,
        ge=64 * MIB,
        description="Default limit of the memory of a context, in bytes, if `context_limits` does not set one. It is counted in addition "
        "to what the kernel has when it is ready. Default: half of the memory of the machine or container.",
    )
    kernel_processes: int | None = Field(
        None,
        ge=1,
        description="Number of processes and threads of the server's user at which kernels can start no more. It does not limit root. "
        "Default: 8192, and 16 plus the number of cores for each of `max_contexts`.",
    )
    hide_processes: bool = Field(
        True,
        description="Keep memory, environment and descriptors of the server and of python kernels from other processes of its user. "
        "They leave no core dumps, and debuggers and profilers can attach only as root.",
    )
    python_kernel: Literal["polyrepl-python", "ipykernel"] = Field(
        "polyrepl-python", description="Kernelspec for python: polyrepl's own kernel, or ipykernel."
    )
    zygote: bool = Field(
        True, description="Fork python kernels from a process with all imports done, if the machine supports it."
    )
    preload: Names = Field(
        ["numpy", "pandas", "matplotlib"], description="Modules to import before kernels are forked."
    )
    kernelspecs: Names = Field(
        [], description="Other installed Jupyter kernelspecs to offer as languages. *: all of them."
    )

    @field_validator("kernel_rlimits")
    @classmethod
    def _check_rlimits(cls, limits: dict[str, int]) -> dict[str, int]:
        for name in limits:
            if not hasattr(resource, f"RLIMIT_{name}"):
                msg = f"{name!r} is not a limit of setrlimit"
                raise ValueError(msg)
        return limits


class Remote(BaseModel):
    """Programs of this kind know some of these settings by names without POLYREPL_."""

    backend: Literal["local", "jupyter"] = Field(
        "local",
        description="Where contexts run: on this machine, or on the remote Jupyter of `jupyter_url`. A remote backend offers python "
        "and the languages in `jupyter_languages`.",
    )
    jupyter_url: str = Field(
        "http://localhost:8888",
        validation_alias=AliasChoices("polyrepl_jupyter_url", "jupyter_url"),
        description="URL of the Jupyter Server, Kernel Gateway or Enterprise Gateway for remote kernels.",
    )
    jupyter_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("polyrepl_jupyter_token", "jupyter_token"),
        description="Token of the remote Jupyter.",
    )
    jupyter_kernel: str = Field(
        "python3",
        validation_alias=AliasChoices("polyrepl_jupyter_kernel", "jupyter_kernel"),
        description="Remote kernelspec for python, with the backend jupyter.",
    )
    jupyter_languages: Pairs = Field(
        {},
        description="Languages that run on the remote Jupyter, with their kernelspecs, for any backend: r=ir,bash=bash. "
        'The kernelspec "local" keeps a language on this machine.',
    )
    jupyter_file_root: str | None = Field(
        None,
        pattern=r"^/",
        validation_alias=AliasChoices("polyrepl_jupyter_file_root", "jupyter_file_root"),
        description="Remote directory for the files of contexts. Default: the directory that the remote starts its kernels in.",
    )
    jupyter_timeout: Seconds | None = Field(
        None, description="Default timeout of remote executions, in seconds. Default: `default_timeout`."
    )

    @property
    def remote_languages(self) -> dict[str, str]:
        """The languages that run on the remote Jupyter, and the kernelspecs there."""
        wanted = {"python": self.jupyter_kernel} if self.backend == "jupyter" else {}
        return {name: kernel for name, kernel in {**wanted, **self.jupyter_languages}.items() if kernel != "local"}

    @property
    def local_languages(self) -> set[str] | None:
        """The languages that run on this machine; None: all that are not remote."""
        if self.backend == "local":
            return None
        return {name for name, kernel in self.jupyter_languages.items() if kernel == "local"}


class Packages(BaseModel):
    packages: bool = Field(True, description="Allow the installation of packages into contexts.")
    package_sources: Literal["registry", "any"] = Field(
        "registry", description="Allowed sources of packages: configured registries only, or also URLs, git and files."
    )
    package_scripts: bool = Field(
        False,
        description="Run the installation scripts of npm packages, and build Python packages even if the server has credentials for pip "
        "or, with isolation, no token.",
    )
    package_timeout: Seconds = Field(300.0, description="Timeout of an installation, in seconds.")
    max_installations: int = Field(
        2, ge=1, description="Maximum number of concurrent installations, one in each context."
    )
    tcp_kernelspecs: Names = Field(
        ["deno", "java", "xpython", "xpython-raw"],
        description="Kernelspecs that cannot use ipc sockets. Their kernels get signed ports on 127.0.0.1.",
    )

"""Settings: each is defined once here and can be given as a flag, a `POLYREPL_*` variable or a key of a TOML file."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

MIB = 1024 * 1024


def _split_names(value: Any) -> Any:
    """Read "a,b,c" as a list."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


def _split_pairs(value: Any) -> Any:
    """Read "a=b,c=d" as a mapping."""
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        return {name.strip(): found.strip() for name, _, found in pairs}
    return value


def _read_object(value: Any) -> Any:
    """Read a JSON object; anything else is left to be refused."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


Surface = Literal["native", "gateway", "e2b", "kernelbox", "code_interpreter", "mcp"]
Names = Annotated[list[str], NoDecode, BeforeValidator(_split_names)]
Pairs = Annotated[dict[str, str], NoDecode, BeforeValidator(_split_pairs)]
Texts = Annotated[dict[str, str], NoDecode, BeforeValidator(_read_object)]


# The variables that Jupyter's Kernel Gateway is configured with, and what they are here.
_KG_NAMES = {
    "KG_IP": "host",
    "KG_PORT": "port",
    "KG_AUTH_TOKEN": "token",
    "KG_ALLOW_ORIGIN": "allowed_origins",
    "KG_LIST_KERNELS": "list_kernels",
    "KG_MAX_KERNELS": "max_kernels",
    "KG_DEFAULT_KERNEL_NAME": "default_kernel_name",
    "KG_FORCE_KERNEL_NAME": "force_kernel_name",
    "KG_ENV_WHITELIST": "env_whitelist",
    "KG_ENV_PROCESS_WHITELIST": "kernel_env_allow",
    "KG_SEED_URI": "seed_notebook",
    "KG_ALLOW_NOTEBOOK_DOWNLOAD": "allow_notebook_download",
    "KG_STATIC_PATH": "static_path",
    "KG_WS_PING_INTERVAL_SECS": "websocket_ping_interval",
    "KG_BASE_URL": "base_url",
    "KG_PORT_RETRIES": "port_retries",
    "KG_TRUST_XHEADERS": "trust_proxy_headers",
    "KG_CERTFILE": "tls_cert",
    "KG_KEYFILE": "tls_key",
    "KG_CLIENT_CA": "tls_client_ca",
    # and those that KernelBox is
    "KERNELBOX_EXECUTION_TIMEOUT": "kernelbox_timeout",
    "KERNELBOX_OUTPUT_CHAR_LIMIT": "kernelbox_output_chars",
    "KERNELBOX_MAX_RETRIES": "kernelbox_attempts",
    "KERNELBOX_STARTUP_CODE": "kernelbox_startup_code",
    "KERNELBOX_KERNEL_TYPE": "kernelbox_kernel",
    "KERNELBOX_KERNEL_IDLE_TIMEOUT": "context_idle_timeout",
}
_KG_NOTEBOOK_HTTP = ("kernel_gateway.notebook_http", "notebook-http")
# Those whose value it sends, as it is, in a header.
_KG_HEADERS = {
    "KG_ALLOW_CREDENTIALS": "Access-Control-Allow-Credentials",
    "KG_ALLOW_HEADERS": "Access-Control-Allow-Headers",
    "KG_ALLOW_METHODS": "Access-Control-Allow-Methods",
    "KG_ALLOW_ORIGIN": "Access-Control-Allow-Origin",
    "KG_EXPOSE_HEADERS": "Access-Control-Expose-Headers",
    "KG_MAX_AGE": "Access-Control-Max-Age",
}


class _GatewayVariables(PydanticBaseSettingsSource):
    """Reads them. Empty ones count as not set, as there."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {name: os.environ[key] for key, name in _KG_NAMES.items() if os.environ.get(key)}
        prespawned = os.environ.get("KG_PRESPAWN_COUNT", "")
        if os.environ.get("KG_API") in _KG_NOTEBOOK_HTTP:
            found |= {"notebook": found.pop("seed_notebook", "")}
            if prespawned.isdigit():
                found |= {"notebook_kernels": max(int(prespawned), 1)}
        elif prespawned.isdigit():
            found |= {"pool_min": int(prespawned), "pool_max": max(int(prespawned), 4)}
        headers = {header: os.environ[key] for key, header in _KG_HEADERS.items() if os.environ.get(key)}
        return {**found, "gateway_headers": headers} if headers else found


class Settings(BaseSettings):
    """What a server or an engine is run with. Seconds and bytes throughout; a list is also read from "a,b,c"."""

    model_config = SettingsConfigDict(env_prefix="POLYREPL_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. Any other than a loopback address needs a token.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    port_retries: int = Field(
        0, ge=0, le=1000, description="How many of the ports behind it are tried while the port is in use."
    )
    base_url: str = Field("", description="Path that everything is served under, as /user/ada.")
    tls_cert: Path | None = Field(None, description="Certificate (PEM, with its chain) to serve HTTPS with.")
    tls_key: Path | None = Field(None, description="Its private key. None: it is in tls_cert.")
    tls_client_ca: Path | None = Field(
        None, description="Certificates of authorities (PEM); each client must have a certificate of one of them."
    )
    trust_proxy_headers: bool = Field(
        False, description="Whether X-Forwarded-For and X-Forwarded-Proto, of whomever connects, are believed."
    )
    token: SecretStr | None = Field(None, description="Token that every request must carry. None: no authentication.")
    allowed_hosts: Names = Field([], description="Host header values accepted besides the loopback names and `host`.")
    allowed_origins: Names = Field(
        [], description="Origins of web pages that may call the API. None: same origin only."
    )
    max_request_bytes: int = Field(10 * MIB, ge=1024, le=48 * MIB, description="Largest request body.")
    surfaces: Annotated[list[Surface], NoDecode, BeforeValidator(_split_names)] = Field(
        ["native", "gateway", "e2b", "kernelbox", "code_interpreter", "mcp"],
        description="APIs that are served: our own, and those of Jupyter's Kernel Gateway, of E2B's code interpreter, of KernelBox, "
        "of the code-interpreter gateway, and MCP.",
    )

    run_dir: Path | None = Field(
        None, description="Private directory for sockets and contexts' files. None: one under $XDG_RUNTIME_DIR or /tmp."
    )
    python: Path = Field(Path(sys.executable), description="Interpreter that python kernels run on (it has IPython).")
    node: Path | None = Field(
        None, description="Node that typescript kernels run on. None: the installed wheel's, or PATH."
    )
    kernel_env_allow: Names = Field(
        [], description="Further variables of the server's environment that kernels get; a trailing * matches any rest."
    )
    kernel_env: dict[str, str] = Field({}, description="Variables that every kernel gets, as a JSON object.")
    kernel_rlimits: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {},
        description='Limits of every kernel process (setrlimit), as a JSON object: {"AS": 4000000000, "NPROC": 200}.',
    )
    kernel_memory: int | None = Field(
        None,
        ge=64 * MIB,
        description="Bytes of memory that a kernel may take besides its interpreter's own. None: what the machine gives.",
    )
    python_kernel: Literal["polyrepl-python", "ipykernel"] = Field(
        "polyrepl-python",
        description="Kernelspec that the language python runs on: our own kernel, or stock ipykernel.",
    )
    zygote: bool = Field(
        True, description="Fork python kernels from a process that has everything imported, where this machine can."
    )
    preload: Names = Field(
        ["numpy", "pandas", "matplotlib"], description="Modules that are imported in forked kernels from the start."
    )
    kernelspecs: Names = Field(
        [], description="Other installed Jupyter kernelspecs offered as languages; * offers all."
    )

    backend: Literal["local", "jupyter"] = Field(
        "local",
        description="Where contexts run: here, or on the remote Jupyter of jupyter_url, where only python is then offered, "
        "and what jupyter_languages names.",
    )
    # The names without POLYREPL_ are those that programs of this kind know these settings by.
    jupyter_url: str = Field(
        "http://localhost:8888",
        validation_alias=AliasChoices("polyrepl_jupyter_url", "jupyter_url"),
        description="Jupyter Server, Kernel Gateway or Enterprise Gateway that remote kernels run on.",
    )
    jupyter_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("polyrepl_jupyter_token", "jupyter_token"),
        description="Its token.",
    )
    jupyter_kernel: str = Field(
        "python3",
        validation_alias=AliasChoices("polyrepl_jupyter_kernel", "jupyter_kernel"),
        description="Its kernelspec that python runs on, with the backend jupyter.",
    )
    jupyter_languages: Pairs = Field(
        {},
        description="Languages and its kernelspecs that they run on, whatever the backend: r=ir,bash=bash. "
        'The kernelspec "local" keeps a language of ours on this machine with the backend jupyter.',
    )
    jupyter_file_root: str | None = Field(
        None,
        pattern=r"^/",
        validation_alias=AliasChoices("polyrepl_jupyter_file_root", "jupyter_file_root"),
        description="Directory there that the files of remote contexts are in. None: where the remote starts its kernels.",
    )
    jupyter_timeout: float | None = Field(
        None,
        gt=0,
        description="Seconds a remote execution may run when the request does not say. None: as default_timeout.",
    )

    packages: bool = Field(True, description="Whether packages can be installed into contexts.")
    package_sources: Literal["registry", "any"] = Field(
        "registry", description="Where they may come from: the configured registries only, or also URLs, git and files."
    )
    package_scripts: bool = Field(
        False, description="Whether npm runs the scripts that packages bring for their installation."
    )
    package_timeout: float = Field(300.0, gt=0, description="Seconds an installation may take.")
    max_installations: int = Field(2, ge=1, description="Installations that run at once; one in each context.")

    tcp_kernelspecs: Names = Field(
        ["deno", "java", "xpython", "xpython-raw"],
        description="Kernelspecs whose kernels cannot use ipc sockets; they get signed ports on 127.0.0.1.",
    )

    list_kernels: bool | None = Field(
        None,
        description="Whether the gateway lists kernels and sessions. None: it does.",
    )
    max_kernels: int | None = Field(
        None, ge=0, description="Kernels from which on the gateway starts no further one. None: max_contexts."
    )
    default_kernel_name: str = Field("python3", description="Kernel that the gateway starts where no name is given.")
    force_kernel_name: str | None = Field(None, description="Kernel that it starts whatever name is given.")
    env_whitelist: Names = Field(
        [], description="Variables, besides KERNEL_*, that a request may give a kernel of the gateway; * allows all."
    )
    seed_notebook: str | None = Field(
        None, description="Notebook whose code cells run in every new kernel of the gateway: a path or a URL."
    )
    notebook: str | None = Field(
        None,
        description="Notebook that is served as an API, instead of the surfaces: its annotated cells answer requests. A path or a URL.",
    )
    notebook_kernels: int = Field(1, ge=1, description="Kernels that serve the notebook; so many requests run at once.")
    allow_notebook_download: bool = Field(False, description="Whether the notebook itself is served, at /_api/source.")
    static_path: Path | None = Field(
        None, description="Directory whose files are served under /public, beside a notebook."
    )
    gateway_headers: Texts = Field(
        {},
        description="Headers of every answer of the gateway, as a JSON object: what it tells browsers of other origins.",
    )
    websocket_ping_interval: float = Field(30.0, ge=0, description="Seconds between pings of a websocket. 0: none.")
    websocket_timeout: float | None = Field(
        None, gt=0, description="Seconds a cell that comes by websocket may run. None: until it is interrupted."
    )
    websocket_buffer_bytes: int = Field(
        32 * MIB, ge=5 * MIB, description="Bytes that may wait for a websocket that reads slowly, or is away."
    )

    kernelbox_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds an execution asked for as KernelBox has it may run when the request does not say.",
    )
    kernelbox_output_chars: int = Field(
        10_000, ge=0, description="Characters of each text in its answers. 0: as many as there are."
    )
    kernelbox_attempts: int = Field(5, ge=1, description="Times that it tries code when the request does not say.")
    kernelbox_startup_code: str | None = Field(None, description="Code that runs in each new kernel of it.")
    kernelbox_kernel: str = Field("python3", description="Language of its kernels.")

    max_contexts: int = Field(100, ge=1, description="Contexts alive at once; idle ones are evicted, oldest first.")
    context_idle_timeout: float = Field(1800.0, gt=0, description="Seconds after which an idle context is ended.")
    pool_languages: Names = Field(
        ["python", "typescript"], description="Languages of which started kernels are kept ready for new contexts."
    )
    pool_min: int = Field(2, ge=0, description="Kernels kept ready of each; of another language only while it is used.")
    pool_max: int = Field(4, ge=0, description="Kernels kept ready of a language in demand. 0: none of any.")
    max_file_bytes: int = Field(1024 * MIB, ge=1, description="Largest file that is taken through the API.")
    max_context_files: int = Field(
        100_000, ge=1, description="Files and directories in a context from which on no further file is taken."
    )
    max_context_bytes: int = Field(
        2048 * MIB, ge=1, description="Bytes of a context's files beyond which no file is taken."
    )
    max_checkpoints: int = Field(16, ge=0, description="Checkpoints that one context may have.")
    max_copy_bytes: int = Field(
        1024 * MIB, ge=0, description="Largest working directory that a branch or a checkpoint copies."
    )
    branch_timeout: float = Field(
        30.0, gt=0, description="Seconds a branch or a checkpoint waits for its turn, and each of its steps may take."
    )
    queue_size: int = Field(32, ge=1, description="Executions that may wait in one context.")
    default_timeout: float = Field(
        30.0, gt=0, description="Seconds an execution may run when the request does not say."
    )
    max_timeout: float = Field(3600.0, gt=0, description="Largest timeout a request may ask for, in seconds.")
    interrupt_grace: float = Field(
        1.0, gt=0, description="Seconds a cell has to end after an interrupt, before its kernel is killed."
    )
    kernel_start_timeout: float = Field(60.0, gt=0, description="Seconds a kernel has to come up.")
    shutdown_timeout: float = Field(5.0, gt=0, description="Seconds the server waits for requests and kernels to end.")

    max_stream_bytes: int = Field(
        12 * MIB, ge=1024, description="Bytes kept of each of stdout and stderr: first and last half."
    )
    max_item_bytes: int = Field(12 * MIB, ge=1024, le=48 * MIB, description="Largest single MIME value of an item.")
    max_items: int = Field(2000, ge=2, description="Items kept per execution: first and last half.")
    max_output_bytes: int = Field(48 * MIB, ge=4096, description="Bytes kept of all output of one execution.")
    max_events: int = Field(10_000, ge=100, description="Events kept per execution for readers that come late.")
    max_executions: int = Field(1000, ge=1, description="Finished executions kept for GET /executions/{id}.")
    retained_bytes: int = Field(64 * MIB, ge=0, description="Bytes of finished executions kept.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line shown.")
    log_format: Literal["console", "json"] = Field("console", description="Form of the log lines on stderr.")

    if TYPE_CHECKING:
        # Without pydantic's plugin, as users have it, a type checker sees no default in `Field(default, ...)`.
        def __init__(self, **values: Any) -> None: ...

    @field_validator("kernel_rlimits")
    @classmethod
    def _check_rlimits(cls, limits: dict[str, int]) -> dict[str, int]:
        for name in limits:
            if not hasattr(resource, f"RLIMIT_{name}"):
                msg = f"{name!r} is no limit that setrlimit knows"
                raise ValueError(msg)
        return limits

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, path: str) -> str:
        """As it is put before a path: "" or "/a/b"."""
        path = "/" + path.strip("/") if path.strip("/") else ""
        if not re.fullmatch(r"[\w/.~@-]*", path, re.ASCII) or "//" in path:
            msg = "must be a path of letters, digits and /_.~@-"
            raise ValueError(msg)
        return path

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.tls_cert is None and (self.tls_key or self.tls_client_ca):
            msg = "tls_key and tls_client_ca need tls_cert"
            raise ValueError(msg)
        for name in ("tls_cert", "tls_key", "tls_client_ca"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                msg = f"{name}: no such file: {path}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_notebook(self) -> Self:
        if self.notebook == "":
            msg = "notebook: KG_API is notebook-http, which needs a notebook: set KG_SEED_URI"
            raise ValueError(msg)
        if self.static_path is not None and not self.static_path.is_dir():
            msg = f"static_path: no such directory: {self.static_path}"
            raise ValueError(msg)
        if self.notebook is not None and self.notebook_kernels > self.max_contexts:
            msg = "notebook_kernels is larger than max_contexts"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        if not self.is_loopback and not self.secret:
            msg = f"refusing to listen on {self.host} without a token: set POLYREPL_TOKEN, or use a loopback address"
            raise ValueError(msg)
        if (self.jupyter_timeout or 0) > self.max_timeout:
            msg = "jupyter_timeout is larger than max_timeout"
            raise ValueError(msg)
        if self.default_timeout > self.max_timeout:
            msg = "default_timeout is larger than max_timeout"
            raise ValueError(msg)
        if self.max_kernels is not None and self.pool_max and self.pool_min > self.max_kernels:
            msg = "pool_min (KG_PRESPAWN_COUNT) is larger than max_kernels"
            raise ValueError(msg)
        if self.pool_min > self.pool_max > 0:
            msg = "pool_min is larger than pool_max"
            raise ValueError(msg)
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

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

    @property
    def secret(self) -> str | None:
        """The token in plain text, if there is one."""
        return self.token.get_secret_value() or None if self.token else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: flags, environment, that of a Kernel Gateway, TOML file."""
        return init_settings, env_settings, _GatewayVariables(settings_cls), TomlConfigSettingsSource(settings_cls)


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Read the settings; `config` names a TOML file, `flags` win over everything.

    Raises pydantic.ValidationError that names each wrong setting, or OSError for an unreadable file."""
    if config is None:
        return Settings(**flags)
    if not config.is_file():
        msg = f"no such settings file: {config}"
        raise FileNotFoundError(msg)

    class FileSettings(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    return FileSettings(**flags)

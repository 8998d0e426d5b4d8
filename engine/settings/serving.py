"""Settings of the server: where it listens, who may call it, and what it serves and logs."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from engine.settings.fields import MIB, Names, Seconds, split_names
from engine.settings.token_file import read_token

Surface = Literal["native", "gateway", "e2b", "kernelbox", "code_interpreter", "mcp"]

_BASE_URL = re.compile(r"[\w/.~@-]*", re.ASCII)


class Serving(BaseModel):
    host: str = Field(
        "127.0.0.1", description="Address to listen on. Any address but a loopback address needs a token."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on. 0: any free port.")
    port_retries: int = Field(0, ge=0, le=1000, description="Number of following ports to try if the port is in use.")
    base_url: str = Field("", description="Path prefix of all routes, such as /user/ada.")
    tls_cert: Path | None = Field(None, description="Certificate chain for HTTPS, as a PEM file.")
    tls_key: Path | None = Field(None, description="Private key of the certificate. Default: the key in `tls_cert`.")
    tls_client_ca: Path | None = Field(
        None,
        description="Certificate authorities for client certificates, as a PEM file. Clients then need a certificate.",
    )
    trust_proxy_headers: bool = Field(
        False, description="Trust X-Forwarded-For and X-Forwarded-Proto headers from any client."
    )
    token: SecretStr | None = Field(None, description="Token that every request must have. Default: no authentication.")
    token_file: Path | None = Field(
        None, description="File with the token as its only line. Use it instead of `token`, which other users may see."
    )
    _read_token: str | None = PrivateAttr(None)  # from the file
    allowed_hosts: Names = Field([], description="Accepted Host headers, besides loopback names and `host`.")
    allowed_origins: Names = Field(
        [],
        description="Origins of web pages that may call the API, such as https://app.example. * allows all. null allows pages "
        "without an origin, such as files and sandboxed frames. Default: the same origin only.",
    )
    max_request_bytes: int = Field(
        10 * MIB, ge=1024, le=48 * MIB, description="Maximum size of a request body, in bytes."
    )
    incoming_bytes: int = Field(
        128 * MIB,
        ge=1024,
        description="Maximum size of the bodies and websocket messages that the server receives at one time, in bytes. "
        "The first 64 KiB of each do not count.",
    )
    max_connections: int | None = Field(
        None, ge=4, description="Maximum number of connections. Default: half of the files that the server may open."
    )
    max_unauthorized_connections: int = Field(
        1000,
        ge=1,
        description="Maximum number of connections without a valid token, and at most half of `max_connections`. "
        "A new connection replaces the oldest.",
    )
    peer_timeout: Seconds = Field(
        30.0,
        description="Seconds in which a client must send more of its request or accept more of an answer. If not, its connection "
        "is closed, within twice this time.",
    )
    surfaces: Annotated[list[Surface], NoDecode, BeforeValidator(split_names)] = Field(
        ["native", "gateway", "e2b", "kernelbox", "code_interpreter", "mcp"],
        description="APIs to serve: the native API, Jupyter Kernel Gateway, E2B code interpreter, KernelBox, the code-interpreter "
        "gateway, and MCP.",
    )

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, origins: list[str]) -> list[str]:
        """As browsers write them."""
        return [origin.rstrip("/").lower() for origin in origins]

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, path: str) -> str:
        """As it is put before a path: "" or "/a/b"."""
        path = "/" + path.strip("/") if path.strip("/") else ""
        if not _BASE_URL.fullmatch(path) or "//" in path:
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
    def _check_token_file(self) -> Self:
        if self.token_file is not None:
            if self.token is not None:
                msg = "token and token_file exclude each other: set one of them"
                raise ValueError(msg)
            self._read_token = read_token(self.token_file)
        return self

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        if not self.is_loopback and not self.secret:
            msg = f"refusing to listen on {self.host} without a token: set POLYREPL_TOKEN or POLYREPL_TOKEN_FILE, or use a loopback address"
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
    def secret(self) -> str | None:
        """The token in plain text, if there is one."""
        if self._read_token is not None:
            return self._read_token
        return self.token.get_secret_value() or None if self.token else None


class Logging(BaseModel):
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level of log lines.")
    log_format: Literal["console", "json"] = Field("console", description="Format of the log lines on stderr.")

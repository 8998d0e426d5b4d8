"""Settings of the APIs of other programs: Jupyter's Kernel Gateway, its notebooks as APIs, and KernelBox."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator

from engine.settings.fields import MIB, Names, Seconds, Texts


class Gateway(BaseModel):
    list_kernels: bool | None = Field(None, description="Allow clients to list kernels and sessions. Default: true.")
    max_kernels: int | None = Field(
        None, ge=0, description="Maximum number of gateway kernels. Default: `max_contexts`."
    )
    default_kernel_name: str = Field("python3", description="Kernel name for gateway requests without a name.")
    force_kernel_name: str | None = Field(
        None, description="Kernel name for all gateway requests, whatever they ask for."
    )
    env_whitelist: Names = Field(
        [], description="Environment variables that a gateway request may set for its kernel, besides KERNEL_*. *: all."
    )
    seed_notebook: str | None = Field(None, description="Notebook to run in each new gateway kernel: a path or a URL.")
    notebook: str | None = Field(
        None,
        description="Notebook to serve as an API, in place of the surfaces: a path or a URL. Its annotated cells answer requests.",
    )
    notebook_kernels: int = Field(
        1, ge=1, description="Number of kernels for the notebook, and of requests that run at once."
    )
    allow_notebook_download: bool = Field(False, description="Serve the notebook file at /_api/source.")
    static_path: Path | None = Field(None, description="Directory to serve at /public, with a notebook.")
    gateway_headers: Texts = Field(
        {}, description="Headers for all gateway responses, as a JSON object, such as CORS headers."
    )
    websocket_ping_interval: float = Field(
        30.0, ge=0, allow_inf_nan=False, description="Seconds between websocket pings. 0: no pings."
    )
    websocket_timeout: Seconds | None = Field(
        None,
        description="Timeout of websocket cells, in seconds. Default: no timeout. Executions that wait behind such a cell "
        "for longer than `max_timeout` are refused.",
    )
    websocket_buffer_bytes: int = Field(
        32 * MIB, ge=5 * MIB, description="Maximum number of bytes to keep for a slow or disconnected websocket."
    )

    total_websocket_bytes: int = Field(
        256 * MIB,
        ge=1024,
        description="Maximum number of bytes to keep for all slow or disconnected websockets. "
        "The first 256 KiB of each context do not count.",
    )

    @model_validator(mode="after")
    def _check_notebook(self) -> Self:
        if self.notebook == "":
            msg = "notebook: KG_API is notebook-http, which needs a notebook: set KG_SEED_URI"
            raise ValueError(msg)
        if self.static_path is not None and not self.static_path.is_dir():
            msg = f"static_path: no such directory: {self.static_path}"
            raise ValueError(msg)
        return self


class Mcp(BaseModel):
    max_mcp_sessions: int = Field(
        1000,
        ge=1,
        description="Number of MCP sessions to keep. A new session replaces the one that is idle for longest. Sessions with a "
        "running call stay; above twice this number, new sessions are refused.",
    )


class KernelBox(BaseModel):
    kernelbox_timeout: Seconds = Field(
        60.0, description="Default timeout, in seconds, for executions requested through the KernelBox API."
    )
    kernelbox_output_chars: int = Field(
        10_000, ge=0, description="Maximum number of characters of each text in KernelBox responses. 0: no limit."
    )
    kernelbox_attempts: int = Field(
        5, ge=1, description="Default number of attempts for KernelBox executions with retries."
    )
    kernelbox_startup_code: str | None = Field(None, description="Code to run in each new KernelBox kernel.")
    kernelbox_kernel: str = Field("python3", description="Language of KernelBox kernels.")

"""Settings of contexts and executions: how many, how long, and how much of files and output is kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from engine.settings.fields import MIB, Names, Paths, Seconds


class Contexts(BaseModel):
    max_contexts: int = Field(
        100, ge=1, description="Maximum number of contexts. A new context replaces the one that is idle for longest."
    )
    context_idle_timeout: Seconds = Field(1800.0, description="Seconds until an idle context ends.")
    pool_languages: Names = Field(
        ["python", "typescript"], description="Languages with started kernels in reserve for new contexts."
    )
    pool_min: int = Field(
        2,
        ge=0,
        description="Minimum number of reserve kernels per language. Other languages have reserves while in use.",
    )
    pool_max: int = Field(
        4, ge=0, description="Maximum number of reserve kernels of a language in demand. 0: no reserve."
    )
    allowed_cwds: Paths = Field(
        [Path("/")],
        description="Directories that a request may name as `cwd`, with all directories in them. Empty: a request may name none.",
    )
    max_file_bytes: int = Field(1024 * MIB, ge=1, description="Maximum size of a file in uploads, in bytes.")
    max_context_files: int = Field(
        100_000, ge=1, description="Number of files and directories in a context at which uploads are refused."
    )
    max_context_bytes: int = Field(
        2048 * MIB, ge=1, description="Total size of a context's files, in bytes, at which uploads are refused."
    )
    max_checkpoints: int = Field(16, ge=0, description="Maximum number of checkpoints per context.")
    max_copy_bytes: int = Field(
        1024 * MIB,
        ge=0,
        description="Maximum size of a working directory that a branch or a checkpoint copies, in bytes.",
    )
    branch_timeout: Seconds = Field(
        30.0, description="Seconds that a branch or a checkpoint waits for its turn, and timeout of each of its steps."
    )
    queue_size: int = Field(32, ge=1, description="Maximum number of waiting executions per context.")
    queue_bytes: int = Field(
        32 * MIB,
        ge=1024,
        description="Maximum size of the requests that wait or run in a context, in bytes of memory. "
        "An empty queue takes any request.",
    )
    total_queue_bytes: int = Field(
        256 * MIB,
        ge=1024,
        description="Maximum size of the requests that wait or run in all contexts. "
        "The first 256 KiB of each context do not count.",
    )
    max_label_chars: int = Field(
        16 * 1024, ge=256, description="Maximum number of characters in the name, and in the tags, of a context."
    )
    default_timeout: Seconds = Field(30.0, description="Default timeout of executions, in seconds.")
    max_timeout: Seconds = Field(3600.0, description="Maximum timeout of an execution, in seconds.")
    interrupt_grace: Seconds = Field(
        1.0,
        description="Seconds between the interrupt of a cell and the kill of its kernel. A kernel that is interrupted by signals gets "
        "twice as long, and three more signals in that time. Time in which the kernel waits for a processor does not count, up to five "
        "times as long.",
    )
    kernel_start_timeout: Seconds = Field(60.0, description="Timeout of the start of a kernel, in seconds.")
    check_timeout: Seconds = Field(
        5.0,
        description="Maximum duration of a type check, in seconds, from the start of its cell. A check delays no output.",
    )
    check_memory: int = Field(512 * MIB, ge=256 * MIB, description="Maximum size of the type checker's heap, in bytes.")
    check_idle_timeout: Seconds = Field(300.0, description="Seconds until an idle type checker ends.")
    shutdown_timeout: Seconds = Field(5.0, description="Seconds that the server waits for requests and kernels to end.")


class Outputs(BaseModel):
    max_stream_bytes: int = Field(
        12 * MIB, ge=1024, description="Bytes to keep of stdout, and of stderr: the first and the last half."
    )
    max_item_bytes: int = Field(
        12 * MIB, ge=1024, le=48 * MIB, description="Maximum size of one MIME value of an item, in bytes."
    )
    max_items: int = Field(
        2000, ge=2, description="Number of items to keep per execution: the first and the last half."
    )
    max_output_bytes: int = Field(48 * MIB, ge=4096, description="Bytes to keep of all output of an execution.")
    max_events: int = Field(10_000, ge=100, description="Number of events to keep per execution, for late readers.")
    max_executions: int = Field(
        1000, ge=1, description="Number of finished executions to keep for GET /executions/{id}."
    )
    max_idempotency_keys: int = Field(
        50_000,
        ge=1,
        description="Number of idempotency keys to remember after their executions have ended. Each takes about 500 bytes.",
    )
    idempotency_seconds: Seconds = Field(
        86_400.0, description="Seconds to remember an idempotency key after its execution has ended."
    )
    retained_bytes: int = Field(
        64 * MIB, ge=0, description="Bytes of finished executions to keep, output after their end included."
    )
    total_output_bytes: int = Field(
        512 * MIB,
        ge=1024,
        description="Bytes to keep of the output of all executions. Above it, running code keeps 1 MiB of new output.",
    )

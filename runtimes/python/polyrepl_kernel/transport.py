"""The transport: what carries messages between the kernel and its client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .kernel import Kernel
    from .protocol import Request


class Transport(Protocol):
    """What carries messages: `StreamTransport`, `ZmqTransport`, or a scripted one."""

    def fileno(self) -> int: ...
    def send(
        self, channel: int, parts: Sequence[bytes], idents: Sequence[bytes] = (), *, hold: bool = False
    ) -> None: ...
    def flush(self) -> None: ...
    def receive(self) -> list[Request]: ...
    def wait(self, timeout: float) -> None: ...
    def start(self, kernel: Kernel) -> None: ...

    @property
    def has_partial(self) -> bool: ...

    @property
    def is_shared(self) -> bool: ...

    @property
    def interrupts_early(self) -> bool: ...

    @property
    def locks(self) -> Sequence[Any]: ...

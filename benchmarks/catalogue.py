"""Which measurements there are, by name, in the order of a run."""

from __future__ import annotations

from collections.abc import Callable

from .creation import branch, first_plot, new_context
from .faults import interrupt, kill, timeout
from .footprint import huge_print, idle_memory
from .gateway import gateway, gateway_v1
from .isolation import isolation
from .measures import big_print, displays, first_byte, many_prints, throughput, warm
from .run import Run
from .scale import scale
from .typescript import typescript

MEASUREMENTS: dict[str, Callable[[Run], None]] = {
    "warm": warm,
    "server-cpu": warm,
    "new-context": new_context,
    "first-plot": first_plot,
    "branch": branch,
    "first-byte": first_byte,
    "big-print": big_print,
    "many-prints": many_prints,
    "displays": displays,
    "gateway": gateway,
    "gateway-v1": gateway_v1,
    "memory": idle_memory,
    "isolation": isolation,
    "typescript": typescript,
    "throughput": throughput,
    "huge-print": huge_print,
    "interrupt": interrupt,
    "timeout": timeout,
    "kill": kill,
    "scale": scale,
}

"""What clients ask besides running cells: completion, inspection, history, and what this kernel is."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core import release
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.utils.tokenutil import token_at_cursor

from . import branch, comms, variables
from .protocol import VERSION, Request

if TYPE_CHECKING:
    from .kernel import Kernel

Handler = Callable[["Kernel", Request], dict[str, Any]]


def kernel_info(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The kernel_info_reply."""
    version = platform.python_version()
    return {
        "status": "ok",
        "protocol_version": VERSION,
        "implementation": "polyrepl",
        "implementation_version": release.version,
        "language_info": {
            "name": "python",
            "version": version,
            "mimetype": "text/x-python",
            "codemirror_mode": {"name": "ipython", "version": sys.version_info.major},
            "pygments_lexer": "ipython3",
            "nbconvert_exporter": "python",
            "file_extension": ".py",
        },
        "banner": f"Python {version} | IPython {release.version} | polyrepl kernel\n",
        "debugger": False,
        "supported_features": [],
        "help_links": [{"text": "Python Reference", "url": "https://docs.python.org/3/"}],
    }


def complete(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The complete_reply. The types of matches are listed as ipykernel lists them."""
    code, cursor = _code_and_cursor(request.content)
    shell = kernel.shell
    with provisionalcompleter():
        found = list(rectify_completions(code, shell.Completer.completions(code, cursor)))
    matches = [
        {"start": each.start, "end": each.end, "text": each.text, "type": each.type, "signature": each.signature}
        for each in found
    ]
    return {
        "status": "ok",
        "matches": [each.text for each in found],
        "cursor_start": found[0].start if found else cursor,
        "cursor_end": found[0].end if found else cursor,
        "metadata": {"_jupyter_types_experimental": matches},
    }


def inspect(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The inspect_reply."""
    content = request.content
    code, cursor = _code_and_cursor(content)
    reply: dict[str, Any] = {"status": "ok", "found": False, "data": {}, "metadata": {}}
    try:
        data = kernel.shell.object_inspect_mime(
            token_at_cursor(code, cursor),
            detail_level=int(content.get("detail_level", 0)),
            omit_sections=content.get("omit_sections", ()),
        )
    except KeyError:
        return reply
    if not kernel.shell.enable_html_pager:
        data = {mime: value for mime, value in data.items() if mime != "text/html"}
    return {**reply, "found": True, "data": data}


def is_complete(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The is_complete_reply."""
    status, indent = kernel.shell.input_transformer_manager.check_complete(code_of(request.content))
    reply: dict[str, Any] = {"status": status}
    if status == "incomplete":
        reply["indent"] = " " * (indent or 0)
    return reply


def history(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The history_reply, of this session: nothing is kept on disk."""
    content = request.content
    manager = kernel.shell.history_manager
    output, raw = bool(content.get("output", False)), bool(content.get("raw", True))
    kind = content.get("hist_access_type")
    if kind == "range":
        if content.get("session", 0) not in (0, manager.session_number):
            return {"status": "ok", "history": []}
        entries = manager.get_range(0, content.get("start", 1), content.get("stop"), raw=raw, output=output)
        return {"status": "ok", "history": list(entries)}
    lines = [entry for entry in manager.get_range(0, 1, None, raw=raw, output=output) if _source(entry, output=output)]
    if kind == "search":
        lines = _matching(lines, str(content.get("pattern") or "*"), output=output, unique=bool(content.get("unique")))
    elif kind != "tail":
        lines = []
    count = content.get("n")
    return {"status": "ok", "history": lines[-count:] if isinstance(count, int) and count > 0 else lines}


def _matching(lines: list[Any], pattern: str, *, output: bool, unique: bool) -> list[Any]:
    from fnmatch import fnmatchcase

    found = {(_source(entry, output=output) if unique else number): entry for number, entry in enumerate(lines)
             if fnmatchcase(_source(entry, output=output), pattern)}  # fmt: skip
    return list(found.values())


def _source(entry: Any, *, output: bool) -> str:
    return str(entry[2][0] if output else entry[2])


def comm_info(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The comm_info_reply."""
    return comms.comm_info(kernel.comm_manager, request.content)


def list_variables(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The variables_reply (``runtimes/README.md``)."""
    return variables.listing(kernel.shell, request.content)


def unsupported(request: Request) -> dict[str, Any]:
    """The reply to what this kernel does not know (`debug_request`): silence would leave the client waiting."""
    message = f"{request.msg_type} is not supported"
    traceback = [f"NotImplementedError: {message}"]
    return {"status": "error", "ename": "NotImplementedError", "evalue": message, "traceback": traceback}


def code_of(content: dict[str, Any]) -> str:
    """The code of a request. Raises TypeError where it is no text."""
    code = content.get("code")
    if not isinstance(code, str):
        msg = f"code must be a string, not {type(code).__name__}"
        raise TypeError(msg)
    return code


def _code_and_cursor(content: dict[str, Any]) -> tuple[str, int]:
    code = code_of(content)
    cursor = content.get("cursor_pos")
    return code, len(code) if cursor is None else max(0, min(int(cursor), len(code)))


HANDLERS: dict[str, Handler] = {
    "kernel_info_request": kernel_info,
    "complete_request": complete,
    "inspect_request": inspect,
    "is_complete_request": is_complete,
    "history_request": history,
    "comm_info_request": comm_info,
    "variables_request": list_variables,
    "fork_request": branch.fork,
}

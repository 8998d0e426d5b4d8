"""What clients ask besides running cells: completion, inspection, history, and what this kernel is."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core import release
from IPython.core.completer import Completion, provisionalcompleter, rectify_completions
from IPython.utils.tokenutil import token_at_cursor

from . import branch, comms, variables
from .deadlines import Deadlines, Expired
from .protocol import VERSION, Request

if TYPE_CHECKING:
    from .kernel import Kernel

_PATIENCE = 3.0  # seconds for what the user's objects are asked; the server waits longer
Value = TypeVar("Value")
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
    """The complete_reply. The types of matches are listed as ipykernel lists them; there are none when an object fails to tell."""
    code, cursor = _code_and_cursor(request.content)

    def matches() -> list[Completion]:
        with provisionalcompleter():
            return list(rectify_completions(code, kernel.shell.Completer.completions(code, cursor)))

    try:
        found = _ask(matches)
    except Unanswered:
        found = []
    typed = [
        {"start": each.start, "end": each.end, "text": each.text, "type": each.type, "signature": each.signature}
        for each in found
    ]
    return {
        "status": "ok",
        "matches": [each.text for each in found],
        "cursor_start": found[0].start if found else cursor,
        "cursor_end": found[0].end if found else cursor,
        "metadata": {"_jupyter_types_experimental": typed},
    }


def inspect(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The inspect_reply. Of an object that fails to describe itself it says so."""
    content = request.content
    shell, (code, cursor) = kernel.shell, _code_and_cursor(content)
    name = token_at_cursor(code, cursor)
    detail, omitted = int(content.get("detail_level", 0)), content.get("omit_sections", ())
    reply: dict[str, Any] = {"status": "ok", "found": False, "data": {}, "metadata": {}}
    try:
        data = _ask(lambda: shell.object_inspect_mime(name, detail_level=detail, omit_sections=omitted))
    except KeyError:
        return reply
    except Unanswered as failure:
        data = {"text/plain": f"{name}\n{failure}"}
    if not shell.enable_html_pager:
        data = {mime: value for mime, value in data.items() if mime != "text/html"}
    return {**reply, "found": True, "data": data}


class Unanswered(Exception):
    """An object has ended the question, or has not answered it in time."""


def _ask(question: Callable[[], Value]) -> Value:
    """Ask the user's objects. Raises Unanswered for what they raise that is no Exception, and when they take too long."""
    with Deadlines(each=_PATIENCE, total=_PATIENCE) as deadlines:
        try:
            return deadlines.call(question)
        except Exception:
            raise
        except Expired:
            msg = f"not described: it took longer than {_PATIENCE:g} seconds"
            raise Unanswered(msg) from None
        except BaseException as error:
            msg = f"not described: {type(error).__name__}"
            raise Unanswered(msg) from None


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

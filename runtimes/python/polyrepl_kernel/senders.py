"""What a cell shows, as messages: the display hook and the display publisher of the shell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook as _DisplayHook
from IPython.core.displaypub import DisplayPublisher as _DisplayPublisher
from traitlets import Any as AnyTrait

from . import charting, pictures
from .limits import limit_bundle
from .protocol import measure

if TYPE_CHECKING:
    from .kernel import Kernel

Hook = Callable[[dict[str, Any]], dict[str, Any] | None]


class _Sender:
    """What the display hook and the display publisher share: libraries may change, or take, what is about to be sent."""

    kernel: Kernel

    @property
    def _hooks(self) -> list[Hook]:
        hooks = self.__dict__.get("_polyrepl_hooks")
        if hooks is None:
            hooks = self.__dict__["_polyrepl_hooks"] = threading.local()
        found: list[Hook] = hooks.__dict__.setdefault("list", [])
        return found

    def register_hook(self, hook: Hook) -> None:
        """Let `hook` see every message of this thread; it returns the message to send, or None to keep it."""
        self._hooks.append(hook)

    def unregister_hook(self, hook: Hook) -> bool:
        """Remove a hook; returns whether it was there."""
        try:
            self._hooks.remove(hook)
        except ValueError:
            return False
        return True

    @property
    def parent_header(self) -> dict[str, Any]:
        """The header of the request on whose behalf the caller runs."""
        return self.kernel.cells.current().header

    def _send(self, msg_type: str, content: dict[str, Any], *, of_figure: bool = False) -> None:
        kernel = self.kernel
        cell = kernel.cells.current()
        metadata: dict[str, Any] = {"of_figure": True} if of_figure and cell.reads_items else {}
        data = content.get("data")
        if data and cell.limits.item_bytes is not None:
            data = content["data"] = dict(data)  # the caller may still own the bundle
            omitted = limit_bundle(data, cell.limits.item_bytes, measure)
            if omitted:
                metadata["omitted"] = omitted
        if self._hooks:
            message: dict[str, Any] | None = {
                "header": {"msg_type": msg_type, "session": kernel.outbox.session.id, "username": "kernel"},
                "msg_type": msg_type,
                "parent_header": cell.header,
                "metadata": metadata,
                "content": content,
            }
            for hook in list(self._hooks):
                message = hook(message)
                if message is None:
                    return
            content, metadata = message["content"], message.get("metadata") or {}
        # The value of a cell is followed by its reply; anything else may stand alone for a while.
        kernel.outbox.publish(msg_type, content, metadata=metadata, hold=msg_type == "execute_result")


class DisplayHook(_Sender, _DisplayHook):
    """Sends the value of a cell."""

    kernel = AnyTrait()
    is_sending = False

    def quiet(self) -> bool:
        """Whether the cell ends with a semicolon; it is not tokenized where it has none."""
        sources = self.shell.history_manager.input_hist_parsed
        return bool(sources) and ";" in sources[-1] and bool(super().quiet())

    def start_displayhook(self) -> None:
        """Begin: an error from now on means that the value could not be shown."""
        self.is_sending = True
        self._data: dict[str, Any] = {}
        self._metadata: dict[str, Any] = {}

    def fill_exec_result(self, result: Any) -> None:
        """Take the value itself."""
        super().fill_exec_result(result)
        self._of_figure = pictures.is_of_figure(result)

    def write_output_prompt(self) -> None:
        """Do nothing: the message carries the count."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        """Take the formatted value."""
        self._data, self._metadata = format_dict, md_dict or {}

    def finish_displayhook(self) -> None:
        """Send the value."""
        self.kernel.outbox.flush_streams()
        if self._data:
            content = {"execution_count": self.prompt_count, "data": self._data, "metadata": self._metadata}
            self._send("execute_result", content, of_figure=self._of_figure)
        self.is_sending = False


class DisplayPublisher(_Sender, _DisplayPublisher):
    """Sends what a cell displays."""

    kernel = AnyTrait()

    def publish(  # type: ignore[override]
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **kwargs: Any,
    ) -> None:
        """Send a MIME bundle (messaging protocol, "Display data")."""
        self.kernel.outbox.flush_streams()
        metadata = {} if metadata is None else metadata
        self._validate_data(data, metadata)
        if charting.PLOTLY in data and self.kernel.cells.current().reads_items:
            charting.add_text(data := dict(data))
        content = {"data": data, "metadata": metadata, "transient": transient or {}}
        self._send("update_display_data" if update else "display_data", content)

    def clear_output(self, wait: bool = False) -> None:
        """Send clear_output."""
        self.kernel.outbox.flush_streams()
        self._send("clear_output", {"wait": wait})

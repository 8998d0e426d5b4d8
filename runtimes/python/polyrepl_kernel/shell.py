"""The shell that runs user code: IPython's, with what a kernel changes in it."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

from IPython.core import page
from IPython.core.autocall import ZMQExitAutocall
from IPython.core.events import EventManager
from IPython.core.inputtransformer2 import leading_empty_lines
from IPython.core.interactiveshell import InteractiveShell, InteractiveShellABC
from IPython.core.payloadpage import page as payload_page
from IPython.utils.process import system
from traitlets import Any as AnyTrait
from traitlets import CBool, Instance, Type, default

from . import children, damage, formatting, groups, pictures, progress, values
from .compiler import CellCompiler
from .formatting import FORMATS, DisplayFormatter
from .imports import pose_as_notebook
from .interrupts import Interrupts, without_kernel_frames
from .plain import PlainCells
from .senders import DisplayHook, DisplayPublisher
from .signals import without_handlers
from .sources import SourceTB
from .tracebacks import KeepsErrors, shorten, text_of

# That programs have no terminal, as ipykernel says it.
NO_TERMINAL = {
    "TERM": "xterm-color",
    "CLICOLOR": "1",
    "FORCE_COLOR": "1",
    "CLICOLOR_FORCE": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
}


class ZMQInteractiveShell(KeepsErrors, InteractiveShell):
    """IPython's shell as a kernel has it; libraries look for a notebook by the name of this class."""

    displayhook_class = Type(DisplayHook)
    display_pub_class = Type(DisplayPublisher)
    compiler_class = Type(CellCompiler)
    kernel = AnyTrait()
    exiter = Instance(ZMQExitAutocall)
    readline_use = CBool(False)
    autoindent = CBool(False)
    keepkernel_on_exit: bool | None = True

    last_error: dict[str, Any] | None = None

    _figures: pictures.ShownFigures | None = None  # of this cell

    _last_traceback: list[str] | None
    _last_traceback_during_displayhook = False

    @default("exiter")
    def _default_exiter(self) -> ZMQExitAutocall:
        return ZMQExitAutocall(self)

    @property
    def db(self) -> Any:
        """What `%store` and other magics keep: in the directory of this kernel, not of the zygote that it was forked from."""
        place = os.path.join(os.environ.get("IPYTHONDIR") or self.ipython_dir, "profile_default", "db")
        kept = self.__dict__.get("_kept")
        if kept is None or str(kept.root) != place:
            from IPython.external.pickleshare import PickleShareDB

            kept = self.__dict__["_kept"] = PickleShareDB(place)
        return kept

    @db.setter
    def db(self, value: object) -> None:
        """IPython opens one at its start, if it is an older one."""

    @property
    def interrupts(self) -> Interrupts:
        """The kernel's interrupt handling."""
        interrupts: Interrupts = self.kernel.interrupts
        return interrupts

    @property
    def parent_header(self) -> dict[str, Any]:
        """The request on whose behalf the caller runs, as a message of its header alone."""
        return self.get_parent()

    def get_parent(self) -> dict[str, Any]:
        """The request on whose behalf the caller runs, as a message of its header alone."""
        return {"header": self.kernel.cells.current().header}

    def init_instance_attrs(self) -> None:
        """Count leading blank lines, so that errors name the lines that the user sees."""
        super().init_instance_attrs()
        transforms = self.input_transformer_manager.cleanup_transforms
        transforms[transforms.index(leading_empty_lines)] = _blank_lines_before_marks

    def init_traceback_handlers(self, custom_exceptions: Any) -> None:
        """Show the right lines of cells, and tracebacks of bounded length."""
        super().init_traceback_handlers(custom_exceptions)
        self.InteractiveTB = SourceTB(mode=self.xmode, theme_name=self.colors, tb_offset=1)
        around = {module.__file__ for module in (formatting, pictures, progress, values)}
        self.InteractiveTB.hidden = frozenset({*around, ZMQInteractiveShell.enable_matplotlib.__code__})

    def init_prefilter(self) -> None:
        """Remember the transformations as they are at the start."""
        super().init_prefilter()
        self._plain_cells = PlainCells(self)

    def transform_cell(self, raw_cell: str) -> str:
        """The cell as Python; most are that as they stand, and are spared the tokenizer."""
        if self._plain_cells.include(raw_cell):
            return raw_cell if raw_cell.endswith("\n") else raw_cell + "\n"
        return str(super().transform_cell(raw_cell))

    def init_environment(self) -> None:
        """Tell programs that they have no terminal."""
        for name, value in NO_TERMINAL.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    def init_hooks(self) -> None:
        """Page through the frontend's pager."""
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(payload_page), 99)

    def init_display_formatter(self) -> None:
        """Use the formatter that knows plain values."""
        self.display_formatter = DisplayFormatter(parent=self)
        self.configurables.append(self.display_formatter)

    def init_virtualenv(self) -> None:
        """Do nothing: the interpreter of the settings is the one that is wanted."""

    def init_magics(self) -> None:
        """Know the magics of kernels; they come from ipykernel, which is imported by the first use of one."""
        super().init_magics()
        register = self.magics_manager.register_lazy
        # Not every IPython asks; where it does not, lists of cell magics have them too.
        kind = {"magic_kind": "line"} if "magic_kind" in inspect.signature(register).parameters else {}
        for name in ("clear", "cls", "connect_info", "ed", "edit", "less", "man", "more", "qtconsole", "autosave"):
            register(name, f"{__package__}.magics", **kind)

    def note_figure(self, figure: Any) -> None:
        """Take down that the cell has shown a figure, as it is now."""
        self._figures = self._figures or pictures.ShownFigures()
        self._figures.note(figure)

    def close_shown_figures(self) -> None:
        """Close the figures that the cell has shown itself, at its end."""
        figures, self._figures = self._figures, None
        if figures is not None:
            figures.close()

    def enable_matplotlib(self, gui: str | None = None) -> tuple[Any, Any]:
        """Choose a backend of matplotlib; for a client that reads items, none that shows nothing."""
        is_hidden = pictures.is_backend_without_display(gui) and self.kernel.cells.current().reads_items
        chosen: tuple[Any, Any] = super().enable_matplotlib("inline" if is_hidden else gui)
        return chosen

    def enable_gui(self, gui: str | None = None) -> None:
        """Accept the absence of a GUI, which is all that there is. Raises NotImplementedError for a toolkit's name."""
        if gui not in (None, "", "inline", "none"):
            msg = f"no GUI event loops here, and so no {gui!r}; use %matplotlib inline"
            raise NotImplementedError(msg)

    def ask_exit(self) -> None:
        """Tell the frontend that the user wants to leave; the kernel stays. A process that user code forked ends."""
        if self.kernel.is_forked_child:
            raise SystemExit(self.keepkernel_on_exit or 0)  # whatever `exit` was given
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": True})

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """Ask the frontend to put `text` into the next cell, or with `replace` into this one."""
        self.payload_manager.write_payload({"source": "set_next_input", "text": text, "replace": replace})

    def system_piped(self, cmd: str) -> None:
        """Run a command and pass its output on as it comes; its exit code becomes `_exit_code`."""
        if cmd.rstrip().endswith("&"):
            msg = "Background processes not supported."
            raise OSError(msg)
        from pexpect.pty_spawn import spawn  # which IPython imports for its first command, too

        self.interrupts.places.never_tears(spawn.__init__)
        command = self.var_expand(cmd, depth=1)
        raised = self.interrupts.raised
        try:
            self.user_ns["_exit_code"] = system(command)
        finally:
            # IPython ends the command and goes on with the cell, or fails where there is no command yet.
            if self.interrupts.raised != raised:
                raise KeyboardInterrupt

    system = system_piped

    def _tee(self, channel: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do without IPython's copy of everything that is printed, which would stay in memory for good."""
        return nullcontext()

    async def run_code(self, code_obj: Any, result: Any = None, *, async_: bool = False) -> bool:
        """Run a statement; an interrupt that came before it stops it, one while it awaits cancels it."""
        self.interrupts.raise_early()
        if not async_:
            return await self._run_code(code_obj, result, async_=False)
        task = asyncio.current_task(self.kernel.loop)  # also in a process that the cell has forked
        with self.interrupts.awaiting(task):
            failed = await self._run_code(code_obj, result, async_=True)
        if task is not None and self.interrupts.cancelled:
            task.uncancel()
        return failed

    async def _run_code(self, code_obj: Any, result: Any, *, async_: bool) -> bool:
        failed = await super().run_code(code_obj, result, async_=async_)
        if self.interrupts.cancelled and result is not None:
            result.error_in_exec = self._interrupt_for(result.error_in_exec)
        return bool(failed)

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Report an error; the cancellation by which an awaiting cell was interrupted is a KeyboardInterrupt."""
        self.interrupts.reported = True
        found = exc_tuple or sys.exc_info()
        error = self._interrupt_for(found[1]) if self.interrupts.cancelled else found[1]
        if isinstance(error, BaseException):
            shorten(error)
            frames = without_handlers(found[2] if error is found[1] else error.__traceback__)
            if isinstance(error, KeyboardInterrupt):
                without_kernel_frames(frames)
            exc_tuple = (type(error), error, frames)
        self._choose_colors()
        if groups.has_group(error):
            self._show_group(error, exc_tuple[2] if exc_tuple else error.__traceback__)
        else:
            super().showtraceback(exc_tuple, *args, **kwargs)

    def _show_group(self, error: BaseException, frames: TracebackType | None) -> None:
        self._showtraceback(type(error), error, groups.traceback_of(error, frames, self._name_of_source))
        if self.call_pdb:
            self.debugger(force=True)

    def _name_of_source(self, filename: str) -> str:
        """What IPython's tracebacks call a cell; a file's own name."""
        return " ".join(self.compile.format_code_name(filename) or (filename,))

    def _interrupt_for(self, error: BaseException | None) -> BaseException | None:
        """What a cancellation of the running cell stands for."""
        if not isinstance(error, asyncio.CancelledError):
            return error
        return self.interrupts.cause or KeyboardInterrupt().with_traceback(error.__traceback__)

    def showsyntaxerror(self, *args: Any, **kwargs: Any) -> None:
        """Report an error in the code itself."""
        self._choose_colors()
        super().showsyntaxerror(*args, **kwargs)

    def _choose_colors(self) -> None:
        """Have the traceback in colours where the cell's client wants that, or the user."""
        wanted = self.colors == "nocolor" and self.kernel.cells.current().colors
        for formatter in (self.InteractiveTB, self.SyntaxTB):
            formatter.set_theme_name("neutral" if wanted else self.colors)

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException | None, stb: list[str]) -> None:
        self.kernel.outbox.flush_streams()
        self._last_traceback = stb
        if self.displayhook.is_sending:
            self._last_traceback_during_displayhook = True
        if self.kernel.is_forked_child:
            children.report(etype, stb)
        error: dict[str, Any] = {"ename": str(etype.__name__), "evalue": text_of(evalue), "traceback": stb}
        damage.add_advice(error, self.user_ns)
        self.last_error = error
        self.kernel.outbox.publish("error", error, hold=True)


def _blank_lines_before_marks(lines: list[str]) -> list[str]:
    """Drop leading blank lines only where IPython looks for a mark in the first line: a cell magic, a pasted prompt."""
    kept = leading_empty_lines(lines)
    marked = bool(kept) and kept[0].lstrip().startswith(("%%", ">>>", "In ["))
    return list(kept) if marked else lines


def watch(interrupts: Interrupts) -> None:
    """Tell the interrupts which functions run user code."""
    interrupts.places.runs_user_code(
        ZMQInteractiveShell.run_code, ZMQInteractiveShell._run_code, InteractiveShell.run_code
    )
    interrupts.places.runs_hooks(EventManager.trigger)
    interrupts.places.may_stop(ZMQInteractiveShell.system_piped, *FORMATS)


InteractiveShellABC.register(ZMQInteractiveShell)
ZMQInteractiveShell.__module__ = "ipykernel.zmqshell"
pose_as_notebook(ZMQInteractiveShell)

# IPython's advice after sys.exit() is for terminals.
warnings.filterwarnings("ignore", message="To exit: use 'exit', 'quit', or Ctrl-D", category=UserWarning)

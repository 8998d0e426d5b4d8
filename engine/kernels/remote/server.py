"""A remote Jupyter: the REST side of a Jupyter Server, Kernel Gateway or Enterprise Gateway, where kernels can run.

Whatever goes wrong there is told as a ConnectionError whose text says what and where, fit for a client; it never holds the token."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from engine.log import get_logger

if TYPE_CHECKING:  # an optional dependency, loaded when it is needed
    import httpx

_NEEDED = ("httpx", "websockets")
_ANSWER_WAIT = 10.0  # seconds for an answer to what takes the remote no work
_CONNECT_WAIT = 5.0
_CHECK_WAIT = 3.0  # seconds that somebody who asks how the remote is waits for it
_CHECK_AGE = 2.0  # seconds that what was found stands
_DELETE_WAIT = 20.0  # a graceful end takes Jupyter up to ten
_DELETE_ATTEMPTS = 3
_DELETE_PAUSE = 1.0
_CLOSE_WAIT = 15.0  # seconds that the end of the engine waits for kernels to be deleted
_MAX_ANSWER = 4 * 1024 * 1024  # bytes
_PARSED_AT_ONCE = 64 * 1024  # bytes
_UNCOMPRESSED = {"Accept-Encoding": "identity"}  # so that an answer is not larger than what is received of it
_MAX_REASON = 300  # characters of the remote's own words


@dataclass(frozen=True, slots=True)
class RemoteKernelSpec:
    """What the remote says of one of its kernelspecs."""

    name: str
    display_name: str
    language: str


def remote_problem(url: str) -> str | None:
    """Why no remote can be used from here; None where nothing on this side is missing."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"a remote Jupyter needs {' and '.join(missing)}: pip install 'polyrepl[jupyter]'"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"the setting jupyter_url must be an http or https URL, not {url!r}"
    return None


class RemoteServer:
    """One remote Jupyter. Used inside one event loop; `aclose` waits, for a while, until what was discarded is gone."""

    def __init__(self, url: str, token: str | None = None, *, start_timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._start_timeout = start_timeout
        self._client: httpx.AsyncClient | None = None
        self._specs: dict[str, RemoteKernelSpec] = {}
        self._deletions: set[asyncio.Task[None]] = set()
        self._check: asyncio.Task[str | None] | None = None
        self._check_until = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return f"<RemoteServer {self.url}, {len(self._deletions)} deletions>"

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries; the `token` scheme is the one that all servers of Jupyter know."""
        return {"Authorization": f"token {self._token}"} if self._token else {}

    def websocket_url(self, kernel_id: str, session_id: str) -> str:
        """The address of a kernel's channels; `session_id` is what the remote keeps messages for after a cut."""
        return (
            f"ws{self.url.removeprefix('http')}/api/kernels/{quote(kernel_id)}/channels?session_id={quote(session_id)}"
        )

    def known_language(self, name: str) -> str:
        """The language of a kernelspec; empty until the remote has been asked."""
        return self._specs[name].language if name in self._specs else ""

    async def find_kernelspec(self, name: str) -> RemoteKernelSpec:
        """The remote's kernelspec of that name, asked for once."""
        if name not in self._specs:
            self._specs.update(await self._kernelspecs())
        if name not in self._specs:
            known = ", ".join(sorted(self._specs)) or "none"
            raise ConnectionError(f"{self.url} has no kernelspec {name!r}; it has: {known}")
        return self._specs[name]

    async def problem(self, names: set[str]) -> str | None:
        """What is wrong with the remote, or with one of these kernelspecs of it; None where all answers. Takes seconds at most,
        and asks no more often than every other second, however many want to know."""
        now = asyncio.get_running_loop().time()
        if self._check is None or (self._check.done() and now >= self._check_until):
            self._check = asyncio.create_task(self._look(names))
            self._check_until = now + _CHECK_AGE
        await asyncio.wait({self._check}, timeout=_CHECK_WAIT)
        if not self._check.done():
            return f"{self.url} does not answer in {_CHECK_WAIT:g} s"
        return None if self._check.cancelled() else self._check.result()

    async def _look(self, names: set[str]) -> str | None:
        try:
            self._specs = await self._kernelspecs()
            for name in names:
                await self.find_kernelspec(name)
        except ConnectionError as error:
            return str(error)
        return None

    async def _kernelspecs(self) -> dict[str, RemoteKernelSpec]:
        body = await self._request("GET", "/api/kernelspecs", timeout=_ANSWER_WAIT)
        found = body.get("kernelspecs") if isinstance(body, dict) else None
        if not isinstance(found, dict):
            raise ConnectionError(f"{self.url} does not answer as Jupyter does: no kernelspecs in /api/kernelspecs")
        return {name: _kernelspec(name, model) for name, model in found.items()}

    async def start_kernel(self, name: str, env: Mapping[str, str]) -> str:
        """Start a kernel there; returns its id. A start that is cancelled, or takes too long, leaves no kernel behind."""
        await self.find_kernelspec(name)
        chosen = str(uuid.uuid4())
        # With an `env`, even an empty one, a gateway gives the kernel little of its own environment.
        body = {"name": name, "kernel_id": chosen, **({"env": dict(env)} if env else {})}
        starting = asyncio.create_task(self._request("POST", "/api/kernels", body=body, timeout=self._start_timeout))
        try:
            model = await asyncio.shield(starting)
        except BaseException:
            self._in_background(self._abandon(starting, chosen))
            raise
        kernel_id = _id_of(model)
        if kernel_id is None:
            raise ConnectionError(f"{self.url} does not answer as Jupyter does: its new kernel has no id")
        return kernel_id

    async def _abandon(self, starting: asyncio.Task[Any], chosen: str) -> None:
        """Delete what a start that nobody waits for any more makes: only once it is made the remote knows its id."""
        await asyncio.wait({starting})
        failed = starting.cancelled() or starting.exception() is not None
        await self._delete((None if failed else _id_of(starting.result())) or chosen)

    async def interrupt_kernel(self, kernel_id: str) -> None:
        await self._request("POST", f"/api/kernels/{quote(kernel_id)}/interrupt", body={}, timeout=_ANSWER_WAIT)

    async def kernel_state(self, kernel_id: str) -> str | None:
        """The execution state that the remote tells; None where it knows no such kernel (any more)."""
        model = await self._request("GET", f"/api/kernels/{quote(kernel_id)}", timeout=_ANSWER_WAIT, absent=None)
        state = model.get("execution_state") if isinstance(model, dict) else None
        return None if model is None else str(state)

    def discard(self, kernel_id: str) -> None:
        """Have a kernel deleted, in the background: nobody waits for a graceful end."""
        self._in_background(self._delete(kernel_id))

    def _in_background(self, deleting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(deleting)
        self._deletions.add(task)
        task.add_done_callback(self._deletions.discard)

    async def _delete(self, kernel_id: str) -> None:
        reason = ""
        for attempt in range(_DELETE_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_DELETE_PAUSE)
            try:
                await self._request("DELETE", f"/api/kernels/{quote(kernel_id)}", timeout=_DELETE_WAIT, absent=None)
            except ConnectionError as error:
                reason = str(error)
                if self._closed:
                    break
            else:
                return
        get_logger().warning("remote_kernel_left", remote_kernel=kernel_id, reason=reason)

    async def aclose(self) -> None:
        """Wait until what was discarded is gone, for a while, and close the connections. May be called again."""
        if self._check is not None:
            self._check.cancel()
        if self._deletions:
            _, left = await asyncio.wait(self._deletions, timeout=_CLOSE_WAIT)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
        self._closed = True  # from here on: the deletions were requests too
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _request(self, method: str, path: str, *, timeout: float, body: Any = None, **absent: None) -> Any:
        """One request; the decoded JSON of the answer. `absent=None`: 404 is an answer too, None."""
        import httpx

        if self._closed:
            raise ConnectionError(f"{self.url} is not asked any more: the connections to it are closed")
        if self._client is None:
            pool = httpx.Limits(max_connections=100, max_keepalive_connections=20)
            self._client = httpx.AsyncClient(headers={**_UNCOMPRESSED, **self.headers}, limits=pool, trust_env=False)
        limits = httpx.Timeout(timeout, connect=_CONNECT_WAIT)
        raw = bytearray()
        try:
            async with (
                asyncio.timeout(_CONNECT_WAIT + timeout),
                self._client.stream(method, self.url + path, json=body, timeout=limits) as response,
            ):
                async for chunk in response.aiter_raw():
                    raw += chunk
                    if len(raw) > _MAX_ANSWER:
                        break
        except (httpx.TimeoutException, TimeoutError):
            raise ConnectionError(f"{self.url} does not answer {method} {path} in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ConnectionError(f"{self.url} cannot be reached: {str(error)[:_MAX_REASON]}") from None
        if len(raw) > _MAX_ANSWER:
            raise ConnectionError(f"{self.url} answers {method} {path} with more than {_MAX_ANSWER} bytes")
        if response.status_code == 404 and absent:
            return None
        found = None
        try:
            if raw:
                found = json.loads(raw) if len(raw) <= _PARSED_AT_ONCE else await asyncio.to_thread(json.loads, raw)
        except (ValueError, RecursionError):
            if response.is_success:
                raise ConnectionError(f"{self.url} does not answer {method} {path} with JSON") from None
        if response.is_success:
            return found
        raise ConnectionError(self._refusal(method, path, response, found))

    def _refusal(self, method: str, path: str, response: httpx.Response, body: Any) -> str:
        said = _said(response, body)
        if response.status_code in (401, 403) and (method == "GET" or response.status_code == 401):
            how = "the token is wrong" if self._token else "a token is needed"
            return f"{self.url} refuses access ({response.status_code}): {how}; see the setting jupyter_token"
        return f"{self.url} answers {method} {path} with {response.status_code}" + (f": {said}" if said else "")


def _id_of(model: Any) -> str | None:
    kernel_id = model.get("id") if isinstance(model, dict) else None
    return kernel_id if isinstance(kernel_id, str) and kernel_id else None


def _kernelspec(name: str, model: Any) -> RemoteKernelSpec:
    spec = model.get("spec") if isinstance(model, dict) else None
    spec = spec if isinstance(spec, dict) else {}
    return RemoteKernelSpec(name, str(spec.get("display_name") or name), str(spec.get("language") or "").lower())


def _said(response: httpx.Response, body: Any) -> str:
    """The remote's own words, one line of them: a traceback may follow. `body`: None for what is no JSON."""
    if body is None:
        return response.reason_phrase
    said = str((body.get("message") or body.get("reason") or "") if isinstance(body, dict) else "")
    return said.strip().partition("\n")[0][:_MAX_REASON]

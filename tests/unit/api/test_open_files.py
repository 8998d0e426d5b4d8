"""A server without file descriptors refuses a kernel for now, with the reason, in every dialect."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from engine.kernels.provisioners.fake import FakeProvisioner

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/execute", {"code": "1"}),
        ("/contexts", {}),
        ("/kernels", {}),
        ("/api/kernels", {}),
        ("/api/v1/code-interpreter/sessions", {"language": "python"}),
    ],
)
async def test_a_kernel_that_gets_no_descriptor_is_a_429(
    api, monkeypatch: pytest.MonkeyPatch, number: int, path: str, body: dict[str, Any]
):
    async def launch(*_: Any, **__: Any) -> None:
        raise OSError(number, "Too many open files")

    monkeypatch.setattr(FakeProvisioner, "launch_kernel", launch)
    response = await (await api()).client.post(path, json=body)
    assert response.status_code == 429, response.text
    assert response.headers["retry-after"] == "5"
    assert "no file descriptors left" in response.text


async def test_it_works_again_when_there_are_some(api, monkeypatch: pytest.MonkeyPatch):
    client = (await api()).client
    with monkeypatch.context() as patch:

        async def launch(*_: Any, **__: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        patch.setattr(FakeProvisioner, "launch_kernel", launch)
        assert (await client.post("/execute", json={"code": "1", "context_id": "a"})).status_code == 429
    assert (await client.post("/execute", json={"code": "1", "context_id": "a"})).status_code == 200

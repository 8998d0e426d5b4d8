"""A Python context and what one does with its branches and checkpoints."""

from __future__ import annotations

from typing import Any

from tests.harness.client import Json, Repl


class Branch(Repl):
    """A Python context with what this suite does to it."""

    def post(self, action: str, body: Json | None = None) -> Any:
        return self.client.http.post(f"/contexts/{self.id}/{action}", json=body or {})

    def fork(self, **body: Any) -> Branch:
        return Branch(self.client, "python", self.forked(**body)["id"])

    def forked(self, **body: Any) -> Json:
        response = self.post("fork", body)
        assert response.status_code == 201, response.text
        return dict(response.json())

    def keep(self, **body: Any) -> str:
        response = self.post("checkpoints", body)
        assert response.status_code == 201, response.text
        return str(response.json()["checkpoint"])

    def restore(self, checkpoint: str) -> None:
        response = self.post("restore", {"checkpoint": checkpoint})
        assert response.status_code == 200, response.text

    def checkpoints(self) -> list[Json]:
        response = self.client.http.get(f"/contexts/{self.id}/checkpoints")
        assert response.status_code == 200, response.text
        return list(response.json()["items"])

    def obstacles(self, action: str = "fork") -> list[tuple[str, str]]:
        response = self.post(action)
        assert response.status_code == 409, response.text
        return [(each["kind"], each["name"]) for each in response.json()["obstacles"]]

    def value(self, code: str, **fields: Any) -> Any:
        """What an expression is, read from its text."""
        result = self.run(code, **fields)
        assert result.status == "ok", result
        assert result.text is not None
        return eval(result.text)

    def does(self, code: str, **fields: Any) -> None:
        result = self.run(code, **fields)
        assert result.status == "ok", result

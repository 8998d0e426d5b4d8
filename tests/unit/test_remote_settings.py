"""The settings of a remote Jupyter: their own variables, Jupyter's, and what they mean for each language."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core import Engine
from engine.settings import Settings, load_settings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("name", "default", "value"),
    [
        ("jupyter_url", "http://localhost:8888", "http://elsewhere:1"),
        ("jupyter_token", None, "secret"),
        ("jupyter_kernel", "python3", "conda"),
        ("jupyter_file_root", None, "/data"),
    ],
)
def test_jupyters_variable_is_read_and_ours_wins(
    monkeypatch: pytest.MonkeyPatch, name: str, default: str | None, value: str
) -> None:
    def found() -> object:
        setting = getattr(Settings(), name)
        return setting.get_secret_value() if name == "jupyter_token" and setting else setting

    assert found() == default
    monkeypatch.setenv(name.upper(), value)
    assert found() == value
    monkeypatch.setenv(f"POLYREPL_{name.upper()}", f"{value}2")
    assert found() == f"{value}2"


def test_a_settings_file_and_flags_have_them_too(tmp_path: Path) -> None:
    config = tmp_path / "polyrepl.toml"
    config.write_text('backend = "jupyter"\njupyter_kernel = "conda"\njupyter_languages = {r = "ir"}\n')
    settings = load_settings(config, jupyter_file_root="/data")
    assert settings.remote_languages == {"python": "conda", "r": "ir"}
    assert settings.jupyter_file_root == "/data"


@pytest.mark.parametrize("values", [{"jupyter_file_root": "relative"}, {"jupyter_timeout": 4000.0}])
def test_what_cannot_be_meant_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="jupyter_"):
        load_settings(None, **values)


async def test_python_stays_here_while_r_is_remote(tmp_path: Path) -> None:
    settings = Settings(run_dir=tmp_path, jupyter_languages={"r": "ir"}, jupyter_timeout=7.0, default_timeout=5.0)
    async with Engine(settings) as engine:
        kernels = {info.name: info.kernel for info in engine.capabilities.infos()}
        assert (kernels["python"], kernels["r"]) == ("polyrepl-python", "jupyter:ir")
        assert engine.check_language("r").backend.default_timeout == 7.0
        assert engine.check_language("python").backend.default_timeout == 5.0

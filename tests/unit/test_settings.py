"""Settings: one definition each, given as a flag, a variable or a key of a TOML file, and refused by name when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.settings import Settings, load_settings


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "polyrepl.toml"
    path.write_text(text)
    return path


def test_the_defaults_listen_on_loopback_only():
    assert Settings().host == "127.0.0.1"
    assert Settings().is_loopback
    assert Settings().secret is None


def test_a_variable_sets_a_setting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYREPL_PORT", "9001")
    assert load_settings().port == 9001


def test_flags_win_over_variables_and_variables_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path, "port = 1\nmax_contexts = 2\nqueue_size = 3\n")
    monkeypatch.setenv("POLYREPL_PORT", "10")
    monkeypatch.setenv("POLYREPL_MAX_CONTEXTS", "20")
    settings = load_settings(path, port=100)
    assert (settings.port, settings.max_contexts, settings.queue_size) == (100, 20, 3)


@pytest.mark.parametrize(
    "name", ["allowed_hosts", "allowed_origins", "kernel_env_allow", "kernelspecs", "pool_languages"]
)
def test_a_list_is_also_read_from_names_with_commas(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"POLYREPL_{name.upper()}", "a, b,,c ")
    assert getattr(load_settings(), name) == ["a", "b", "c"]


def test_a_list_in_the_file_is_a_toml_list(tmp_path: Path):
    assert load_settings(write(tmp_path, 'kernelspecs = ["bash"]')).kernelspecs == ["bash"]


def test_the_environment_of_kernels_is_a_json_object_in_a_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYREPL_KERNEL_ENV", '{"A": "1"}')
    assert load_settings().kernel_env == {"A": "1"}


def test_an_unknown_key_in_the_file_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ValidationError, match="prot"):
        load_settings(write(tmp_path, "prot = 8000"))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nope\.toml"):
        load_settings(tmp_path / "nope.toml")


def test_a_file_that_is_no_toml_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="line 1"):
        load_settings(write(tmp_path, "port = = 3"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("max_contexts", 0),
        ("pool_min", -1),
        ("pool_max", -1),
        ("queue_size", 0),
        ("default_timeout", 0),
        ("max_timeout", -1),
        ("interrupt_grace", 0),
        ("max_stream_bytes", 10),
        ("max_items", 1),
        ("max_events", 1),
        ("max_request_bytes", 0),
        ("log_level", "loud"),
        ("context_idle_timeout", 0),
        ("default_timeout", float("nan")),
        ("default_timeout", float("inf")),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object):
    with pytest.raises(ValidationError) as caught:
        Settings(**{name: value})
    assert name in str(caught.value)


def test_a_default_timeout_above_the_largest_is_refused():
    with pytest.raises(ValidationError, match="default_timeout"):
        Settings(default_timeout=10, max_timeout=5)


@pytest.mark.parametrize(
    "given", [{"max_kernels": 1}, {"max_kernels": 0}, {"pool_max": 1}, {"max_timeout": 10.0}, {"max_contexts": 1}]
)
def test_a_default_gives_way_to_what_is_set(given: dict[str, float]):
    assert Settings(**given)


def test_what_is_set_must_fit_together():
    with pytest.raises(ValidationError, match=r"pool_min \(KG_PRESPAWN_COUNT\) is larger than max_kernels"):
        Settings(pool_min=2, max_kernels=1)


def test_a_floor_of_the_pool_above_its_ceiling_is_refused_unless_the_pool_is_off():
    with pytest.raises(ValidationError, match="pool_min"):
        Settings(pool_min=3, pool_max=2)
    assert Settings(pool_max=0).pool_min == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_another_address_without_a_token_is_refused(host: str):
    with pytest.raises(ValidationError, match="token"):
        Settings(host=host)
    with pytest.raises(ValidationError, match="token"):
        Settings(host=host, token="")


def test_another_address_with_a_token_is_allowed():
    settings = Settings(host="0.0.0.0", token="secret")
    assert not settings.is_loopback
    assert settings.secret == "secret"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_addresses_need_no_token(host: str):
    assert Settings(host=host).is_loopback


def test_the_token_never_shows():
    assert "secret-token" not in repr(Settings(token="secret-token"))


def test_every_setting_is_described():
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("kernel_rlimits", '{"NOFILE": 500}', {"NOFILE": 500}),
        ("kernel_env", '{"A": "b"}', {"A": "b"}),
        ("gateway_headers", '{"A": "b"}', {"A": "b"}),
    ],
)
def test_a_json_object_is_read_from_a_flag_as_from_a_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: dict[str, object]
):
    assert getattr(load_settings(**{name: text}), name) == value
    monkeypatch.setenv(f"POLYREPL_{name.upper()}", text)
    assert getattr(load_settings(), name) == value
    for wrong in ("x", "[1]", "1"):
        monkeypatch.setenv(f"POLYREPL_{name.upper()}", wrong)
        with pytest.raises(ValidationError, match=f"{name}[^|]*must be a JSON object"):
            load_settings()

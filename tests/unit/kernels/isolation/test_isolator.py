"""What a request may ask for, and what settings of isolation are refused with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.errors import InvalidRequest
from engine.kernels.isolation import Isolator
from engine.kernels.isolation.probe import Capability
from engine.kernels.readable import Readable
from engine.metrics import Metrics
from engine.options import Isolation
from engine.settings import Settings, Tier

ALL = Capability(dict.fromkeys((Tier.PROCESS, Tier.LANDLOCK, Tier.NAMESPACES)))


def isolator(
    default: Isolation = Isolation(Tier.NAMESPACES, "none"),  # noqa: B008 - it is frozen
    capability: Capability = ALL,
    **settings: object,
) -> Isolator:
    made = Settings(**settings)
    found = Isolator(made, Readable(made), metrics=Metrics(), is_on=True)
    found.default, found.capability = default, capability
    return found


def test_a_request_that_asks_for_nothing_gets_the_default() -> None:
    assert isolator().resolve(None, None) is None
    assert isolator().resolve("namespaces", "none") is None


@pytest.mark.parametrize("less", ["none", "process", "landlock", "everything"])
def test_less_is_refused_by_field_value_and_what_is_allowed(less: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        isolator().resolve(less, None)
    assert refused.value.explanation == f"isolation: {less!r} is not allowed on this server; allowed: namespaces"


def test_more_is_allowed_if_it_works() -> None:
    low = isolator(Isolation(Tier.PROCESS, "open"))
    assert low.resolve("namespaces", None) == Isolation(Tier.NAMESPACES, "open")
    broken = Capability({Tier.NAMESPACES: "user namespace: Operation not permitted", Tier.PROCESS: None})
    with pytest.raises(InvalidRequest, match="allowed: process"):
        isolator(Isolation(Tier.PROCESS, "open"), broken).resolve("namespaces", None)


def test_the_operator_may_allow_less() -> None:
    allowing = isolator(isolation_lowest="process")
    assert allowing.resolve("process", None) == Isolation(Tier.PROCESS, "open")
    with pytest.raises(InvalidRequest, match="allowed: process, landlock, namespaces"):
        allowing.resolve("none", None)


def test_a_network_is_allowed_by_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        isolator().resolve(None, "open")
    assert refused.value.explanation == "network: 'open' is not allowed on this server; allowed: none"
    assert isolator(networks_allowed=["open"]).resolve(None, "open") == Isolation(Tier.NAMESPACES, "open")


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("context_uids", "0-10", "no range of user ids"),
        ("context_uids", "60000-50000", "no range of user ids"),
        ("context_uids", "50000", "no range of user ids"),
        ("read_only_mounts", "data", "is no mount"),
        ("read_only_mounts", "/", "is no mount"),
        ("devices", "/etc/passwd", "is no device"),
        ("isolation", "strong", "Input should be"),
        ("networks_allowed", "some", "Input should be"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting: str, value: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**{setting: value})
    assert setting in str(refused.value)
    assert says in str(refused.value)


def test_a_mount_has_one_path_or_two() -> None:
    assert Settings(read_only_mounts="/data,/srv/x:/data2").mounts == [("/data", "/data"), ("/srv/x", "/data2")]


def test_a_program_in_a_home_shows_no_more_than_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "home" / "bin" / "node"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    (tmp_path / "home" / "secret").touch()
    shown = Readable(Settings(node=program)).common()
    assert str(program) in shown
    assert not any(str(tmp_path / "home" / "secret").startswith(f"{path}/") for path in shown)

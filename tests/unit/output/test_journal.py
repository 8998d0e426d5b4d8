"""The event log: numbered from 1, bounded, readable from anywhere, honest about what is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models import Event, Failed, Gap, InputRequest, Item, ItemAdded, ItemUpdated, Stdout
from engine.output.journal import Journal


def journal(*, max_events: int = 100, max_bytes: int = 1_000_000) -> Journal:
    return Journal(max_events=max_events, max_bytes=max_bytes)


def texts(entries: list[tuple[int, Event]]) -> list[tuple[int, str | int]]:
    return [(number, event.missed if isinstance(event, Gap) else event.text) for number, event in entries]


def filled(count: int, **bounds: int) -> Journal:
    log = journal(**bounds)
    for number in range(1, count + 1):
        log.append(Stdout(text=str(number)))
    return log


def test_events_are_numbered_from_one():
    log = filled(3)
    assert texts(log.read(0)) == [(1, "1"), (2, "2"), (3, "3")]
    assert log.last == 3


def test_a_reader_gets_what_is_above_the_number_it_names():
    assert texts(filled(3).read(2)) == [(3, "3")]


@pytest.mark.parametrize("after", [3, 4, 10**15])
def test_a_reader_beyond_the_end_gets_nothing(after: int):
    assert filled(3).read(after) == []


def test_a_negative_number_means_from_the_start():
    assert texts(filled(1).read(-5)) == [(1, "1")]


def test_an_empty_journal_has_nothing_to_read():
    log = journal()
    assert log.read(0) == []
    assert log.last == 0


def test_the_oldest_events_go_and_a_gap_tells_how_many():
    assert texts(filled(5, max_events=2).read(0)) == [(3, 3), (4, "4"), (5, "5")]


def test_a_reader_that_has_seen_the_lost_events_gets_no_gap():
    assert texts(filled(5, max_events=2).read(3)) == [(4, "4"), (5, "5")]


def test_a_gap_counts_only_what_this_reader_misses():
    assert texts(filled(5, max_events=2).read(1)) == [(3, 2), (4, "4"), (5, "5")]


def test_text_above_the_bound_pushes_the_oldest_out():
    log = journal(max_bytes=10_000)
    for letter in "abc":
        log.append(Stdout(text=letter * 4_000))
    assert [number for number, _ in log.read(0)] == [1, 2, 3]
    assert isinstance(log.read(0)[0][1], Gap)
    assert log.size <= 10_000


def test_the_newest_event_stays_whatever_its_size():
    log = journal(max_bytes=10)
    log.append(Stdout(text="x" * 1000))
    assert texts(log.read(0)) == [(1, "x" * 1000)]


BIG = "x" * 50_000


@pytest.mark.parametrize(
    "event",
    [
        Stdout(text=BIG),
        Failed(name="E", value=BIG, traceback=""),
        Failed(name="E", value="", traceback=BIG),
        ItemAdded(index=0, item=Item(is_primary=False, text=BIG)),
        ItemAdded(index=0, item=Item(is_primary=False, json={"a": [BIG]})),
        ItemAdded(index=0, item=Item(is_primary=False, extra={"x/y": BIG})),
        ItemAdded(index=0, item=Item(is_primary=False, metadata={"x": BIG})),
        ItemUpdated(index=0, item=Item(is_primary=False, json=BIG)),
        InputRequest(prompt=BIG, password=False),
    ],
    ids=lambda event: type(event).__name__,
)
def test_every_kind_of_event_counts_with_what_it_carries(event: Event):
    log = journal(max_bytes=200_000)
    for _ in range(20):
        log.append(event)
    assert len(log.read(0)) <= 6


def test_readers_are_woken_by_an_event_and_by_the_end_until_they_leave():
    log = journal()
    woken: list[str] = []

    def wake() -> None:
        woken.append("woken")

    log.subscribe(wake)
    log.append(Stdout(text="a"))
    assert woken == ["woken"]
    log.close()
    assert woken == ["woken"] * 2
    log.unsubscribe(wake)
    log.append(Stdout(text="b"))
    assert woken == ["woken"] * 2


def test_a_journal_shows_its_range_and_whether_it_is_closed():
    log = filled(5, max_events=2)
    assert repr(log) == "<Journal 4..5>"
    log.close()
    assert repr(log) == "<Journal 4..5 closed>"


@given(st.lists(st.text(max_size=400), max_size=40), st.integers(1, 10), st.integers(300, 3000), st.integers(0, 50))
def test_a_reader_gets_a_number_exactly_once_and_in_order_or_a_gap_for_it(
    sent: list[str], max_events: int, max_bytes: int, after: int
):
    log = journal(max_events=max_events, max_bytes=max_bytes)
    for text in sent:
        log.append(Stdout(text=text))
    entries = log.read(after)
    missed = entries[0][1].missed if entries and isinstance(entries[0][1], Gap) else 0
    kept = entries[1:] if missed else entries
    assert [number for number, _ in kept] == list(range(after + 1 + missed, len(sent) + 1))
    assert [event.text for _, event in kept] == sent[after + missed :]
    if missed:
        assert entries[0][0] == after + missed  # resuming after the gap's own number skips nothing

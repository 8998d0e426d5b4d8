"""Gaps in a kernel's numbers are losses; what the server itself asked the kernel is none."""

from __future__ import annotations

from engine.kernels.remote.losses import Numbers

PREFIX = "0f3a-1_77_"


def numbers(start: int = 10) -> Numbers:
    found = Numbers()
    found.begin(f"{PREFIX}{start}")
    return found


def see(found: Numbers, *which: int, is_iopub: bool = True) -> None:
    for number in which:
        found.note(f"{PREFIX}{number}", is_iopub=is_iopub)


def test_a_gap_after_a_cut_is_a_loss() -> None:
    found = numbers()
    see(found, 11)
    found.note_cut()
    see(found, 12, 15)
    assert found.lost(16) == 2
    assert found.lost(13) == 0


def test_a_gap_before_the_cut_is_none() -> None:
    found = numbers()
    see(found, 13)
    found.note_cut()
    see(found, 14)
    assert found.lost(15) == 0


def test_what_an_earlier_reply_overtook_still_counts_when_it_never_comes() -> None:
    found = numbers()
    see(found, 13, is_iopub=False)
    found.note_cut()
    see(found, 12)
    assert found.lost(14) == 1


def test_the_reply_to_the_servers_own_question_is_no_loss() -> None:
    found = numbers()
    found.note_cut()
    see(found, 11, 13)
    found.note_foreign("server_1", "busy", 11)
    found.note_foreign("server_1", "idle", 13)
    assert found.lost(14) == 0


def test_nor_is_the_first_status_that_the_server_swallows() -> None:
    found = numbers()
    found.note_cut()
    see(found, 13)
    found.note_foreign("server_1", "idle", 13)
    assert found.lost(14) == 0
    see(found, 16)
    assert found.lost(17) == 2


def test_a_kernel_that_does_not_number_is_known_as_one() -> None:
    found = Numbers()
    found.begin("6d1c0d1e-aaaa")
    assert not found.are_known
    assert found.note("6d1c0d1e-aaaa", is_iopub=True) == 0


def test_a_second_look_tells_what_was_seen_and_what_is_missing() -> None:
    found = numbers()
    see(found, 11, 14, 15, 18)
    assert [number for number in range(11, 20) if not found.was_seen(f"{PREFIX}{number}")] == [12, 13, 16, 17, 19]
    assert found.missing() == [(12, 13), (16, 17)]
    see(found, 12, 16)
    assert found.missing() == [(13, 13), (17, 17)]
    assert not found.is_one("somebody-elses_77_12")


def test_many_gaps_are_asked_for_as_few() -> None:
    found = numbers()
    see(found, *range(12, 1000, 2))
    ranges = found.missing()
    assert (len(ranges), ranges[0][0], ranges[-1]) == (50, 11, (997, 997))


def test_what_has_come_again_is_lost_no_more() -> None:
    found = numbers()
    found.note_cut()
    see(found, 13)
    assert found.first_lost() == 11
    found.note_whole()
    assert (found.lost(20), found.first_lost()) == (0, 14)

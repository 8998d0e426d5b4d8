"""What a cut of a remote's websocket lost: pure. Kernels on jupyter_client number all that they send, so that gaps show.

Of other kernels nobody can tell: there every cut in mid-cell counts as a possible loss."""

from __future__ import annotations

from dataclasses import dataclass, field

_MAX_HOLES = 20_000
_MAX_FOREIGN = 256
_MAX_RANGES = 50
_NEAR = 4
_OVERTAKEN = 1000  # numbers that a reply may lie behind iopub's latest message, and come all the same


@dataclass(slots=True)
class _Foreign:
    """What was seen of a request that is not ours: the server's own, which it makes on each connection. Its reply we never see."""

    busy: int = 0  # numbers of its statuses; 0 for one that was not seen
    idle: int = 0

    def explain(self, holes: list[int]) -> None:
        """Take out of `holes` what is missing because of this request: its reply, and a busy that the server swallowed."""
        if not self.idle:
            near = [hole for hole in holes if self.busy < hole <= self.busy + _NEAR][:1]
        else:
            near = [hole for hole in holes if self.busy < hole < self.idle][-1 if self.busy else -2 :]
        for hole in near:
            holes.remove(hole)


@dataclass(slots=True)
class Numbers:
    """The numbers of a kernel's messages, `<session>_<pid>_<number>`. `begin` with one that is the kernel's for certain."""

    highest: int = 0
    _prefix: str = ""
    _highest_iopub: int = 0
    _floor: int = 0  # what is missing up to here does not count as lost
    _holes: dict[int, None] = field(default_factory=dict)  # ascending
    _foreign: dict[str, _Foreign] = field(default_factory=dict)

    @property
    def are_known(self) -> bool:
        return bool(self._prefix)

    def begin(self, msg_id: str) -> None:
        prefix, number = _split(msg_id)
        if not self._prefix and number:
            self._prefix, self.highest, self._highest_iopub = prefix, number, number

    def is_one(self, msg_id: str) -> bool:
        """Whether this is the kernel's own numbering."""
        return _split(msg_id)[0] == self._prefix

    def was_seen(self, msg_id: str) -> bool:
        """Whether `note` was told of this message before."""
        prefix, number = _split(msg_id)
        return prefix == self._prefix and 0 < number <= self.highest and number not in self._holes

    def note(self, msg_id: str, *, is_iopub: bool) -> int:
        """Take notice of a message; its number, 0 where it has none."""
        prefix, number = _split(msg_id)
        if prefix != self._prefix or not number:
            return 0
        if number > self.highest:
            if number > self.highest + 1:
                self._holes.update(dict.fromkeys(range(max(self.highest + 1, number - _MAX_HOLES), number)))
                while len(self._holes) > _MAX_HOLES:
                    del self._holes[next(iter(self._holes))]
            self.highest = number
        else:
            self._holes.pop(number, None)
        if is_iopub:
            self._highest_iopub = max(self._highest_iopub, number)
        return number

    def note_foreign(self, parent_id: str, state: str, number: int) -> None:
        """A status of a request that is not ours."""
        if parent_id in self._foreign or len(self._foreign) < _MAX_FOREIGN:
            seen = self._foreign.setdefault(parent_id, _Foreign())
            if state == "busy":
                seen.busy = number
            elif state == "idle":
                seen.idle = number

    def note_cut(self) -> None:
        """From now on gaps count. What was behind iopub's latest message already is no loss of this cut."""
        self._floor = self._highest_iopub
        self._foreign.clear()

    def note_whole(self) -> None:
        """All that was sent up to the highest number has come."""
        self._floor = self.highest

    def lost(self, below: int) -> int:
        """How many messages with numbers under `below` are missing since the last cut, without a good reason."""
        holes = [number for number in self._holes if self._floor < number < below]
        for request in self._foreign.values():
            request.explain(holes)
        return len(holes)

    def first_lost(self) -> int:
        """The lowest number that may be lost since the last cut."""
        return next((number for number in self._holes if number > self._floor), self.highest + 1)

    def missing(self) -> list[tuple[int, int]]:
        """First and last numbers of the gaps below the highest number in which there may be something for us."""
        ranges: list[tuple[int, int]] = []
        for number in self._holes:
            if number <= self._floor - _OVERTAKEN:
                continue
            if ranges and ranges[-1][1] == number - 1:
                ranges[-1] = (ranges[-1][0], number)
            else:
                ranges.append((number, number))
        many = len(ranges) - _MAX_RANGES
        return [(ranges[0][0], ranges[many][1]), *ranges[many + 1 :]] if many > 0 else ranges


def _split(msg_id: str) -> tuple[str, int]:
    prefix, _, number = msg_id.rpartition("_")
    return (prefix, int(number)) if prefix and number.isascii() and number.isdigit() and len(number) < 16 else ("", 0)

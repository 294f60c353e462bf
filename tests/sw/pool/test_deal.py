"""Devices of simulated time are dealt jobs by their own clocks, whatever the host does."""

import threading

from kaniwa.pool.deal import Deal
from kaniwa.pool.member import Member

WAIT = 30.0     # seconds, for what takes none


class Clocked(Member):
    """A member without a device, each of whose jobs takes a second of its clock."""

    def __init__(self, name: str) -> None:
        self.name, self.simulated = name, True
        self.seconds, self.inferences, self.lost = 0.0, 0, None


def test_a_job_whose_time_is_taken_counts_once() -> None:
    """Its member's clock has it already, and the member is still busy."""
    counted, leave = threading.Event(), threading.Event()

    def do(member: Member, held: bool) -> Member:
        member.seconds += 1.0
        member.inferences += 1
        if held:
            counted.set()
            assert leave.wait(WAIT)
        return member

    members = [Clocked("first"), Clocked("second")]
    deal = Deal(members, do)
    deal.start()
    try:
        slow = deal.submit(True)
        assert counted.wait(WAIT)
        other = deal.submit(False).result(WAIT)
        assert deal.submit(False).result(WAIT) is other and other.seconds == 2
        # The slow one's clock will be at 1, so a third job of the other one would be ahead by 2.
        assert not deal._in_turn(other)
        last = deal.submit(False)
        leave.set()
        assert last.result(WAIT) is slow.result(WAIT) is not other
    finally:
        leave.set()
        assert deal.close(WAIT)
    assert [member.inferences for member in members] == [2, 2]

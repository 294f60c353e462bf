"""Devices of simulated time are dealt jobs by their own clocks, whatever the host does."""

import threading
from dataclasses import dataclass

from kaniwa.errors import DeviceError
from kaniwa.pool.deal import Deal

WAIT = 30.0     # seconds, for what takes none


@dataclass(eq=False)
class Clocked:
    """A member each of whose jobs takes a second of its clock."""

    name: str
    simulated: bool = True
    seconds: float = 0.0
    inferences: int = 0
    lost: DeviceError | None = None


def test_a_job_whose_time_is_taken_counts_once() -> None:
    """Its member's clock has it already, and the member is still busy."""
    counted, leave = threading.Event(), threading.Event()

    def do(member: Clocked, held: bool) -> Clocked:
        member.seconds += 1.0
        member.inferences += 1
        if held:
            counted.set()
            assert leave.wait(WAIT)
        return member

    members = [Clocked("first"), Clocked("second")]
    deal = Deal(members, do)  # type: ignore[arg-type]
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

"""Quality of the line to a board: frames, retries, pace and round trip."""

from __future__ import annotations

import dataclasses
import functools
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from kaniwa.driver.board_device import BoardDevice

__all__ = ["measure_link", "describe_link", "is_weak"]

ROUND_TRIPS = 32
BULK_BYTES, SHORT_BULK_BYTES = 64 << 10, 8 << 10
SHORT_SECONDS = 0.5       # of this machine: who does the short one in it does the long one too
REPEATED_SHARE = 0.01     # of the requests, from which on a line is called weak
GOODPUT_SHARE = 0.5       # of the line's rate, below which a line is called weak


def measure_link(device: BoardDevice, address: int, size: int,
                 progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Traffic of both directions over the ``size`` bytes of memory from ``address`` on.

    Times are on the line's own clock, in which a simulated board is as fast as a real one, but for
    ``host_bytes_per_second``, which are of this machine's clock. What memory gives back is not
    looked at: that is the memory test's.
    """
    tell = progress or (lambda text: None)
    before = dataclasses.replace(device.link_statistics)
    tell("round trips")
    trips = [_seconds(device, lambda: device.read(address, 1)) for _ in range(ROUND_TRIPS)]
    for limit in (SHORT_BULK_BYTES, BULK_BYTES):
        bulk = min(size, limit)
        data = random.Random(1).randbytes(bulk)
        began = time.monotonic()
        tell(f"{bulk} bytes there and back")
        writing = _seconds(device, functools.partial(device.write, address, data))
        reading = _seconds(device, functools.partial(device.read, address, bulk))
        host_seconds = max(time.monotonic() - began, 1e-9)
        if host_seconds > SHORT_SECONDS:
            break
    after = device.link_statistics
    counts = {field.name: getattr(after, field.name) - getattr(before, field.name)
              for field in dataclasses.fields(after)}
    return {
        "frames": counts["requests"] + counts["replies"], **counts,
        "line_bytes_per_second": round(device.pace), "bulk_bytes": bulk,
        "write_bytes_per_second": round(bulk / writing),
        "read_bytes_per_second": round(bulk / reading),
        "host_bytes_per_second": round(2 * bulk / host_seconds),
        "write_share": bulk / writing / device.pace, "read_share": bulk / reading / device.pace,
        "round_trip_ms": {"min": 1e3 * min(trips), "median": 1e3 * statistics.median(trips),
                          "max": 1e3 * max(trips)}}


def is_weak(values: dict[str, Any]) -> bool:
    """True for a line with more repeats or less goodput than a sound one."""
    return bool(values["repeated"] > REPEATED_SHARE * values["requests"]
                or min(values["write_share"], values["read_share"]) < GOODPUT_SHARE)


def describe_link(values: dict[str, Any]) -> str:
    """The figures in a sentence."""
    text = (f"{values['frames']:,} frames, {values['repeated']} repeated, "
            f"{values['damaged'] + values['refused']} damaged; "
            f"write {values['write_bytes_per_second'] / 1e3:.1f} kB/s "
            f"({100 * values['write_share']:.0f} % of the line), "
            f"read {values['read_bytes_per_second'] / 1e3:.1f} kB/s "
            f"({100 * values['read_share']:.0f} %); "
            f"round trip {values['round_trip_ms']['median']:.2f} ms")
    if is_weak(values):
        text += "; answers stay exact, but slow: try another cable or port"
    return text


def _seconds(device: BoardDevice, work: Callable[[], object]) -> float:
    """Time on the line that ``work`` takes; never 0."""
    began = device.line_seconds()
    work()
    return max(device.line_seconds() - began, 1e-9)

"""The smallest config that is not of a compact core."""

from __future__ import annotations

import dataclasses

from kaniwa.config import AcceleratorConfig

__all__ = ["SERIAL", "TINY"]

# One lane that requantizes serially, one channel of memory, queues of one instruction.
SERIAL = AcceleratorConfig(
    name="serial", out_lanes=4, dot_width=4, requant_lanes=1, requant_cycles=4, read_bytes=8,
    write_bytes=2, shared_channel=True, ring_bytes=4096, line_bytes=4096, patch_bytes=128,
    parameter_records=256, memory_bytes=128 * 1024, instruction_queue=1, result_slots=2,
    elementwise_multiply=False)

# The least of it, for designs that are elaborated and not run. A write is a column of every SDRAM.
TINY = dataclasses.replace(
    SERIAL, write_bytes=4, ring_bytes=256, line_bytes=256, patch_bytes=0, parameter_records=16,
    memory_bytes=1024, elementwise=False, max_pool=False, depthwise=False, counters=False)

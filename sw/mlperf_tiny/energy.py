"""Energy of an inference, estimated by its activity. It is no measurement, nor of any board.

Energies are those of M. Horowitz, *Computing's energy problem (and what we can do about it)*, ISSCC
2014, figure 1.1.9: a process of 45 nm at 0.9 V. They are not scaled to another process. An FPGA
takes more for the same operations, so the estimate compares models and targets, no devices.
"""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.cycles.estimate import estimate
from kaniwa.isa import OUTSIDE
from kaniwa.program.program import Program

__all__ = ["Energy", "estimate_energy"]

MULTIPLY = 0.2e-12            # joules of a product of 8 bits
ADD = 0.1e-12                 # joules of a sum of 32 bits
ON_CHIP = 20e-12 / 8          # joules a byte: a cache of 32 KB, read by 64 bits
DRAM = 1.3e-9 / 8             # joules a byte: the lower of two figures, by 64 bits


@dataclass(frozen=True)
class Energy:
    """Joules of an inference, and the activity that they are of.

    ``products``: multiplications of the array, all of its lanes in each step. ``on_chip_bytes``
    and ``outside_bytes``: read from and written to device memory, as instructions say.
    """

    joules: float
    products: int
    on_chip_bytes: int
    outside_bytes: int


def estimate_energy(program: Program) -> Energy:
    """Energy of the device's part of an inference of ``program``.

    Sum of products x (a multiplication and an addition) and of bytes x energy a byte. Not in it:
    clock, control, requantization, static power, the line, and what the host does.
    """
    from kaniwa.report.accesses import accesses

    counted = estimate(program)
    # Counters are cumulative: the largest is that of the whole inference.
    steps = max((snapshot["issued"] for snapshot in counted.snapshots.values()), default=0)
    products = steps * program.config.multipliers
    moved = {True: 0, False: 0}
    for access in accesses(program):
        moved[access.address >= OUTSIDE] += access.moved
    return Energy(products * (MULTIPLY + ADD) + moved[False] * ON_CHIP + moved[True] * DRAM,
                  products, moved[False], moved[True])

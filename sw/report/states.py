"""What an observed core says that its units do, as numbers and as words."""

from __future__ import annotations

from kaniwa.isa import COUNTERS

__all__ = ["ALL", "CAUSES", "IDLE", "LAYERS", "UNITS_OBSERVED", "WORDS", "WORK", "state_number",
           "state_words"]

IDLE, WORK = 0, 1
# What a unit waits for: of the array what the counters know, and what only others wait for.
CAUSES = (*COUNTERS[2:], "input", "operand", "room", "memory", "queue")
ALL, LAYERS = "all", "layers"   # the instructions that a unit's number counts
UNITS_OBSERVED = {"commands": ALL, "load": LAYERS, "weights": LAYERS, "array": ALL, "post": LAYERS,
                  "operand": LAYERS, "store": ALL, "units": ALL}
WORDS = len(UNITS_OBSERVED) + 2


def state_number(cause: str) -> int:
    """The number of waiting for ``cause``."""
    return WORK + 1 + CAUSES.index(cause)


def state_words() -> list[str]:
    """A word for each state, in the order of their numbers."""
    return ["idle", "work", *CAUSES]

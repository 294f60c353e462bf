"""A barrel shifter that moves bytes or words to the front."""

from amaranth import *

__all__ = ["shift_down"]


def shift_down(value, places, step, width):
    """Bits of ``value`` from ``places`` * ``step`` on, ``width`` of them; anything beyond its end.

    The largest shifts come first, so that each stage has only the bits that later ones may still
    move to the front. Of an operator ``>>`` yosys makes the stages the other way round, each
    almost as wide as ``value``.
    """
    value = Value.cast(value)
    for bit in reversed(range(len(places))):
        value = value[:width + step * ((2 << bit) - 1)]
        moved = value[step << bit:]
        kept = value[:width + step * ((1 << bit) - 1)]
        value = Cat(Mux(places[bit], moved, kept[:len(moved)]), kept[len(moved):])
    return value[:width]

"""The part of a recurrent step that follows its matrix products, for the vector unit."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Register
from kaniwa.vector.fixedpoint import logistic_16, tanh_16
from kaniwa.vector.isa import Shift, Width
from kaniwa.vector.kernels import Rescaling

__all__ = ["LstmPlaces", "lstm_cell"]


@dataclass(frozen=True)
class LstmPlaces:
    """Where the operands of an LSTM's step lie, ``pitch`` elements from one gate to the next.

    ``gates``: int16 arguments in Q3.12 of the input, forget and output gate, then of the cell gate;
    the first three are overwritten by their activations. ``cell``: int16 state, overwritten.
    ``hidden``: int8 result.
    """

    gates: int
    pitch: int
    cell: int
    hidden: int


def lstm_cell(config: AcceleratorConfig, count: int, places: LstmPlaces, cell_power: int,
              hidden: Rescaling, clip: int = 0) -> bytes:
    """c = f * c + i * g and h = o * tanh(c) of UNIDIRECTIONAL_SEQUENCE_LSTM, ``count`` cells.

    The cell state has scale 2^``cell_power``, -15 to -10. ``hidden`` takes o * tanh(c), Q0.30, to
    the output. ``clip``: the largest |c|, 0 for none. Three gates at once fit a register.
    """
    if not -15 <= cell_power <= -10:
        raise ProgramError(f"a cell state of scale 2^{cell_power}: expected 2^-15 to 2^-10")
    k = Builder(config)
    activated = 2 * places.pitch + count
    if not count <= places.pitch or activated > k.limit:
        raise ProgramError(f"three gates of {count} cells, {places.pitch} apart, are longer than a "
                           f"register, {k.limit}")
    value, result, cell = k.vector(), k.vector(), k.vector()
    spare = (k.vector(), k.vector(), k.vector(), k.vector())
    gates = [k.pointer(places.gates + 2 * number * places.pitch) for number in range(4)]
    state, to = k.pointer(places.cell), k.pointer(places.hidden)

    def saturated(register: Register) -> None:
        k.minimum(register, register, 32767)
        k.maximum(register, register, -32768)

    k.length(activated)
    k.load(value, gates[0], Width.INT16)
    logistic_16(k, result, value, spare)
    k.store(result, gates[0], Width.INT16)

    k.length(count)
    k.load(value, gates[3], Width.INT16)
    tanh_16(k, result, value, 3, spare)
    k.load(value, gates[0], Width.INT16)
    k.multiply(result, result, value)                    # i * g
    k.shift_right(result, result, 30 + cell_power, "away")
    k.load(value, gates[1], Width.INT16)
    k.load(cell, state, Width.INT16)
    k.multiply(cell, cell, value, Shift.AWAY_15)     # f * c
    k.add(cell, cell, result)
    saturated(cell)
    if clip:
        k.minimum(cell, cell, clip)
        k.maximum(cell, cell, -clip)
    k.store(cell, state, Width.INT16)
    tanh_16(k, result, cell, 15 + cell_power, spare)
    k.load(value, gates[2], Width.INT16)
    k.multiply(result, result, value)
    hidden.write(k, result)
    k.store(result, to, Width.INT8)
    return k.finish()

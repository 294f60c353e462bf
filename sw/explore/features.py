"""What the logic of each block grows with: numbers that a config has, by block of the diagram.

A block's cells are taken to be a sum of its features, each times a factor that is fitted. The
features are those that the gateware of the block repeats: lanes, multipliers, bits of a word.
What the board adds to a design (``kaniwa.explore.beside``) has features of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from kaniwa.config import AcceleratorConfig
from kaniwa.explore.beside import ALONE, Beside

__all__ = ["features"]

Feature = Callable[[AcceleratorConfig], float]


def _one(config: AcceleratorConfig) -> float:
    return 1.0


def _products(config: AcceleratorConfig) -> float:
    return config.multipliers


def _tree(config: AcceleratorConfig) -> float:
    """Adders of the trees behind the multipliers: wider ones as a dot product grows."""
    return config.multipliers * math.log2(2 * config.dot_width)


def _packed(config: AcceleratorConfig) -> float:
    return config.multipliers * config.packed_multipliers


def _taps(config: AcceleratorConfig) -> float:
    return config.activation_lanes * config.dot_width


def _phases(config: AcceleratorConfig) -> float:
    return _taps(config) * config.phase_windows


def _lanes(config: AcceleratorConfig) -> float:
    return config.requant_lanes


def _serial(config: AcceleratorConfig) -> float:
    """Bits that a requantizer of several cycles takes at a time."""
    return 32 / config.requant_cycles if config.requant_cycles > 1 else 0.0


def _parallel(config: AcceleratorConfig) -> float:
    return config.requant_lanes if config.requant_cycles == 1 else 0


def _multiplied(config: AcceleratorConfig) -> float:
    return config.requant_lanes * config.elementwise_multiply


def _read(config: AcceleratorConfig) -> float:
    return config.read_bytes


def _write(config: AcceleratorConfig) -> float:
    return config.write_bytes


def _decoded(config: AcceleratorConfig) -> float:
    return config.decoded_bytes


def _codebooks(config: AcceleratorConfig) -> float:
    """Entries of the codebooks: one for each weight that is decoded at once."""
    return config.decoded_bytes * config.codebook_entries


def _lists(config: AcceleratorConfig) -> float:
    """Bits of a step list's counters."""
    return config.step_entries.bit_length()


def _line(config: AcceleratorConfig) -> float:
    return config.line_width * math.log2(config.line_width)


def _patch(config: AcceleratorConfig) -> float:
    return config.patch_bytes


def _results(config: AcceleratorConfig) -> float:
    return config.out_lanes * config.result_slots


def _out(config: AcceleratorConfig) -> float:
    return config.out_lanes


def _pool(config: AcceleratorConfig) -> float:
    return config.depthwise_lanes * config.max_pool


def _queue(config: AcceleratorConfig) -> float:
    return config.instruction_queue > 2


def _own_parameters(config: AcceleratorConfig) -> float:
    """Bits of a parameter buffer in LUTs."""
    small = config.parameter_words <= 64 and not config.packed_multipliers
    return config.requant_lanes * config.parameter_words * small / 16


def _memory_bits(config: AcceleratorConfig) -> float:
    return math.log2(max(config.memory_bytes, 1))


def _address_bits(config: AcceleratorConfig) -> float:
    """Of a compact core's addresses, which may reach outside memory."""
    return max(_memory_bits(config), config.outside_bits)


def _sizes(config: AcceleratorConfig) -> float:
    """Bits of the counters that walk rings and lines."""
    return math.log2(config.line_bytes) + math.log2(config.ring_bytes) + math.log2(
        config.parameter_records)


def _counts(config: AcceleratorConfig) -> float:
    return config.count_bits


def _switch(name: str) -> Feature:
    return lambda config: float(getattr(config, name))


PIPELINED: Mapping[str, tuple[Feature, ...]] = {
    "mac_array": (_tree, _packed),
    "post": (_parallel, _multiplied, _serial, _lanes),
    "window": (_taps, _phases, _packed),
    "parameter_buffer": (_own_parameters, _lanes),
    "array": (_taps, _switch("depthwise"), _switch("phase_windows"), _lists),
    "weights": (_read, _decoded, _codebooks),
    "operand": (_lanes, _read, _multiplied),
    "result_buffer": (_out, _results),
    "store": (_write, _lanes),
    "load": (_read, _line),
    "patch_buffer": (_patch, _taps),
    "counters": (_switch("counters"),),
    "memory": (_read, _write),
    "weight_ring": (_products,),
    "on_chip_memory": (_read, _memory_bits),
    "max_pool": (_pool,),
    "units": (lambda config: config.vector_unit * config.requant_lanes, _switch("vector_unit")),
    "beat_buffer": (_lanes,),
    **{f"{name}_queue": (_queue,)
       for name in ("array", "load", "operand", "post", "store", "weights")},
}
COMPACT: Mapping[str, tuple[Feature, ...]] = {
    "mac_array": (_products, _out),
    "post": (_serial, _sizes),
    "array": (_counts, _sizes),
    "control": (_counts, _address_bits),
    "top": (_address_bits,),
    "weights": (_address_bits, _counts),
    "line_buffer": (_sizes,),
    "memory": (_address_bits, _write),
    "on_chip_memory": (_write, _memory_bits),
    "load": (_counts, _address_bits),
    "spread": (_out, _write),
    "weight_ring": (_products,),
}
ALWAYS = ("control", "sequencer", "link", "uart", "idle_watch", "top", "other")
# Of blocks with a way to SDRAM, with its controller or with a link by Ethernet or USB: these come
# behind the features above, and are 0 in a design without.
OF_SDRAM: Mapping[str, tuple[Feature, ...]] = {
    "sdram": (_one, _read), "sdram_pins": (_one,), "memory": (_read,), "top": (_read,)}
OF_ETHERNET: Mapping[str, tuple[Feature, ...]] = {"ethernet": (_one,), "top": (_one,)}
OF_USB: Mapping[str, tuple[Feature, ...]] = {"usb": (_one,)}


def features(config: AcceleratorConfig, beside: Beside = ALONE) -> dict[str, tuple[float, ...]]:
    """The features of each block that a design of a core and what is beside it may have.

    Those of a core's blocks begin with a 1, for a constant.
    """
    table = COMPACT if config.compact else PIPELINED
    found = {name: (1.0,) for name in ALWAYS} | {
        name: (1.0, *(float(one(config)) for one in own)) for name, own in table.items()}
    for there, added in ((beside.sdram, OF_SDRAM), (bool(beside.ethernet), OF_ETHERNET),
                         (beside.usb, OF_USB)):
        for name, own in added.items():
            found[name] = (*found.get(name, ()), *(there * float(one(config)) for one in own))
    return found

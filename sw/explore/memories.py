"""Memories of a core, and what an FPGA family makes of each: exact counts of block RAMs.

Widths and depths are those of the gateware (``hw/``); a test compares the counts with netlists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaniwa.benchmark.dsp_blocks import dsp_blocks
from kaniwa.config import AcceleratorConfig
from kaniwa.explore.beside import ALONE, Beside
from kaniwa.isa.step_lists import LIST_WORD_BYTES, ring_words

__all__ = ["Ram", "block_rams", "exact_counts", "memories"]

RECORD_BITS = 72         # parameters of a channel: hw/interfaces.py, parameter_layout
TABLE_WORDS = 512        # two banks of 256 entries of 32 bits
COUNTER_WORDS = 512      # the most that a block of 32 bits a word holds; tags have fewer
LINK_BYTES = 512         # the receiver's buffer
DISTRIBUTED_WORDS = 64   # of a parameter buffer in LUTs: boards/families/ecp5.py
LANE_WORDS = 1024        # words of 32 bits of a lane of the vector unit
CELL_BLOCKS = 8          # of the cell unit, whatever the config: base_recurrent beside base_vector

# Words of a block RAM by their bits: Lattice FPGA-TN-02204 (ECP5), FPGA-TN-02002 (iCE40) and
# Gowin UG285. The widest words have bits of parity, which a memory written by bytes cannot use.
SHAPES: Mapping[str, Sequence[tuple[int, int]]] = {
    "ecp5": ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    "gowin": ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    "ice40": ((16, 256), (8, 512), (4, 1024), (2, 2048)),
}
# A memory of at most so many RAMs of 16 x 4 bits, for each block that it would take, is made of
# these: found with yosys for widths of 8 to 144 bits. iCE40 has none.
LUT_RAMS = {"ecp5": 20, "gowin": 20, "ice40": 0}
SPRAM_BYTES = 2          # of a word of SB_SPRAM256KA: a row of them is as wide as a read


@dataclass(frozen=True)
class Ram:
    """``count`` memories of ``depth`` words of ``width`` bits, of a block of the diagram.

    ``bytewise``: a byte can be written alone. ``device``: it is device memory.
    """

    block: str
    width: int
    depth: int
    count: int = 1
    bytewise: bool = False
    device: bool = False


def memories(config: AcceleratorConfig) -> list[Ram]:
    """The memories of a core that may be block RAMs, device memory and the link's buffer too."""
    width = max(config.read_bytes, config.write_bytes)
    depth = config.memory_bytes // width
    found = [Ram("on_chip_memory", 8 * width, words, bytewise=True, device=True)
             for words in _banks(depth)]
    found.append(Ram("link", 8, LINK_BYTES))
    if config.compact:
        return found + [
            Ram("weight_ring", 8 * config.read_bytes, config.ring_words,
                config.tile_bytes // config.read_bytes),
            Ram("line_buffer", 32, config.line_bytes // 8, 2),
            Ram("post", RECORD_BITS, config.parameter_words),
            Ram("post", 32, TABLE_WORDS)]
    line_width = config.line_width
    found += [
        Ram("weight_ring", 8 * config.decoded_bytes, config.ring_words,
            config.tile_bytes // config.decoded_bytes),
        Ram("line_buffer", 8 * config.lane_bytes, config.line_bytes // line_width,
            line_width // config.lane_bytes),
        Ram("parameter_buffer", RECORD_BITS * config.shared_records, config.parameter_words,
            config.requant_lanes // config.shared_records)]
    if config.elementwise:
        found.append(Ram("post", 32, TABLE_WORDS, 2 * config.requant_lanes))
    if config.counters:
        found.append(Ram("counters", 32, COUNTER_WORDS))
    if config.step_entries:
        found.append(Ram("array", 8 * LIST_WORD_BYTES, ring_words(config)))
    if config.vector_unit:
        found += [Ram("units", 32, LANE_WORDS, config.requant_lanes),
                  Ram("units", 72, TABLE_WORDS)]
    return found


def _banks(depth: int) -> list[int]:
    """Words of each bank of on-chip memory: hw/memory/system.py, OnChipMemory."""
    if depth == 0:
        return []
    bits = (depth - 1).bit_length()
    bank = 1 << (bits if depth == 1 << bits else max(0, bits - 2))
    return [min(bank, depth - first) for first in range(0, depth, bank)]


def block_rams(family: str, ram: Ram) -> int:
    """Block RAMs of a family that ``ram`` takes, all of its ``count``; 0 where LUTs hold it."""
    blocks = min(-(-ram.width // _used(bits, ram.bytewise)) * -(-ram.depth // words)
                 for bits, words in SHAPES[family])
    small = -(-ram.width // 4) * -(-ram.depth // 16) <= LUT_RAMS[family] * blocks
    return 0 if small else blocks * ram.count


def _used(bits: int, bytewise: bool) -> int:
    return bits // 9 * 8 if bytewise and bits >= 9 else bits


def exact_counts(family: str, config: AcceleratorConfig, beside: Beside = ALONE
                 ) -> dict[str, int]:
    """Block RAMs (``bram``), multipliers (``dsp``) and, on iCE40, ``spram`` of a core and what is
    beside it, exactly."""
    distributed = (family == "ecp5" and not config.packed_multipliers
                   and config.parameter_words <= DISTRIBUTED_WORDS)
    spram = family == "ice40"
    ethernet = [Ram("ethernet", 8, size) for size in beside.ethernet]
    blocks = sum(block_rams(family, ram) for ram in (*memories(config), *ethernet)
                 if not (spram and ram.device)
                 and not (distributed and ram.block == "parameter_buffer"))
    counts = {"bram": blocks + CELL_BLOCKS * config.cell_unit, "dsp": _multipliers(family, config)}
    return counts | ({"spram": config.read_bytes // SPRAM_BYTES} if spram else {})


def _multipliers(family: str, config: AcceleratorConfig) -> int:
    if family == "ice40":     # two products of a row in a block
        return config.out_lanes * -(-config.dot_width // 2)
    return dsp_blocks(config)

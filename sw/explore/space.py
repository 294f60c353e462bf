"""The configs that a search may propose for a board, as named choices, and back.

A pipelined and a compact core have choices of their own; ``core`` says which of them count. What
is no choice is that of the base: ``small`` or ``nano``. A core reaches the board's SDRAM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kaniwa.config import LEGAL_RANGES, PRESETS, AcceleratorConfig
from kaniwa.sdram_parts import PARTS

if TYPE_CHECKING:
    from kaniwa.boards.board import Board

__all__ = ["COMPACT", "PIPELINED", "Choice", "choices", "config_of", "proposal_of", "proposed"]

Choice = int | str | bool
KIB = 1024
COMPACT, PIPELINED = "compact", "pipelined"
# R, results requantized a cycle: lanes, or the cycles of the only lane behind "1/".
RATES = ("1/8", "1/4", "1/2", "1", "2", "4", "8", "16")
SWITCHES = ("packed_multipliers", "elementwise_multiply", "max_pool", "depthwise",
            "phase_windows", "vector_unit", "cell_unit")
PIPELINED_CHOICES: Mapping[str, tuple[Choice, ...]] = {
    "out_lanes": (2, 4, 8, 12, 16, 24, 32), "dot_width": (4, 8, 16, 32), "rate": RATES,
    "read_bytes": (8, 16, 32), "weight_chunks": (1, 2), "write_bytes": (2, 4, 8, 16, 32),
    "ring_bytes": tuple(KIB << n for n in range(1, 8)),
    "line_bytes": tuple(KIB << n for n in range(1, 7)),
    "patch_bytes": (0, 64, 128, 256, 512), "parameter_records": (64, 128, 256, 512, 1024),
    "instruction_queue": (1, 2, 4), "result_slots": (4, 8, 16),
    "codebook_entries": (0, 16, 32, 64), "step_entries": (0, 512, 1024), "modes": (False, True),
    **{name: (False, True) for name in SWITCHES}}
COMPACT_CHOICES: Mapping[str, tuple[Choice, ...]] = {
    "out_lanes": (1, 2, 4, 6, 8, 16), "requant_cycles": (8, 16, 32), "write_bytes": (2, 4, 8),
    "ring_bytes": tuple(KIB << n for n in range(4)),
    "line_bytes": tuple(KIB << n for n in range(5)),
    "parameter_records": (64, 128, 256, 512, 1024), "count_bits": (8, 9, 10, 11, 12, 14, 16)}
# Bytes of a block of device memory, by family: what its largest memories are made of.
BLOCK_BYTES = {"ecp5": 2 * KIB, "gatemate": 2 * KIB, "gowin": 2 * KIB, "ice40": 32 * KIB,
               "nexus": 2 * KIB}
MEMORY_STEPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
# Of configs for a family alone, whatever the base has: an ECP5's multipliers have registers.
OF_FAMILY = {"ecp5": {"product_cycles": 3}}


def choices(board: Board, core: str) -> dict[str, tuple[Choice, ...]]:
    """The values of each choice of a core for ``board``, all presets of the board among them."""
    kind = "spram" if "spram" in board.capacity else "bram"
    most = board.capacity[kind] * BLOCK_BYTES[board.family]
    found = dict(COMPACT_CHOICES if core == COMPACT else PIPELINED_CHOICES)
    found["memory_bytes"] = tuple(KIB * size for size in MEMORY_STEPS if KIB * size <= most)
    if board.family != "ecp5":
        found.pop("packed_multipliers", None)   # no strategy has two products in a block there
    for target in board.targets:
        config = board.config(target)
        if config.compact == (core == COMPACT):
            values = _values(config)
            for name, listed in found.items():
                if values[name] not in listed:
                    found[name] = tuple(sorted([*listed, values[name]], key=float))
    return found


def proposed(board: Board, cores: tuple[str, ...],
             choose: Callable[[str, tuple[Choice, ...]], Choice]) -> dict[str, Choice]:
    """A proposal: ``choose`` takes one of the values of each name, of the chosen core only."""
    core = str(choose("core", cores))
    return {"core": core, **{name: choose(f"{core}.{name}", values)
                             for name, values in choices(board, core).items()}}


def config_of(board: Board, proposal: Mapping[str, Choice]) -> AcceleratorConfig:
    """The config of a proposal. Raises ConfigError where its choices do not go together."""
    import dataclasses

    core = proposal["core"]
    values: dict[str, Any] = {name: value for name, value in proposal.items() if name != "core"}
    base = PRESETS["nano" if core == COMPACT else "small"]
    if rate := values.pop("rate", None):
        lanes, _, cycles = str(rate).partition("/")
        values |= {"requant_lanes": int(lanes), "requant_cycles": int(cycles or 1)}
    if core != COMPACT:
        values.setdefault("packed_multipliers", False)
    if values.pop("modes", False):
        values["weight_formats"] = (*base.weight_formats, "modes")
    values |= OF_FAMILY.get(board.family, {})
    if core == COMPACT and board.sdram is not None:
        part = PARTS[board.sdram.part]
        reached = (part.size - 1).bit_length()
        values["outside_bits"] = min(reached, LEGAL_RANGES["outside_bits"][1])
        values["write_bytes"] = max(values["write_bytes"], part.width)   # at least a column
    config = dataclasses.replace(base, **values, name="explored")
    board.check_memory(config)
    return config


def proposal_of(board: Board, config: AcceleratorConfig) -> dict[str, Choice] | None:
    """The proposal that gives ``config``; None where it has what no choice gives."""
    core = COMPACT if config.compact else PIPELINED
    own = choices(board, core)
    values = _values(config)
    found: dict[str, Choice] = {"core": core, **{name: values[name] for name in own}}
    if any(found[name] not in own[name] for name in own):
        return None
    try:
        return found if config_of(board, found) == config else None
    except ValueError:
        return None


def _values(config: AcceleratorConfig) -> dict[str, Any]:
    rate = (f"1/{config.requant_cycles}" if config.requant_cycles > 1
            else str(config.requant_lanes))
    return {**config.as_dict(), **{name: getattr(config, name) for name in SWITCHES},
            "weight_chunks": config.weight_chunks,
            "codebook_entries": config.codebook_entries, "step_entries": config.step_entries,
            "modes": "modes" in config.weight_formats,
            "rate": rate}

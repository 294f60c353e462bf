"""Random legal instructions, and those that the sequencer must refuse."""

from __future__ import annotations

import random

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode, Opcode, encode
from kaniwa.sim.harness.bench import cover

__all__ = ["illegal_layers", "legal_layer", "lowest_layer", "alignments", "spoil"]


def alignments(config: AcceleratorConfig) -> dict[str, int]:
    """The fields that must be multiples, and of what."""
    names = ("parameter_address", "parameter_bytes", "weight_address", "weight_bytes")
    return {"line_pitch": config.lane_bytes, **dict.fromkeys(names, config.read_bytes)}


def widest(config: AcceleratorConfig, mode: int) -> int:
    """Channels that a block of this mode may have; 0 where the config lacks the mode."""
    return {Mode.DENSE: config.out_lanes, Mode.DEPTHWISE: config.depthwise_lanes,
            Mode.MAX_POOL: config.depthwise_lanes * config.max_pool,
            Mode.COLUMN: config.column_lanes * config.depthwise}[Mode(mode)]


def patch_steps(config: AcceleratorConfig) -> int:
    """The most steps of a block with patch: half the patch buffer's words."""
    return config.patch_bytes // 2 // config.dot_width


def legal_layer(config: AcceleratorConfig, rng: random.Random) -> dict[str, int]:
    """Random fields that the gateware of ``config`` must accept."""
    values: dict[str, int] = {}
    for name, field in FIELDS.items():
        kind = rng.randrange(6)
        if kind == 0:
            values[name] = field.low
            cover("field_lowest")
        elif kind == 1:
            values[name] = field.high
            cover("field_highest")
        else:
            values[name] = rng.randint(field.low, field.high)
    for name, unit in alignments(config).items():
        values[name] = values[name] // unit * unit or (unit if FIELDS[name].low else 0)
    values["opcode"] = Opcode.LAYER
    values["mode"] = rng.choice([mode for mode in Mode if widest(config, mode)])
    most = widest(config, values["mode"])
    values["block_width"] = rng.choice([1, most, rng.randint(1, most)])
    values["last_width"] = rng.choice([1, values["block_width"]])
    if values["mode"] != Mode.DENSE or not config.patch_bytes:
        values["patch"] = 0
    if values["patch"]:
        values["steps"] = rng.choice([1, patch_steps(config), rng.randint(1, patch_steps(config))])
    if not config.elementwise:
        values["add"] = values["table"] = 0
    elif values["add"]:
        values["table"] = 0
    if not values["add"] or not config.elementwise_multiply:
        values["multiply"] = 0
    return values


def lowest_layer(config: AcceleratorConfig) -> dict[str, int]:
    """The legal instruction whose every field is as low as it may be."""
    units = alignments(config)
    lowest = {name: field.low and units.get(name, field.low) for name, field in FIELDS.items()}
    return {**lowest, "opcode": Opcode.LAYER}


def spoil(raw: bytes, name: str, value: int) -> bytes:
    """The instruction with a field overwritten, legal or not."""
    field = FIELDS[name]
    word = int.from_bytes(raw[4 * field.word:4 * field.word + 4], "little")
    mask = (1 << field.width) - 1 << field.lsb
    word = word & ~mask | value << field.lsb & mask
    return raw[:4 * field.word] + word.to_bytes(4, "little") + raw[4 * field.word + 4:]


def illegal_layers(config: AcceleratorConfig, rng: random.Random) -> list[tuple[str, bytes]]:
    """(coverage bin, instruction) of everything that must be refused as ILLEGAL_FIELD."""
    def layer(**values: int) -> dict[str, int]:
        return {**legal_layer(config, rng), **values}

    bad: list[tuple[str, bytes]] = []
    for name, field in FIELDS.items():
        smallest = -(1 << field.width - 1) if field.signed else 0
        largest = smallest + (1 << field.width) - 1
        if name != "opcode" and smallest < field.low:
            bad += [("illegal_low", spoil(encode(layer()), name, value))
                    for value in {smallest, field.low - 1}]
        if name != "opcode" and field.high < largest:
            above = {1 << bit for bit in range(field.width - field.signed)}
            bad += [("illegal_high", spoil(encode(layer()), name, value))
                    for value in {largest, field.high + 1, *above} if value > field.high]
    lacks = {Mode.MAX_POOL: "lacks_max_pool", Mode.COLUMN: "lacks_depthwise"}
    for mode in Mode:
        most = widest(config, mode)
        bad += [("illegal_relation" if most else lacks[mode], encode(
            layer(mode=mode, patch=0, block_width=width, last_width=1)))
            for width in _above(most, "block_width")]
    bad += [("illegal_relation", encode(
        layer(mode=Mode.DENSE, block_width=width, last_width=last, patch=0)))
        for width in {1, config.out_lanes} for last in _above(width, "last_width")]
    for name, unit in alignments(config).items():
        bad += [("illegal_relation", encode(layer(**{name: unit + (1 << bit)})))
                for bit in range(unit.bit_length() - 1)]
    bad.append(("illegal_relation", encode(layer(add=1, table=1))))
    bad.append(("illegal_relation" if config.patch_bytes else "lacks_patch", encode(
        layer(patch=1, mode=Mode.DEPTHWISE if config.patch_bytes else Mode.DENSE,
              steps=1, block_width=1, last_width=1))))
    if config.patch_bytes:
        limit = patch_steps(config)
        bad += [("illegal_relation", encode(
            layer(patch=1, mode=Mode.DENSE, steps=steps, block_width=1, last_width=1)))
            for steps in _above(limit, "steps")]
    bad.append(("illegal_relation", encode(layer(add=0, multiply=1))))
    if config.elementwise and not config.elementwise_multiply:
        bad.append(("lacks_multiply", encode(layer(add=1, table=0, multiply=1))))
    if not config.elementwise:
        bad += [("lacks_elementwise", encode(layer(add=1))),
                ("lacks_elementwise", encode(layer(table=1)))]
    return bad


def _above(limit: int, name: str) -> set[int]:
    """Values of a field above a limit: the highest, powers of two and 1 more, and the limit with a
    power of two added."""
    field = FIELDS[name]
    values = {field.high,
              *((1 << bit) + more for bit in range(field.width) for more in (0, 1, limit))}
    return {value for value in values if limit < value <= field.high}

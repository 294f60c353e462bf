"""Random networks of convolutions, means, sums and products, some of whose operands are broadcast
or behind a table: what shares the tables of the post unit from layer to layer."""

from __future__ import annotations

import random

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph
from kaniwa.isa import Format
from kaniwa.isa.weight_stream import decode_stream
from kaniwa.program.program import Program

__all__ = ["random_sums", "tables_brought", "kept_tables"]


def random_sums(seed: int) -> Graph:
    """Of one input and one or two outputs."""
    rng, b = random.Random(seed), GraphBuilder(seed)
    channels = rng.choice((1, 4, 8, 13, 16))
    shape = (1, rng.randint(1, 5), rng.randint(1, 5), channels)
    x = b.tensor(shape, 0.1, _zero_point(rng))
    wide, narrow = [x], []      # of ``shape``, and means
    while len(wide) < 10:
        choice = rng.random()
        if choice < 0.15:
            made = b.conv(rng.choice(wide), channels, (1, 1))
            wide.append(b.requantized(made, _scale(rng), _zero_point(rng)))
        elif choice < 0.55:
            operands = [rng.choice(wide), rng.choice(wide + narrow)]
            rng.shuffle(operands)
            wide.append(_elementwise(b, rng, *operands))
        elif choice < 0.7:
            axes, kept = ((3,), (*shape[:3], 1)) if rng.random() < 0.6 else (
                (1, 2), (1, 1, 1, channels))
            mean = b.tensor(kept, 0.1, _zero_point(rng))
            narrow.append(b.op("MEAN", (rng.choice(wide),), mean, "litert_mean", axes=axes,
                               keep_dims=True))
        elif narrow:
            constant = b.constant(rng.randint(-128, 127), 0.05, _zero_point(rng))
            narrow.append(_elementwise(b, rng, rng.choice(narrow), constant))
    outputs = {wide[-1], rng.choice(wide[1:]) if rng.random() < 0.3 else wide[-1]}
    return b.graph((x,), tuple(sorted(outputs)))


def _elementwise(b: GraphBuilder, rng: random.Random, first: int, second: int) -> int:
    return b.elementwise(rng.choice(("ADD", "ADD", "SUB", "MUL")), first, second,
                         rng.choice(("NONE", "RELU")), _scale(rng), _zero_point(rng))


def _scale(rng: random.Random) -> float:
    return float(np.float32(2.0 ** rng.uniform(-4, 2)))


def _zero_point(rng: random.Random) -> int:
    return rng.choice((-128, 0, 127, rng.randint(-128, 127)))


def tables_brought(program: Program) -> list[str]:
    """The numbers of the tables that come for each instruction: before its parameters, or behind
    the weights of the instruction before."""
    images = dict(program.images)

    def tables(values: dict[str, int], kind: str) -> str:
        stream = images.get(values[f"{kind}_address"], b"")[:values[f"{kind}_bytes"]]
        return "".join(str(number & 1) for block in decode_stream(stream, program.config)
                       if block.format == Format.TABLE for number in block.tables)

    behind = ["", *(tables(values, "weight") for values in program.instructions)]
    return [early + tables(values, "parameter")
            for early, values in zip(behind, program.instructions, strict=False)]


def kept_tables(program: Program) -> int:
    """How many of the tables that instructions use they do not bring."""
    used = sum(2 * values["add"] + values["table"] for values in program.instructions)
    return used - sum(map(len, tables_brought(program)))

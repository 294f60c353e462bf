"""Cuts layers into instructions: groups of output channels, and tiles of columns and rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from kaniwa.compiler.plan.fields import (
    block_words,
    layer_blocks,
    parameter_words,
    tile_fields,
    visited,
)
from kaniwa.compiler.plan.geometry import Pair, Tile
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.operands import describe
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.visits import visits
from kaniwa.compiler.rewrite.refusal import Refused
from kaniwa.compiler.schedule.estimate import estimate, rows_held
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.isa import FIELDS, Mode

__all__ = ["tile", "cycles", "tiles_of"]

# Of a buffer that a whole layer does not fit: the rest lets the next group's data run ahead. What
# is used again at each pixel is waited for at the first one, so half of it should be there by then.
# What is used once, as it comes, needs less; and so it is where the array reads by the same port.
SHARE, LARGER_SHARE = (1, 2), (3, 4)


@dataclass(frozen=True)
class _Shape:
    """The largest tile of a cut; ``runs`` of blocks have as many ``visits``, others are not cut."""

    rows: int
    columns: int
    blocks: int
    weights_stream: bool
    visits: int
    runs: list[Pair]


def tile(plan: Plan) -> Plan:
    """Cut each layer; raises Refused naming the limit that even the smallest tile breaks."""
    tiles: list[Tile] = []
    reasons: dict[int, str] = {}
    for number, layer in enumerate(plan.layers):
        where = describe(plan.model, plan.model.ops[layer.positions[0]])
        try:
            tiles += layer.tiles(number, partial(_tiles, number, plan.config, where))
        except CompileError as error:
            reasons.setdefault(layer.positions[0], str(error))
    if reasons:
        raise Refused(reasons)
    if len(tiles) > FIELDS["ifm_wait"].high:
        raise _too_many(plan, tiles)
    return replace(plan, tiles=tuple(tiles))


def _too_many(plan: Plan, tiles: list[Tile]) -> Refused:
    """The error of the layer with the most instructions."""
    number, count = Counter(part.layer for part in tiles).most_common(1)[0]
    layer = plan.layers[number]
    where = describe(plan.model, plan.model.ops[layer.positions[0]])
    return Refused(dict.fromkeys(layer.positions, (
        f"{where}: it takes {count} of {len(tiles)} instructions, at most "
        f"{FIELDS['ifm_wait'].high} fit; use a target with larger buffers, or fewer steps")))


def tiles_of(number: int, layer: ArrayLayer, config: AcceleratorConfig) -> list[Tile]:
    """The tiles of a layer of the array; raises CompileError where even the smallest do not fit."""
    return list(_tiles(number, config, layer.name, layer))


def _tiles(number: int, config: AcceleratorConfig, where: str, layer: ArrayLayer) -> Iterator[Tile]:
    """The tiles of a pass of the array."""
    for shape in _choose(number, layer, config, where):
        yield from _cut(number, layer, shape)


def _choose(number: int, layer: ArrayLayer, config: AcceleratorConfig, where: str) -> list[_Shape]:
    """Cuts of the layer, with the blocks of each number of visits by themselves.

    Each of them reads all rows. Where these come from outside memory alone, that takes longer than
    to meet every window of COLUMN twice.
    """
    found = visits(layer, config)
    if layer.mode == Mode.COLUMN and not config.memory_bytes and set(found) == {1, 2}:
        found = {2: [(0, layer_blocks(layer, config))]}
    return [_best(number, layer, times, runs, config, where)
            for times, runs in sorted(found.items())]


def _best(number: int, layer: ArrayLayer, times: int, runs: list[Pair], config: AcceleratorConfig,
          where: str) -> _Shape:
    """The better of the fewest column tiles that work, and the fewest that let rows run ahead."""
    seen = visited(layer, times, config)
    columns = layer.geometry.ofm[1]
    candidates = []
    for ahead in (False, True):
        for parts in range(1, columns + 1):
            shape = replace(_shape(seen, runs, -(-columns // parts), config, where), visits=times)
            problem = _first_problem(number, layer, shape, config, ahead)
            while problem is not None and shape.blocks > 1 and _separable(seen):
                shape = replace(shape, blocks=shape.blocks - 1)
                problem = _first_problem(number, layer, shape, config, ahead)
            if problem is None:
                candidates.append(shape)
                break
            if parts == columns and not ahead:
                raise CompileError(f"{where}: {problem}; use a target with larger buffers or a "
                                   f"smaller layer")
    return min(candidates, key=lambda shape: _cycles(layer, shape, config))


def _cycles(layer: ArrayLayer, shape: _Shape, config: AcceleratorConfig,
            ahead: bool = False) -> int:
    return sum(estimate(layer, t, config, ahead and number == 0)
               for number, t in enumerate(_cut(0, layer, shape)))


def cycles(layer: ArrayLayer, config: AcceleratorConfig) -> int | None:
    """Estimated cycles of the layer, cut as ``tile`` would; None where it cannot be cut."""
    try:
        return sum(_cycles(layer, shape, config, ahead=True)
                   for shape in _choose(0, layer, config, layer.name))
    except CompileError:
        return None


def _separable(layer: ArrayLayer) -> bool:
    """Fewer channels make shorter rows: a single pixel a row, of which only they are read."""
    return (layer.mode in (Mode.DEPTHWISE, Mode.MAX_POOL) and layer.geometry.ifm[1] == 1
            and layer.places is None)


def _first_problem(number: int, layer: ArrayLayer, shape: _Shape, config: AcceleratorConfig,
                   ahead: bool) -> str | None:
    problems = (_problem(layer, t, config, ahead) for t in _cut(number, layer, shape))
    return next((problem for problem in problems if problem is not None), None)


def _rows(layer: ArrayLayer, config: AcceleratorConfig) -> int:
    """Output rows that an instruction can have."""
    g = layer.geometry
    if g.kernel[0] > 1 and g.stride[0] > FIELDS["stride_rows"].high:
        return 1
    return min(g.ofm[0], max(1, (_limit(config, "ifm_rows") - g.extent[0]) // max(g.stride[0], 1)))


def _limit(config: AcceleratorConfig, name: str) -> int:
    """The largest value of an instruction field on the target."""
    return config.field_limit(name, FIELDS[name].high)


def _shape(layer: ArrayLayer, runs: list[Pair], columns: int, config: AcceleratorConfig,
           where: str) -> _Shape:
    """Tiles of ``columns``, with all blocks of a run or groups that leave room for the next one."""
    rows = _rows(layer, config)
    blocks, words = max(last - first for first, last in runs), block_words(layer, config)
    records = parameter_words(layer, config)
    # A word that is used once is freed at once; a kernel beyond the ring comes again each pixel.
    stream = layer.mode == Mode.DENSE and (rows * columns == 1 or words > config.ring_words)
    share = LARGER_SHARE if stream or config.shared_channel else SHARE
    limit = min(_share(blocks, records, config.parameter_words, share), _limit(config, "blocks"))
    if not stream:
        limit = min(limit, _share(blocks, words, config.ring_words, share))
    if limit == 0:
        raise CompileError(f"{where}: the kernel's {words} words exceed the weight ring's "
                           f"{config.ring_words}; use a target with a larger ring_bytes")
    if layer.places is not None and not layer.has_gaps:      # a run, or equal parts of one
        of_run = -(-layer.places.run // layer.lanes)
        limit = max(n for n in range(1, min(of_run, limit) + 1) if of_run % n == 0)
        return _Shape(rows, columns, limit, stream, layer.visits, runs)
    groups = -(-blocks // limit)
    return _Shape(rows, columns, -(-blocks // groups), stream, layer.visits, runs)


def _share(blocks: int, words: int, capacity: int, share: Pair) -> int:
    """Number of blocks of ``words`` each that an instruction may have: all that fit, or a share."""
    if blocks * words <= capacity:
        return blocks
    return max(capacity * share[0] // share[1] // words, 1 if words <= capacity else 0)


def _problem(layer: ArrayLayer, part: Tile, config: AcceleratorConfig, ahead: bool) -> str | None:
    """The limit of the core that a tile breaks, or None; ``ahead``: with a stride's rows more."""
    values = tile_fields(layer, part, config)
    for name, value in values.items():
        field = FIELDS.get(name)
        if field is not None and not field.low <= value <= _limit(config, name):
            return (f"{name} ({field.meaning}) would be {value}, the limit is "
                    f"{_limit(config, name)}")
    passes = values["ofm_rows"] * values["ofm_columns"]
    if part.weights_stream and passes > _limit(config, "weight_repeat"):
        return (f"the weights would be read {passes} times, the limit is "
                f"{_limit(config, 'weight_repeat')}")
    if visited(layer, part.visits, config).mode == Mode.COLUMN and (
            values["ifm_address"] % config.lane_bytes or values["ifm_pitch"] % config.read_bytes):
        return "rows are not multiples of read_bytes apart, or do not begin at whole lanes"
    needed = rows_held(values, ahead)
    if needed * values["line_pitch"] > config.line_bytes:
        return (f"{needed} rows of {values['line_pitch']} bytes exceed the line buffer's "
                f"{config.line_bytes} bytes")
    return None


def _cut(number: int, layer: ArrayLayer, shape: _Shape) -> Iterator[Tile]:
    """The tiles in the order of their execution."""
    rows, columns, _ = layer.geometry.ofm
    for image in range(layer.geometry.batch):
        for row in _ranges(rows, shape.rows):
            for column in _ranges(columns, shape.columns):
                for run in shape.runs:
                    for blocks in _ranges(run[1], shape.blocks, run[0]):
                        yield Tile(number, image, row, column, blocks, shape.weights_stream,
                                   shape.visits)


def _ranges(end: int, step: int, start: int = 0) -> list[Pair]:
    return [(first, min(first + step, end)) for first in range(start, end, step)]

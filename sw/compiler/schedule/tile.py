"""Cuts layers into instructions: groups of output channels, and tiles of columns and rows."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterator, Sequence
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
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.operands import describe
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.visits import visits
from kaniwa.compiler.rewrite.refusal import Refused
from kaniwa.compiler.schedule.estimate import FREE, Held, estimate, rows_held
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.isa import FIELDS, Mode
from kaniwa.isa.step_lists import most_steps

__all__ = ["tile", "cycles", "tiles_of"]

# Of a buffer that a whole layer does not fit: the rest lets the next group's data run ahead. What
# is used again at each pixel is waited for at the first one, so half of it should be there by then.
# What is used once, as it comes, needs less; and so it is where the array reads by the same port.
SHARE, LARGER_SHARE = (1, 2), (3, 4)
QUARTER, WHOLE = (1, 4), (1, 1)      # of other groups than the usual
MARGIN = 200    # cycles that groups of another size than usual must gain, by a rough count


class _Groups(enum.Enum):
    """Blocks that an instruction has of a buffer's.

    FEW: all where they fit, else a share that leaves room for the next group. SMALL: that share in
    any case, so that data of the next group come meanwhile; SMALLER: less of it, so that the first
    ones are there sooner. LARGE: as many as fit, for rows that each group reads again.
    """

    FEW = enum.auto()
    SMALL = enum.auto()
    SMALLER = enum.auto()
    LARGE = enum.auto()


@dataclass(frozen=True)
class _Shape:
    """The largest tile of a cut; ``runs`` of blocks have as many ``visits``, others are not cut.

    ``short_first``: of groups of blocks that are not all equal, the smaller one comes first.
    """

    rows: int
    columns: int
    blocks: int
    weights_stream: bool
    visits: int
    runs: list[Pair]
    short_first: bool = False


def tile(plan: Plan) -> Plan:
    """Cut each layer; raises Refused naming the limit that even the smallest tile breaks."""
    tiles: list[Tile] = []
    reasons: dict[int, str] = {}
    outside, constants = plan.options.outside, [*map(_constants, plan.layers)]
    counts = Counter(constants)
    cutter = _Cutter(plan.config, Held(cycles=0),
                     usual=outside is not None and outside.bytes > 0)
    for number, (layer, own) in enumerate(zip(plan.layers, constants, strict=True)):
        where = describe(plan.model, plan.model.ops[layer.positions[0]])
        alike = own is None or counts[own] > 1
        try:
            tiles += layer.tiles(number, partial(cutter.tiles, number, where, alike=alike))
        except CompileError as error:
            reasons.setdefault(layer.positions[0], str(error))
    if reasons:
        raise Refused(reasons)
    if len(tiles) > FIELDS["ifm_wait"].high:
        raise _too_many(plan, tiles)
    return replace(plan, tiles=tuple(tiles))


def _constants(layer: Layer) -> tuple[int, ...] | Layer | None:
    """What dense layers of the same weights have in common; None of passes, which share theirs."""
    own = layer.on_array
    if own is None or own.weights is None or own.mode != Mode.DENSE:
        return own
    return *own.weights.shape, hash(own.weights.tobytes())


def _too_many(plan: Plan, tiles: list[Tile]) -> Refused:
    """The error of the layer with the most instructions."""
    number, count = Counter(part.layer for part in tiles).most_common(1)[0]
    layer = plan.layers[number]
    where = describe(plan.model, plan.model.ops[layer.positions[0]])
    return Refused(dict.fromkeys(layer.positions, (
        f"{where}: it takes {count} of {len(tiles)} instructions, at most "
        f"{FIELDS['ifm_wait'].high} fit; use a target with larger buffers, or fewer steps")))


def tiles_of(number: int, layer: ArrayLayer, config: AcceleratorConfig) -> list[Tile]:
    """The tiles of a layer of the array before slow memory; raises CompileError where even the
    smallest do not fit."""
    return list(_Cutter(config, usual=True).tiles(number, layer.name, layer))


def cycles(layers: Sequence[ArrayLayer], config: AcceleratorConfig) -> int | None:
    """Estimated cycles of layers one behind the other, cut as ``tile`` would, and after others that
    leave room in the buffers; None where one cannot be cut."""
    cutter, total = _Cutter(config), 0
    try:
        for number, layer in enumerate(layers):
            cut = list(cutter.counted(number, layer.name, layer))
            total += (sum(count for _, count in cut) if number else
                      sum(_cycles(layer, [part for part, _ in cut], config, FREE, ahead=True)))
    except CompileError:
        return None
    return total


class _Cutter:
    """Cuts passes of the array in their order; ``before``: what the last tile has in buffers.

    ``usual``: into the usual groups only. The count knows memory that is as fast as on chip.
    """

    def __init__(self, config: AcceleratorConfig, before: Held = FREE,
                 usual: bool = False) -> None:
        self._config, self.before = config, before
        self._usual = usual or config.compact

    def tiles(self, number: int, where: str, layer: ArrayLayer,
              alike: bool = False) -> Iterator[Tile]:
        """Those of ``counted``."""
        return (part for part, _ in self.counted(number, where, layer, alike))

    def counted(self, number: int, where: str, layer: ArrayLayer,
                alike: bool = False) -> Iterator[tuple[Tile, int]]:
        """Tiles of the next one, and their estimated cycles: cuts, with the blocks of each number
        of visits by themselves.

        ``alike``: it shares its weights with others, so all have the usual groups. Each cut reads
        all rows. Where these come from outside memory alone, that takes longer than to meet every
        window of COLUMN twice.
        """
        config, found = self._config, visits(layer, self._config)
        if layer.mode == Mode.COLUMN and not config.memory_bytes and set(found) == {1, 2}:
            found = {2: [(0, layer_blocks(layer, config))]}
        for times, runs in sorted(found.items()):
            cut = self._best(number, layer, times, runs, where, alike)
            self.before = Held.of(layer, cut[-1][0], config, cut[-1][1])
            yield from cut

    def _best(self, number: int, layer: ArrayLayer, times: int, runs: list[Pair],
              where: str, alike: bool) -> list[tuple[Tile, int]]:
        """The cut of the fewest cycles, among those of the usual groups and of others."""
        config = self._config
        best: list[tuple[Tile, int]] = []
        least = math.inf
        tried: set[tuple[int, int, bool]] = set()
        kinds = [_Groups.FEW] if self._usual or alike else _kinds(visited(layer, times, config))
        for groups in kinds:
            margin = 0 if groups == _Groups.FEW else MARGIN
            for shape in _shapes(number, layer, times, runs, config, where, groups):
                cut = shape.columns, shape.blocks, shape.short_first
                if cut in tried:
                    continue
                tried.add(cut)
                tiles = list(_cut(number, layer, shape))
                counts = list(_cycles(layer, tiles, config, self.before))
                if margin + sum(counts) < least:
                    best, least = list(zip(tiles, counts, strict=True)), margin + sum(counts)
        return best


def _kinds(layer: ArrayLayer) -> tuple[_Groups, ...]:
    """Sizes of groups that may pay."""
    if layer.mode == Mode.DENSE:
        return _Groups.FEW, _Groups.SMALL, _Groups.SMALLER
    if layer.mode == Mode.COLUMN:
        return _Groups.FEW, _Groups.SMALL, _Groups.LARGE
    return _Groups.FEW, _Groups.LARGE


def _shapes(number: int, layer: ArrayLayer, times: int, runs: list[Pair],
            config: AcceleratorConfig, where: str, groups: _Groups) -> Iterator[_Shape]:
    """The fewest column tiles that work, and the fewest that let rows run ahead, each also with
    the smaller one of the groups in front."""
    seen, columns = visited(layer, times, config), layer.geometry.ofm[1]
    for ahead in (False, True):
        for parts in range(1, columns + 1):
            shape = replace(_shape(seen, runs, -(-columns // parts), config, where, groups),
                            visits=times)
            problem = _first_problem(number, layer, shape, config, ahead)
            while problem is not None and shape.blocks > 1 and _separable(seen):
                shape = replace(shape, blocks=shape.blocks - 1)
                problem = _first_problem(number, layer, shape, config, ahead)
            if problem is None:
                yield shape
                if groups != _Groups.FEW and _run_blocks(seen) is None and any(
                        (last - first) % shape.blocks for first, last in runs):
                    yield replace(shape, short_first=True)
                break
            if parts == columns and not ahead and groups == _Groups.FEW:
                raise CompileError(f"{where}: {problem}; use a target with larger buffers or "
                                   "a smaller layer")


def _cycles(layer: ArrayLayer, tiles: list[Tile], config: AcceleratorConfig, before: Held,
            ahead: bool = False) -> Iterator[int]:
    """Estimated cycles of each tile; ``ahead``: weights of the first are read while others run."""
    for number, part in enumerate(tiles):
        count = estimate(layer, part, config, ahead and number == 0, before)
        before = Held.of(layer, part, config, count)
        yield count


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
           where: str, groups: _Groups) -> _Shape:
    """Tiles of ``columns``, with all blocks of a run or groups of them."""
    rows = _rows(layer, config)
    blocks, words = max(last - first for first, last in runs), block_words(layer, config)
    records = parameter_words(layer, config)
    # A word that is used once is freed at once; a kernel beyond the ring comes again each pixel.
    stream = layer.mode == Mode.DENSE and (rows * columns == 1 or words > config.ring_words)
    share = {_Groups.SMALLER: QUARTER, _Groups.LARGE: WHOLE}.get(
        groups, LARGER_SHARE if stream or config.shared_channel else SHARE)
    all_that_fit = groups in (_Groups.FEW, _Groups.LARGE)
    limit = min(_share(blocks, records, config.parameter_words, share, all_that_fit),
                _limit(config, "blocks"))
    if not stream:
        limit = min(limit, _share(blocks, words, config.ring_words, share, all_that_fit))
    if layer.listed:
        limit = min(limit, most_steps(config) // words)
    if limit == 0:
        raise CompileError(f"{where}: the kernel's {words} words exceed the weight ring's "
                           f"{config.ring_words}; use a target with a larger ring_bytes")
    of_run = _run_blocks(layer)
    if of_run is not None:      # a run, or equal parts of one
        limit = max(n for n in range(1, min(of_run, limit) + 1) if of_run % n == 0)
        return _Shape(rows, columns, limit, stream, layer.visits, runs)
    count = -(-blocks // limit)
    return _Shape(rows, columns, -(-blocks // count), stream, layer.visits, runs)


def _run_blocks(layer: ArrayLayer) -> int | None:
    """Blocks of a run of places, out of which no group may reach; None where there are no runs."""
    if layer.places is None or layer.has_gaps:
        return None
    return -(-layer.places.run // layer.lanes)


def _share(blocks: int, words: int, capacity: int, share: Pair, all_that_fit: bool) -> int:
    """Number of blocks of ``words`` each that an instruction may have: all, where these fit and
    may be together, or a share."""
    if not words or all_that_fit and blocks * words <= capacity:
        return blocks
    return min(blocks, max(capacity * share[0] // share[1] // words,
                           1 if words <= capacity else 0))


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
                    for blocks in _groups(run, shape):
                        yield Tile(number, image, row, column, blocks, shape.weights_stream,
                                   shape.visits)


def _groups(run: Pair, shape: _Shape) -> list[Pair]:
    """A run of blocks in groups of the shape's."""
    first, last = run
    short = (last - first) % shape.blocks if shape.short_first else 0
    return [(first, first + short)] * (short > 0) + _ranges(last, shape.blocks, first + short)


def _ranges(end: int, step: int, start: int = 0) -> list[Pair]:
    return [(first, min(first + step, end)) for first in range(start, end, step)]

"""Stores wide maps in parts of their channels, where depthwise layers then read whole rows.

Rows of many channels do not fit the line buffer as often as a kernel has rows. Such a layer is cut
into tiles of columns, and each of them begins its rows anew: it reads columns that its neighbor
reads too, before it has a result. A map in parts has each row once for each part of the channels,
so the layer becomes one of each part, of rows that are as wide as before and shorter:

    a row of a map        | all channels of pixel 0 | of pixel 1 | ...
    the same in 2 parts   | first half of the channels of pixel 0 | of 1 | ... | second half of 0 |

What makes the map becomes a layer of each part. What reads the result sees a part as a row of its
kernel: 1 x 1 of C channels is 2 x 1 of C / 2 of them, two rows at a time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from kaniwa.compiler.plan.geometry import PartedMap
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.schedule.mapping import mapped_cycles
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode

__all__ = ["channel_parts"]

MOST_PARTS = 8
MARGIN = 250     # cycles that parts must gain, for the count is rough


@dataclass(frozen=True, eq=False)
class _Chain:
    """A depthwise layer between the only layer that makes its input, and the only one that reads
    its result."""

    maker: ArrayLayer
    depthwise: ArrayLayer
    reader: ArrayLayer

    def maps(self, parts: int) -> dict[int, PartedMap]:
        """The two maps in so many parts."""
        g = self.depthwise.geometry
        return {self.depthwise.ifm: PartedMap(g.batch, g.ifm, parts),
                self.depthwise.ofm: PartedMap(g.batch, g.ofm, parts)}

    def layers(self, parts: int) -> list[ArrayLayer]:
        """All layers, for maps of so many parts."""
        before, behind = self.maps(parts).values()
        return [*(_writer(self.maker, before, n) for n in range(parts)),
                *(_writer(_reader(self.depthwise, before, n), behind, n) for n in range(parts)),
                _reader_of_all(self.reader, behind)]


def channel_parts(plan: Plan) -> Plan:
    """Put maps into parts, where the layers around them then take fewer cycles by estimate.

    Slow outside memory has its own order of layers (``depth_first``), which counts on whole maps.
    """
    outside = plan.options.outside
    if (outside is not None and outside.bytes > 0) or plan.options.materialize or (
            not plan.config.depthwise):
        return plan
    replaced: dict[Layer, list[ArrayLayer]] = {}
    maps: dict[int, PartedMap] = {}
    for chain in _chains(plan):
        before = chain.maker, chain.depthwise, chain.reader
        parts = 1 if any(layer in replaced for layer in before) else _best(chain, plan.config)
        if parts > 1:
            maps.update(chain.maps(parts))
            replaced.update({**dict.fromkeys(before[:2], []), before[2]: chain.layers(parts)})
    return replace(plan, in_parts=maps, layers=tuple(
        new for layer in plan.layers for new in replaced.get(layer, [layer])))


def _chains(plan: Plan) -> list[_Chain]:
    """The depthwise layers whose maps nobody else sees."""
    makers, readers = defaultdict[int, list[Layer]](list), defaultdict[int, list[Layer]](list)
    for layer in plan.layers:
        for tensor in layer.makes:
            makers[tensor].append(layer)
        for tensor in layer.reads:
            readers[tensor].append(layer)
    found = []
    for layer in plan.layers:
        own = layer.on_array
        if own is None or own.mode != Mode.DEPTHWISE or not _is_plain(own) or not all(
                plan.is_internal(tensor) and tensor not in plan.spaced
                and len(makers[tensor]) == len(readers[tensor]) == 1
                for tensor in (own.ifm, own.ofm)):
            continue
        maker, reader = makers[own.ifm][0].on_array, readers[own.ofm][0].on_array
        if maker is not None and reader is not None and _may_be_in_parts(maker, own, reader):
            found.append(_Chain(maker, own, reader))
    return found


def _is_plain(layer: ArrayLayer) -> bool:
    """True for a layer that reads and writes maps as they are, and adds none."""
    return (layer.places is None and layer.source_at is None and not layer.has_gaps
            and layer.add is None and layer.spread == 1)


def _may_be_in_parts(maker: ArrayLayer, depthwise: ArrayLayer, reader: ArrayLayer) -> bool:
    """True for dense layers around the depthwise one, the second of which goes pixel by pixel."""
    g, own = reader.geometry, depthwise.geometry
    return (maker.mode == reader.mode == Mode.DENSE and _is_plain(maker)
            and maker.part == depthwise.part == reader.part
            and reader.source_at is None and not reader.has_gaps and reader.spread == 1
            and (maker.geometry.batch, maker.geometry.ofm) == (own.batch, own.ifm)
            and (g.batch, g.ifm) == (own.batch, own.ofm)
            and g.kernel == g.stride == g.dilation == (1, 1) and g.padding == (0, 0))


def _best(chain: _Chain, config: AcceleratorConfig) -> int:
    """The number of parts that takes the fewest cycles, 1 for a whole map."""
    best, least = 1, mapped_cycles([chain.maker, chain.depthwise, chain.reader], config) - MARGIN
    for parts in range(2, MOST_PARTS + 1):
        if all(_in_whole_reads(parted, config) for parted in chain.maps(parts).values()):
            cost = mapped_cycles(chain.layers(parts), config)
            if cost < least:
                best, least = parts, cost
    return best


def _in_whole_reads(parted: PartedMap, config: AcceleratorConfig) -> bool:
    """Whether the rows of parts begin at whole reads, and their pixels are whole dot products."""
    channels = parted.shape[2]
    return (channels % (parted.parts * config.dot_width) == 0
            and parted.row // parted.parts % config.read_bytes == 0)


def _writer(layer: ArrayLayer, parted: PartedMap, part: int) -> ArrayLayer:
    """The layer for a part of its channels."""
    size = parted.of_part[2]
    own = slice(part * size, (part + 1) * size)
    assert layer.weights is not None
    return replace(
        layer, name=f"{layer.name}:{part + 1}", macs=layer.macs // parted.parts, has_gaps=True,
        geometry=replace(layer.geometry, ofm=parted.of_part), places=parted.output(part),
        weights=layer.weights[own] if layer.mode == Mode.DENSE else layer.weights[..., own],
        bias=layer.bias[own], rescale=replace(
            layer.rescale, multiplier=layer.rescale.multiplier[own],
            shift=layer.rescale.shift[own]))


def _reader(layer: ArrayLayer, parted: PartedMap, part: int) -> ArrayLayer:
    """The layer for an input that is a part of each row."""
    return replace(layer, geometry=replace(layer.geometry, ifm=parted.of_part),
                   source_at=parted.source(part))


def _reader_of_all(layer: ArrayLayer, parted: PartedMap) -> ArrayLayer:
    """The layer of 1 x 1 for which a part is a row of its kernel."""
    assert layer.weights is not None
    rows, columns, channels = parted.of_part
    return replace(
        layer, weights=layer.weights.reshape(-1, parted.parts, 1, channels),
        geometry=replace(layer.geometry, ifm=(rows * parted.parts, columns, channels),
                         kernel=(parted.parts, 1), stride=(parted.parts, 1)))

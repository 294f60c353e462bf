"""Windows of Conv and the pooling operators of ONNX: sizes, explicit padding, their maps."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.values import (
    Integers,
    Moved,
    Pending,
    Steps,
    channel_last,
    moved,
)

__all__ = ["Window", "window_of", "as_map", "map_result", "from_map", "numbers"]

MAXIMUM = 1 << 16


@dataclass(frozen=True)
class Window:
    """Along rows and columns; a one-dimensional operator has one row.

    ``sizes`` is the result's. ``padding`` has also what the last window lacks (ceil_mode), which
    ``explicit`` has not.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    sizes: tuple[int, int]
    explicit: tuple[tuple[int, int], tuple[int, int]]

    @property
    def attributes(self) -> dict[str, object]:
        """As the graph's operators have them, without the kernel."""
        return {"stride": self.stride, "dilation": self.dilation, "padding": self.padding}


def window_of(builder: Builder, node: Node, spatial: tuple[int, ...],
              kernel: tuple[int, ...]) -> Window:
    """The window of ``node`` over ``spatial`` sizes; raises the errors of an importer."""
    rank = len(spatial)
    if rank not in (1, 2):
        raise builder.fail(f"works on {rank} dimensions; one and two are supported")
    stride, dilation = (numbers(builder, node, name, rank, 1) for name in ("strides", "dilations"))
    if node.attributes.get("ceil_mode", 0) not in (0, 1):
        raise builder.fail("ceil_mode must be 0 or 1", ModelError)
    pads = numbers(builder, node, "pads", 2 * rank, 0)
    auto = node.attributes.get("auto_pad", b"NOTSET")
    if auto not in (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER"):
        raise builder.fail(f"auto_pad is {auto!r}", ModelError)
    padding, sizes, explicit = [], [], []
    for axis in range(rank):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        before, after = pads[axis], pads[rank + axis]
        if auto != b"NOTSET":
            before = after = 0
        if auto.startswith(b"SAME"):
            count = -(-spatial[axis] // stride[axis])
            total = max((count - 1) * stride[axis] + extent - spatial[axis], 0)
            before = total // 2 if auto == b"SAME_UPPER" else total - total // 2
            after = total - before
        rest = spatial[axis] + before + after - extent
        if rest < 0:
            raise builder.fail(f"the kernel {list(kernel)} does not fit its input "
                               f"{list(spatial)}", ModelError)
        size = rest // stride[axis] + 1
        explicit.append((before, after))
        if node.attributes.get("ceil_mode") and rest % stride[axis]:
            # A last window that is not whole counts if it begins inside.
            if size * stride[axis] < spatial[axis] + before:
                after += stride[axis] - rest % stride[axis]
                size += 1
        padding.append((before, after))
        sizes.append(size)
    if rank == 1:
        kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
        padding, sizes, explicit = [(0, 0), *padding], [1, *sizes], [(0, 0), *explicit]
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1]),
                  (padding[0], padding[1]), (sizes[0], sizes[1]), (explicit[0], explicit[1]))


def numbers(builder: Builder, node: Node, name: str, count: int, least: int) -> tuple[int, ...]:
    """The attribute ``name``, ``count`` whole numbers of ``least`` or more, else so many of it."""
    values = node.attributes.get(name, (least,) * count)
    if not isinstance(values, tuple) or len(values) != count or not all(
            isinstance(v, int) and least <= v <= MAXIMUM for v in values):
        raise builder.fail(f"{name} must be {count} numbers of {least} to {MAXIMUM}", ModelError)
    return values


def as_map(builder: Builder, x: Moved) -> int:
    """[N, C, H, W] as [N, H, W, C]; [N, C, W] as one row of it."""
    source = builder.form(x.stored, channel_last(len(x.stored.shape)))
    shape = builder.tensors[source].shape
    if len(shape) == 4:
        return source
    return builder.reshaped(source, (shape[0], 1, *shape[1:]), f"{x.stored.name}:row")


def map_result(builder: Builder, pending: Pending, sizes: tuple[int, int], channels: int,
               steps: Steps, name: str) -> int:
    """A new tensor for a map of ``sizes``: one row where the model has one dimension."""
    shape = (pending.shape[0], *sizes, channels)
    label = name if len(pending.shape) == 4 else f"{name}:row"
    return builder.tensor(label, shape, *steps.stored_as)


def from_map(builder: Builder, pending: Pending, output: int, steps: Steps,
             name: str) -> Integers:
    """The tensor of ``map_result`` as the model's value ``name``."""
    form = channel_last(len(pending.shape))
    if len(pending.shape) == 3:
        builder.store(name, output, pending.shape, form, steps)      # the same values, in a row
        output = builder.reshaped(output, moved(pending.shape, form), name)
    return Integers(builder.store(name, output, pending.shape, form, steps), steps)

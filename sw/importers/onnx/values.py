"""Values that names of an ONNX graph stand for while it is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from kaniwa.graph import Quantization
from kaniwa.importers.onnx.file import Node

__all__ = ["Permutation", "Stored", "Known", "Integers", "Dequantized", "Floats", "Pending",
           "Moved", "Value", "Steps", "REAL", "channel_last", "common_form", "moved"]

Permutation = tuple[int, ...]


def channel_last(rank: int) -> Permutation:
    """Permutation from [N, C, ...] to [N, ..., C]; smaller ranks stay as they are."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


def moved(shape: tuple[int, ...], permutation: Permutation) -> tuple[int, ...]:
    """The shape after the transposition."""
    return tuple(shape[axis] for axis in permutation)


@dataclass(eq=False)
class Stored:
    """Values in the graph, in one form or several: tensor ids by how they are transposed.

    ``shape`` is ONNX's. The form ``p`` is the model's tensor transposed by ``p``. Without a form
    it is ``source``, flattened: made only for a reader that cannot take the source itself.
    """

    name: str
    shape: tuple[int, ...]
    forms: dict[Permutation, int] = field(default_factory=dict)
    source: Stored | None = None

    @property
    def first(self) -> Permutation:
        """The form that was there first; of what is only flattened the model's own layout."""
        return next(iter(self.forms), tuple(range(len(self.shape))))

    def moved_for(self, permutation: Permutation) -> int:
        """Elements that a transposition would move, if these values were wanted in this form."""
        now, then = ([axis for axis in form if self.shape[axis] > 1]
                     for form in (self.first, permutation))
        return 0 if permutation in self.forms or now == then else prod(self.shape)


def common_form(values: Sequence[Stored], rank: int) -> Permutation:
    """The form in which the fewest elements of ``values`` are transposed; of equals the form that
    the earlier value had first. The model's own layout where none has ``rank`` dimensions."""
    whole = [value for value in values if len(value.shape) == rank and value.forms]
    forms = dict.fromkeys([value.first for value in whole] + [f for v in whole for f in v.forms])
    return min(forms, key=lambda form: sum(value.moved_for(form) for value in whole),
               default=tuple(range(rank)))


@dataclass(frozen=True)
class Steps:
    """Quantization as the file has it; ``dtype`` is that of the integers."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    dtype: str
    axis: int | None = None

    @property
    def shift(self) -> int:
        """Number that makes integers of the file signed when taken from them."""
        return {"uint8": 128, "uint16": 1 << 15}.get(self.dtype, 0)

    @property
    def bits(self) -> int:
        """Width of the integers."""
        return 8 * np.dtype(self.dtype).itemsize

    @property
    def quantization(self) -> Quantization:
        """The graph's, of signed values."""
        return Quantization(self.scales, tuple(z - self.shift for z in self.zero_points), self.axis)

    @property
    def rule(self) -> str:
        """The rule of an operator that computes a result in these steps."""
        return "onnx" if self.dtype == "float32" else "qdq"

    @property
    def stored_as(self) -> tuple[str, Quantization | None]:
        """The dtype and the quantization of the graph's tensors in these steps."""
        if self.dtype == "float32":
            return "float32", None
        return "int16" if self.bits == 16 else "int8", self.quantization

    @property
    def bounds(self) -> tuple[int, int]:
        """The range of the integers after the shift."""
        limits = np.iinfo(self.dtype)
        return int(limits.min) - self.shift, int(limits.max) - self.shift


# Of a result that stays float32: the operator rounds its exact value to that once.
REAL = Steps((1.0,), (0,), "float32")


@dataclass(frozen=True, eq=False)
class Known:
    """A constant. ``steps``: its values are integers that stand for real numbers."""

    data: np.ndarray
    steps: Steps | None = None

    @property
    def real(self) -> np.ndarray:
        """The values in float64, dequantised as ONNX does in float32."""
        with np.errstate(all="ignore"):      # what is not finite is refused where it is used
            return self._real()

    def _real(self) -> np.ndarray:
        if self.steps is None:
            return self.data.astype(np.float64)
        shape = [1] * self.data.ndim
        if self.steps.axis is not None:
            shape[self.steps.axis] = -1
        scales = np.array(self.steps.scales, np.float32).reshape(shape)
        zeros = np.array(self.steps.zero_points, np.int64).reshape(shape)
        centered = (self.data.astype(np.int64) - zeros).astype(np.float32)
        return (centered * scales).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Integers:
    """Quantised integers, int8 or int16 in the graph; an input that nobody dequantises has steps
    of 1."""

    stored: Stored
    steps: Steps


@dataclass(frozen=True, eq=False)
class Dequantized:
    """The real numbers that integers of the graph stand for: no operation yet."""

    stored: Stored
    steps: Steps


@dataclass(frozen=True, eq=False)
class Floats:
    """float32 (or other unquantised) numbers in the graph."""

    stored: Stored
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Pending:
    """A result in real numbers that waits for the QuantizeLinear that says what it becomes.

    ``clamps`` are the (low, high) of activations behind it, in their order. ``name`` is the
    model's for the value, the node's own where nothing came behind it.
    """

    node: Node
    operands: tuple[Value | None, ...]
    shape: tuple[int, ...]
    clamps: tuple[tuple[float, float], ...] = ()
    name: str = ""

    def clamped(self, low: float, high: float, name: str) -> Pending:
        """With one more activation behind it, which the model calls ``name``."""
        return replace(self, clamps=(*self.clamps, (low, high)), name=name)

    @property
    def label(self) -> str:
        """The model's name for the value."""
        return self.name or self.node.outputs[0]


Moved = Integers | Dequantized | Floats      # what can be moved without computing
Value = Known | Integers | Dequantized | Floats | Pending

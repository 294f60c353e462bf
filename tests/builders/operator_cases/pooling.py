"""Random pooling."""

from __future__ import annotations

from builders.operator_cases.arithmetic import dtype_of
from builders.operator_cases.cases import FUSED, Cases, Rng, draws, values
from builders.operator_cases.movement import quantized
from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING

__all__: list[str] = []


@draws("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool(cases: Cases, rng: Rng, kind: str) -> None:
    """Filters of 1-7 and strides of 1-3."""
    padding = str(rng.choice(["SAME", "VALID"]))
    filters, stride = rng.integers(1, 8, 2), rng.integers(1, 4, 2)
    shape = rng.integers(0, 10, 2) + (filters if padding == "VALID" else 1)
    size = -(-shape // stride) if padding == "SAME" else (shape + stride - filters) // stride
    n, channels = (int(rng.integers(1, n)) for n in (3, 17))
    dtype = dtype_of(rng, kind)
    q = quantized(rng, dtype)
    x = cases.given(values(rng, (n, *shape, channels), dtype), **q)
    y = cases.result((n, *size, channels), dtype, **q)
    cases.op(kind, [x], [y], Padding=PADDING[padding], StrideH=int(stride[0]),
             StrideW=int(stride[1]), FilterHeight=int(filters[0]), FilterWidth=int(filters[1]),
             FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))])

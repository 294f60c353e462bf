"""Random products of matrices."""

from __future__ import annotations

from tflite_builder import ACTIVATION

from operator_cases.cases import FUSED, Cases, Rng, draws, scale, values, zero_point
from operator_cases.convolution import weighted

__all__: list[str] = []


@draws("FULLY_CONNECTED")
def fully_connected(cases: Cases, rng: Rng, kind: str) -> None:
    """1-6 rows, with or without the input's leading dimensions kept."""
    rows, ic, oc = (int(rng.integers(1, n)) for n in (7, 100, 30))
    keep = bool(rng.random() < 0.3)
    shape = [1, rows, ic] if keep else [rows, ic]
    x_scale = scale(rng)
    x = cases.given(values(rng, shape), scale=x_scale, zero_point=zero_point(rng))
    rest, y_scale = weighted(cases, rng, x_scale, values(rng, (oc, ic)), 0, ic)
    y = cases.result([*shape[:-1], oc], scale=y_scale, zero_point=zero_point(rng))
    cases.op(kind, [x, *rest], [y], KeepNumDims=keep,
             FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))])

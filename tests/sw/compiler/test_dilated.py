"""Dilated convolutions as older converters write them: blocks to batch, convolution, and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from builders.graphs.inferences import assert_runs_as_golden
from builders.operator_cases import Cases
from builders.operator_cases.cases import both, values

from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING
from kaniwa.importers.tflite.importer import import_tflite


@dataclass
class Form:
    """A chain: [rows, columns] of the input, and all that is done to them."""

    size: tuple[int, int] = (9, 11)
    block: tuple[int, int] = (2, 3)
    kernel: tuple[int, int] = (3, 3)
    pads: tuple[tuple[int, int], ...] = ((2, 3), (3, 4))
    crops: tuple[tuple[int, int], ...] = ((0, 1), (0, 1))
    padding: str = "VALID"
    depthwise: bool = False
    dtype: str = "int8"
    stride: int = 1
    views: bool = False      # one axis: [batch, columns, channels]
    between: tuple[str, ...] = field(default=())      # results that are the model's, too


def written(form: Form) -> Cases:
    rng, cases = np.random.default_rng(7), Cases()
    n, channels, outputs = 2, 4, 4 if form.depthwise else 6
    q = {"scale": 0.1, "zero_point": 0 if form.dtype == "int16" else 9}
    out = {"scale": 3.0, "zero_point": 0 if form.dtype == "int16" else 5}
    padded = [size + sum(pads) for size, pads in zip(form.size, form.pads, strict=True)]
    small = [size // b for size, b in zip(padded, form.block, strict=True)]
    made = [-(-size // form.stride) if form.padding == "SAME" else (size - k) // form.stride + 1
            for size, k in zip(small, form.kernel, strict=True)]
    whole = [size * b - sum(crops) for size, b, crops in zip(
        made, form.block, form.crops, strict=True)]
    batch, first = n * form.block[0] * form.block[1], 1 if form.views else 0

    def axes(sizes: list[int] | tuple[int, ...]) -> list[int]:
        return list(sizes[first:])

    def tensor(name: str, shape: list[int], **steps: float) -> int:
        if name in form.between:
            return cases.result(shape, form.dtype, **steps)
        return cases.builder.tensor(name, shape, form.dtype, **steps)

    x = cases.given(values(rng, [n, *axes(form.size), channels], form.dtype), **q)
    a = tensor("a", [batch, *axes(small), channels], **q)
    block = cases.numbers(form.block[first:])
    cases.op("SPACE_TO_BATCH_ND", [x, block, cases.numbers(np.array(form.pads[first:]))], [a])
    if form.views:
        a, before = tensor("v", [batch, *small, channels], **q), a
        cases.op("EXPAND_DIMS", [before, cases.numbers([1])], [a])
    shape = (1, *form.kernel, outputs) if form.depthwise else (outputs, *form.kernel, channels)
    unsigned = form.dtype == "uint8"
    w = cases.given(values(rng, shape, "uint8" if unsigned else "int8"), True, scale=0.02,
                    zero_point=131 if unsigned else 0)
    bias = cases.given(rng.integers(-999, 999, outputs).astype(
        "int64" if form.dtype == "int16" else "int32"), True, scale=0.002, zero_point=0)
    y = tensor("y", [batch, *made, outputs], **out)
    options = {"Padding": PADDING[form.padding], "StrideH": form.stride, "StrideW": form.stride,
               "FusedActivationFunction": ACTIVATION["RELU"]}
    if form.depthwise:
        options["DepthMultiplier"] = 1
    cases.op("DEPTHWISE_CONV_2D" if form.depthwise else "CONV_2D", [a, w, bias], [y],
             **options)
    if form.views:
        y, before = tensor("u", [batch, *axes(made), outputs], **out), y
        cases.op("SQUEEZE", [before], [y], SqueezeDims=[1])
    z = cases.result([n, *axes(whole), outputs], form.dtype, **out)
    cases.op("BATCH_TO_SPACE_ND",
             [y, block, cases.numbers(np.array(form.crops[first:]))], [z])
    return cases


FOLDED = (
    Form(),
    Form(depthwise=True),
    Form(dtype="uint8"),
    Form(dtype="int16"),
    Form(padding="SAME", pads=((1, 0), (0, 1)), crops=((1, 0), (0, 0))),
    Form(kernel=(1, 3), block=(1, 4), pads=((0, 0), (4, 5)), crops=((0, 0), (0, 1))),
    Form(pads=((0, 1), (0, 1)), crops=((0, 1), (0, 1))),
    Form(size=(1, 21), kernel=(1, 3), block=(1, 4), pads=((0, 0), (8, 3)),
         crops=((0, 0), (0, 3)), views=True),
)
APART = (
    Form(stride=2),
    Form(between=("a",)),
    Form(between=("y",)),
    Form(pads=((0, 1), (0, 1)), crops=((1, 0), (0, 1))),      # would read from inside the input
    Form(pads=((6, 5), (3, 4))),      # a whole kernel of padding
)


@pytest.mark.parametrize("form", FOLDED, ids=range(len(FOLDED)))
def test_a_chain_is_one_convolution(form: Form) -> None:
    assert not chained(form)


@pytest.mark.parametrize("form", APART, ids=range(len(APART)))
def test_what_is_no_dilated_convolution_stays_a_chain(form: Form) -> None:
    assert chained(form)


def chained(form: Form) -> bool:
    """True where blocks are moved; results of golden are LiteRT's, and the program's are golden's.
    """
    cases = written(form)
    graph = import_tflite(cases.builder.build(cases.inputs, cases.outputs), "cases.tflite")
    for ours, theirs in zip(*both(cases), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert np.unique(theirs).size > 20
    inputs = {graph.tensors[i].name: x for i, x in zip(graph.inputs, cases.arrays, strict=True)}
    target = "base_vector" if form.dtype == "int16" else "base"
    program = assert_runs_as_golden(graph, target, inputs)
    assert not program.host_ops
    moved = {kind for layer in program.layers for kind in layer.op.split("+") if "_ND" in kind}
    assert len(moved) in (0, 2)
    return bool(moved)

"""Random ONNX networks as ONNX Runtime's quantiser writes them, over all its operators."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from builders.files.onnx_compared import Compared
from builders.graphs.inferences import assert_runs_as_golden
from builders.networks.quantised_onnx import KINDS, quantised_network
from builders.networks.random_onnx import noise

from kaniwa.errors import Error
from kaniwa.importers.onnx.table import OPERATORS

pytest.importorskip("onnxruntime")
# What a quantiser writes itself, and Gemm, which is the head's.
WRITTEN = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger",
           "ConvInteger", "Cast", "Gemm"}


def refused(seeds: Iterable[int], targets: tuple[str, ...], folder: Path) -> list[str]:
    """The lines of networks that are not taken; all others equal ONNX Runtime, and programs for
    ``targets`` equal golden."""
    compared, lines = Compared(), list[str]()
    for seed in seeds:
        kind, data = quantised_network(seed, folder)
        sample = {name: value / 2 for name, value in noise(data, seed).items()}
        try:
            graph, _ = compared.add(data, sample, f"{kind}, seed {seed}")
        except Error as error:
            lines.append(f"{kind}, seed {seed}: {error}")
            continue
        for target in targets:
            assert_runs_as_golden(graph, target, sample, f"{kind}, seed {seed}, {target}")
    compared.assert_few_next_to_ties()
    return lines


def test_networks_have_every_operator() -> None:
    assert set(KINDS) | WRITTEN == {op.kind for op in OPERATORS}


@pytest.mark.parametrize("first", range(0, len(KINDS), 20))
def test_a_network_of_each_operator_is_taken_and_equals_onnx_runtime(
        first: int, tmp_path: Path) -> None:
    seeds = range(first, min(first + 20, len(KINDS)))
    assert refused(seeds, ("base_vector",), tmp_path) == []


@pytest.mark.long
def test_400_networks_are_taken_but_for_four_and_equal_onnx_runtime(tmp_path: Path) -> None:
    lines = refused(range(1000, 1400), ("nano", "base", "base_vector"), tmp_path)
    assert len(lines) <= 4, lines

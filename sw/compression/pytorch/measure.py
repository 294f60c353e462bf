"""What a PyTorch module costs on a target: exported, quantised, compiled, and its cycles."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.compression.arguments import whole_number
from kaniwa.compression.pareto import Measured, Value
from kaniwa.compression.pytorch.export import export_onnx
from kaniwa.compression.pytorch.recipe import Recipe, compress
from kaniwa.compression.pytorch.steps import (
    BlockPruning,
    ChannelPruning,
    FoldNormalization,
    MagnitudePruning,
    Quantized,
    Step,
    WeightSharing,
)
from kaniwa.compression.pytorch.training import Data, Settings
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.errors import InputError
from kaniwa.extras import needed
from kaniwa.quantization.quantize import quantize
from kaniwa.quantization.recipe import Recipe as Quantisation

with needed("compression of PyTorch modules", "compress"):
    from torch import nn

__all__ = ["KINDS", "Bench", "recipe_of"]

# What a choice by layer may say, in the order of the steps.
KINDS = ("channels", "blocks", "weights", "entries")


@dataclass(frozen=True)
class Bench:
    """Measures modules on ``target``: quantised with ``calibrated`` of the ``learned`` samples,
    accuracy over ``held_back``. Raises InputError for wrong values.

    Not ``by_channel`` a layer has one scale. Then weights that are shared stay shared, as a target
    with codebooks needs them.
    """

    learned: Data
    held_back: Data
    target: str | AcceleratorConfig = "base"
    calibrated: int = 128
    by_channel: bool = True

    def __post_init__(self) -> None:
        whole_number("calibrated", self.calibrated, 1)

    def model(self, module: nn.Module, bits: int) -> bytes:
        """``module`` as an ONNX file in QDQ form, with weights of 8 or 4 ``bits``."""
        with tempfile.TemporaryDirectory(prefix="kaniwa-compress-") as made:
            plain, samples = Path(made) / "float.onnx", Path(made) / "samples.npz"
            export_onnx(module, plain, self.learned.x[:1])
            np.savez(samples, image=self.learned.x[:self.calibrated])
            recipe = Quantisation(weights=f"int{bits}", by_channel=self.by_channel)
            return quantize(plain, samples, recipe, compared=1).data

    def measure(self, module: nn.Module, bits: int, choice: Mapping[str, Value] | None = None
                ) -> Measured:
        """Accuracy of the quantised model, bytes of the program's constants, its cycles."""
        return self.measure_model(self.model(module, bits), choice)

    def measure_model(self, model: bytes, choice: Mapping[str, Value] | None = None) -> Measured:
        """The same of a quantised model."""
        import kaniwa

        with tempfile.TemporaryDirectory(prefix="kaniwa-compress-") as made:
            path = Path(made) / "model.onnx"
            path.write_bytes(model)
            program = kaniwa.compile(path, self.target)
        found = kaniwa.evaluate(program, (self.held_back.x, self.held_back.labels))
        return Measured(found.accuracy, program.weight_bytes, kaniwa.estimate(program).cycles,
                        choice or {})

    def of_choice(self, module: nn.Module, choice: Mapping[str, Value], settings: Settings,
                  epochs: int = 1) -> Measured:
        """``module`` compressed by ``recipe_of`` the choice, measured."""
        recipe = recipe_of(choice, settings, self.target, epochs)
        bits = next(step.bits for step in recipe.steps if isinstance(step, Quantized))
        return self.measure(compress(module, recipe, self.learned), bits, choice)


def recipe_of(choice: Mapping[str, Value], settings: Settings,
              target: str | AcceleratorConfig = "base", epochs: int = 1) -> Recipe:
    """The recipe that a choice stands for, as ``kaniwa.compression.search`` makes them.

    Names are "LAYER.channels", "LAYER.blocks" and "LAYER.weights" with the share to prune,
    "LAYER.entries" with the size of a codebook, 0 for none of it; and "bits", 8 (if not there) or
    4. ``epochs`` of training stand behind the last step of a kind. Channels stay in multiples of
    the target's lanes. Raises InputError for other names.
    """
    chosen: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for name, value in choice.items():
        layer, _, kind = name.rpartition(".")
        if name != "bits" and (kind not in KINDS or not layer):
            raise InputError(f"choice '{name}': expected bits, or a layer's name with one of "
                             f".{', .'.join(KINDS)} behind it")
        if name != "bits" and value:
            chosen[kind][layer] = value
    lanes = load_target(target).out_lanes
    made: list[list[Step]] = [
        [ChannelPruning((layer,), 0, sparsity=part, multiple=lanes)
         for layer, part in chosen["channels"].items()],
        [BlockPruning((layer,), 0, sparsity=part, target=target)
         for layer, part in chosen["blocks"].items()]
        + [MagnitudePruning((layer,), 0, sparsity=part)
           for layer, part in chosen["weights"].items()],
        [WeightSharing((layer,), 0, entries=entries)
         for layer, entries in chosen["entries"].items()]]
    bits = int(choice.get("bits", 8))
    steps: list[Step] = [*_trained(made[0], epochs), *_trained(made[1], epochs),
                         FoldNormalization(), *_trained(made[2], epochs),
                         Quantized(epochs=epochs, bits=bits)]
    return Recipe(tuple(steps), settings)


def _trained(steps: list[Step], epochs: int) -> list[Step]:
    """``steps``, with training behind the last one."""
    return [*steps[:-1], *(replace(step, epochs=epochs) for step in steps[-1:])]

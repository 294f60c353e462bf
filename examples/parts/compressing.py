"""What the examples of compression share: rows of steps, their table, and runs beside golden."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import kaniwa
from kaniwa import golden
from kaniwa.commands.tables import show_table
from kaniwa.compression.pytorch.measure import Bench
from kaniwa.compression.pytorch.steps import weights_left
from kaniwa.compression.pytorch.training import Data, accuracy
from kaniwa.config import AcceleratorConfig
from kaniwa.files import write_atomic
from kaniwa.importers import load_model


class Steps:
    """A row for each step: what the module is as a quantised model, compiled for the target."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.rows: list[dict[str, Any]] = []
        self.model = b""

    def take(self, module: nn.Module, name: str, bits: int, bench: Bench | None = None) -> None:
        """Add the row of ``module`` with weights of ``bits``, measured by another ``bench``
        where one is given."""
        used = bench or self._bench
        self.model = used.model(module, bits)
        found = used.measure_model(self.model)
        left = [*weights_left(module).values(), *recurrent_weights(module)]
        self.rows.append({
            "step": name, "bits": bits, "weights": sum(count for _, count in left),
            "not_zero": sum(count for count, _ in left),
            "accuracy_float": accuracy(module, self._bench.held_back),
            "accuracy": found.accuracy, "bytes": found.bytes, "cycles": found.cycles})

    def show(self, compared: str, size: int) -> None:
        """Print the rows; bytes are those of the program, ratios those beside the ``size`` of
        what is ``compared``."""
        show_table(f"On target '{self._bench.target}'; {compared} {size:,} bytes",
                   ("step", "weights", "not 0", "bits", "accuracy", "bytes", "smaller", "cycles"),
                   [(row["step"], f"{row['weights']:,}", f"{row['not_zero']:,}", str(row["bits"]),
                     f"{row['accuracy']:.1%}", f"{row['bytes']:,}",
                     f"{size / row['bytes']:.1f}x", f"{row['cycles']:,}")
                    for row in self.rows])


def recurrent_weights(module: nn.Module) -> list[tuple[int, int]]:
    """Weights that are not 0, and all, of each matrix of the LSTMs in ``module``."""
    return [(int(values.count_nonzero()), values.numel()) for layer in module.modules()
            if isinstance(layer, nn.LSTM)
            for name, values in layer.named_parameters() if name.startswith("weight")]


def run(model: bytes, held_back: Data, target: str | AcceleratorConfig,
        device_name: str) -> dict[str, Any]:
    """All held-back samples through a device, each beside golden."""
    with tempfile.TemporaryDirectory(prefix="kaniwa-compress-") as made:
        path = Path(made) / "small.onnx"
        path.write_bytes(model)
        graph = load_model(path)
    name = graph.tensors[graph.inputs[0]].name
    right = different = 0
    with kaniwa.open(device_name) as device:
        session = kaniwa.Session(kaniwa.compile(graph, target), device)
        for sample, label in zip(held_back.x, held_back.labels, strict=True):
            (scores,) = session.run({name: sample[None]}).values()
            expected = golden.run(graph, {name: sample[None]})[graph.outputs[0]]
            different += not np.array_equal(scores, expected)
            right += int(scores.argmax() == label)
    assert session.stats is not None
    return {"device": device_name, "inferences": len(held_back.x), "right": right,
            "different": different, "cycles": session.stats.cycles}


def options_of(about: str) -> argparse.ArgumentParser:
    """The options that every example of compression has."""
    parser = argparse.ArgumentParser(description=about, allow_abbrev=False)
    parser.add_argument("--device", choices=("sim", "emulator"), default="sim")
    parser.add_argument("--output", type=Path, help="write the quantised ONNX model")
    parser.add_argument("--json", type=Path, help="write the rows")
    parser.add_argument("--checkpoint", type=Path, help="go on from this file, and write it")
    return parser


def save(options: argparse.Namespace, steps: Steps, facts: dict[str, Any]) -> None:
    """Write what the options ask for: the last model, and ``facts`` with the rows as JSON."""
    if options.output:
        write_atomic(options.output, steps.model)
    if options.json:
        write_atomic(options.json, json.dumps(facts, indent=1).encode() + b"\n")

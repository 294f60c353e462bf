"""Where cycles go: by layer of ResNet-8 from the cycle model, by cause from recorded runs."""

from __future__ import annotations

import json
from pathlib import Path

import kaniwa
from kaniwa.commands.tables import layer_labels
from kaniwa.isa import COUNTERS
from pictures.svg import Picture

__all__ = ["CAUSES", "cycles_by_layer", "cycles_by_model"]

ROOT = Path(__file__).resolve().parents[2]
CAUSES = {"step": "blue", "load": "sky", "weights": "orange", "requantize": "red",
          "store": "pink", "dependency": "green", "fill": "grey"}
LEFT, RIGHT = 230, 80


def cycles_by_layer() -> str:
    """A bar for each layer of ResNet-8 on ``base``: cycles with a step, and lost ones by cause."""
    program = kaniwa.compile(ROOT / "models" / "mlperf_ic_resnet8.tflite", target="base")
    counters = {c.tag: c for c in kaniwa.estimate(program).per_tag(
        [layer.tag for layer in program.layers])}
    labels = layer_labels([layer.name for layer in program.layers])
    rows = []
    for layer, label in zip(program.layers, labels, strict=True):
        counted = counters[layer.tag]
        rows.append((f"{label}  {layer.op}", counted.cycles,
                     {"step": counted.issued, **counted.lost}))
    total = sum(cycles for _, cycles, _ in rows)
    return _bars(f"ResNet-8 on base: {total:,} cycles, by layer", rows, None)


def cycles_by_model() -> str:
    """A bar of 100 % for each measured model, from bench/results/performance.json."""
    cases = json.loads((ROOT / "bench" / "results" / "performance.json").read_text())["models"]
    rows = []
    for case in cases:
        lost = {name: case["lost"].get(name, 0) for name in COUNTERS[2:]}
        model, _, kept = case["title"].partition(",")
        kept = ", all channels" if "kept" in kept else ""
        rows.append((f"{model}{kept}, {case['target']}", case["cycles"],
                     {"step": case["cycles"] - sum(lost.values()), **lost}))
    return _bars("Cycles of an inference by cause, measured in RTL", rows, 1.0)


def _bars(title: str, rows: list[tuple[str, int, dict[str, int]]], whole: float | None) -> str:
    """Bars of (name, cycles, cycles by cause); with ``whole`` all are of one length."""
    width, pitch = 900, 30
    picture = Picture(width, 80 + pitch * len(rows), title)
    picture.text(20, 28, title, name="strong")
    most = max(cycles for _, cycles, _ in rows)
    for number, (name, cycles, parts) in enumerate(rows):
        y = 46 + pitch * number
        picture.text(LEFT - 10, y + 15, name, name="small", anchor="end")
        length = (width - LEFT - RIGHT) * (1.0 if whole else cycles / most)
        x = float(LEFT)
        for cause, color in CAUSES.items():
            share = length * parts.get(cause, 0) / cycles
            if share:
                picture.bar(x, y, share, 20, color,
                            f"{name}: {cause} {parts[cause]:,} of {cycles:,} cycles")
            x += share
        picture.text(x + 8, y + 15, f"{cycles:,}", name="small")
    picture.legend(LEFT, 66 + pitch * len(rows), [
        ("with a step" if cause == "step" else cause, color) for cause, color in CAUSES.items()])
    return picture.svg()

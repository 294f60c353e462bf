"""Whole networks for images of 224 x 224 on ``large``: more weights than any on-chip memory has."""

from __future__ import annotations

import time
from typing import Any

from kaniwa.benchmark.models import Progress, measure, open_device
from kaniwa.benchmark.network import mobilenet_v2, resnet18
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.data.inputs import seeded_inputs

__all__ = ["NETWORKS", "measure_networks"]

NETWORKS = (("ResNet-18", resnet18), ("MobileNetV2", mobilenet_v2))
TARGET = "large"
BEHIND = {"sim": ("emulator", "sim"), "emulator": ("emulator",), "estimate": ("estimate",)}


def measure_networks(device: str, size: int, progress: Progress) -> dict[str, Any]:
    """One inference of each network, all on the accelerator, with ideal outside memory.

    A row a network and device; before it runs on "sim" it also runs on the emulator.
    """
    rows = []
    for title, build in NETWORKS:
        progress(f"compile {title}")
        graph = build(size=size)
        began = time.monotonic()
        program = compile(graph, TARGET, outside="ideal", require_accelerator=True)
        seconds = round(time.monotonic() - began, 2)
        inputs = seeded_inputs(program.inputs, 1, seed=0)
        for name in BEHIND[device]:
            progress(f"{title} on {name}")
            opened = open_device(name, PRESETS[TARGET], progress)
            try:
                values = measure(graph, program, opened, name, inputs)
            finally:
                if opened is not None:
                    opened.close()
            rows.append({
                "title": title, "device": name,
                "weight_bytes": program.weight_bytes, "outside_bytes": program.outside_bytes,
                "compile_seconds": seconds, **values})
    return {"target": TARGET, "size": size, "rows": rows}

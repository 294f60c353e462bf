"""All parts of the benchmark as one result, plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kaniwa._version import __version__
from kaniwa.benchmark.cases import Case
from kaniwa.benchmark.measure import Progress
from kaniwa.benchmark.models import measure_models, peers
from kaniwa.benchmark.networks.measure import measure_networks
from kaniwa.benchmark.networks.table import pick_networks
from kaniwa.benchmark.scaling import (
    DENSE_SIZES,
    measure_dense,
    measure_layers,
    measure_scaling,
)
from kaniwa.parallel.workers import Workers

__all__ = ["PARTS", "RESULTS_VERSION", "mismatches", "run_suite"]

PARTS = ("models", "dense", "scaling", "layers", "networks")
RESULTS_VERSION = 3
IMAGE_SIZE = 224
DENSE_RUN = (16, 64, 256, 1024)


def run_suite(device: str, parts: Sequence[str], cases: Sequence[Case], folder: Path,
              samples: int, clock_mhz: float, progress: Progress,
              networks: str | None = None, workers: Workers | None = None) -> dict[str, Any]:
    """The results of the ``parts``; an estimate runs no model and no layer.

    ``networks`` names those to measure, which then also run on the device on all their targets.
    ``workers`` share out what is measured; all is compiled in this process, part by part.
    """
    results: dict[str, Any] = {"version": RESULTS_VERSION, "kaniwa": __version__,
                               "device": device}
    seconds: list[dict[str, Any]] = []
    if "models" in parts:
        results["models"] = measure_models(device, cases, folder, samples, progress, workers)
        results["peers"] = peers(folder, results["models"], progress)
        seconds += [_seconds(f"compile {row['title']} for `{row['target']}`",
                             row["compile_seconds"], 3 if row["key"] == "resnet8" else None)
                    for row in results["models"]]
    if "dense" in parts:
        run = () if device == "estimate" else DENSE_RUN
        results["dense"] = measure_dense(device, "base", DENSE_SIZES, run, clock_mhz, progress,
                                         workers)
    if "scaling" in parts:
        results["scaling"] = measure_scaling(IMAGE_SIZE, progress, workers=workers)
        seconds += [_seconds(f"compile ResNet-18 for {row['multipliers']} multipliers",
                             row["compile_seconds"], 60) for row in results["scaling"]["rows"]]
    if "layers" in parts:
        results["layers"] = measure_layers(device, IMAGE_SIZE, progress, workers=workers)
    if "networks" in parts:
        results["networks"] = measure_networks(device, pick_networks(networks), progress,
                                               named=networks is not None, workers=workers)
        seconds += [_seconds(f"compile {row['title']} for `{row['target']}`",
                             row["compile_seconds"], 60) for row in results["networks"]["rows"]]
    return results | {"seconds": seconds}


def mismatches(results: dict[str, Any]) -> int:
    """Output elements that differ from golden, over all parts."""
    rows = [*results.get("models", ())]
    for part, table in (("dense", "rows"), ("layers", "rows"), ("networks", "runs")):
        rows += results.get(part, {table: ()})[table]
    return sum(row["mismatches"] for row in rows)


def _seconds(what: str, seconds: float, bar: int | None) -> dict[str, Any]:
    return {"what": what, "seconds": seconds, "bar": bar}

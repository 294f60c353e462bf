"""All checks of a board: the self-test, every model with recorded answers, and a soak."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.data.inputs import recorded_paths, seeded_inputs
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, InputError, UnsupportedError
from kaniwa.importers import load_model
from kaniwa.selftest.suite import MODEL, Outcome, Report, outside_of, run_part, selftest
from kaniwa.selftest.vectors import describe_mismatch, run_model
from kaniwa.stage import Stage

__all__ = ["hil", "models_in"]

Progress = Callable[[str], None]


def models_in(folder: Path) -> list[Path]:
    """The models of ``folder`` that have recorded answers in ``refs/``, by name.

    Raises InputError where there are none.
    """
    found = sorted(path for path in folder.glob("*.*") if path.suffix in (".tflite", ".onnx")
                   and recorded_paths(path)[0].is_file())
    if not found:
        raise InputError(f"{folder}: no models with recorded answers (refs/ beside them)")
    return found


def hil(device: Device, models: Sequence[Path], *, soak_seconds: float = 60.0,
        memory: str = "auto", seed: int = 1, progress: Progress | None = None) -> Report:
    """The parts of ``selftest``, then "models" and "soak", on an open device.

    ``models`` are files with recorded answers: each that fits the device must give them, to the
    bit. The soak runs the smallest of these on random inputs for ``soak_seconds`` of the host's
    time, one inference at least, each compared with golden. Where a part of the self-test fails,
    the parts behind it are not run.
    """
    tell = progress or (lambda text: None)
    began = time.monotonic()
    smallest = min(models, key=lambda path: (path.name != MODEL, path.stat().st_size))
    report = selftest(device, model=smallest, memory=memory, seed=seed, progress=progress)
    parts = list(report.parts)
    for name, work in (("models", lambda: _models(device, models, tell)),
                       ("soak", lambda: _soak(device, smallest, soak_seconds, seed, tell))):
        failed = [part.name for part in parts if part.result == "fail"]
        parts.append(run_part(name, work, failed))
    return Report(report.device, parts, round(time.monotonic() - began, 3))


def _models(device: Device, models: Sequence[Path], tell: Progress) -> Outcome:
    assert device.config is not None
    outside = outside_of(device)
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for number, path in enumerate(models):
        tell(Stage(f"models: {path.name}", number, len(models), "models", short="models"))
        try:
            rows.append(run_model(device, outside, path, lambda text: None))
        except (CompileError, UnsupportedError, InputError) as error:
            left_out[path.name] = str(error)
    values = {"models": rows, "left_out": left_out}
    wrong = [row for row in rows if row["mismatches"]]
    if wrong:
        return "fail", describe_mismatch(wrong[0], device.config), values
    if not rows:
        return "not run", "no model fits the device", values
    other = [row["name"] for row in rows if row["cycles"] != row["estimate"]]
    cycles = f"cycles differ from the estimate: {', '.join(other)}" if other else \
        "cycles as estimated"
    return "pass", (f"{len(rows)} models, {sum(row['checked'] for row in rows):,} values equal to "
                    f"those recorded; {cycles}; {len(left_out)} do not fit"), values


def _soak(device: Device, path: Path, seconds: float, seed: int, tell: Progress) -> Outcome:
    assert device.config is not None
    graph = load_model(path)
    program = compile(graph, target=device.config, outside=outside_of(device))
    before = asdict(device.link_statistics) if isinstance(device, BoardDevice) else {}
    session = Session(program, device)
    inferences = wrong = cycles = 0
    first_wrong: int | None = None
    began = time.monotonic()
    while not inferences or time.monotonic() - began < seconds:
        passed = time.monotonic() - began
        tell(Stage(f"soak: {inferences} inferences", min(passed, seconds), seconds, "s",
                   short="soak"))
        (arrays,) = seeded_inputs(program.inputs, 1, seed + inferences)
        got = session.run(arrays)
        values = golden.run(graph, arrays)
        different = sum(int(np.count_nonzero(got[t.name] != values[t.id]))
                        for t in program.outputs)
        if different and first_wrong is None:
            first_wrong = inferences
        wrong += bool(different)
        inferences += 1
        cycles += session.stats.cycles if session.stats is not None else 0
    after = asdict(device.link_statistics) if isinstance(device, BoardDevice) else {}
    found = {"model": path.name, "inferences": inferences, "wrong": wrong,
             "first_wrong": first_wrong, "cycles": cycles,
             **{name: after[name] - before[name] for name in after}}
    if wrong:
        return "fail", (f"{wrong} of {inferences} inferences of {path.name} differ from golden, "
                        f"the first with seed {seed + (first_wrong or 0)}"), found
    line = f", {found['repeated']} requests repeated on the line" if after else ""
    return "pass", f"{inferences} inferences of {path.name} equal to golden{line}", found

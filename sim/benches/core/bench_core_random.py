"""Random layers on random configs through the whole core, compared with golden to the bit.

Where memory does not stall, the cycles of each layer are compared with the cycle model's.

In-process, without cocotb: a config's core is Verilated once and runs its share of the layers, some
with random memory stalls, one after the other on the same device.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.errors import CompileError
from kaniwa.isa import Mode
from kaniwa.sim.harness.bench import PythonBench
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.worlds.pruned_words import pruned_graph
from kaniwa.sim.worlds.random_graphs import (
    KINDS,
    random_compact_config,
    random_config,
    random_graph,
    random_input,
)

LAYERS, CONFIGS = 200, 8  # what `make test` runs
# How far the cycle model may be off in a layer: a share of it, or so few cycles an instruction of
# it. Nearly all agree. That of a compact core agrees always.
MODEL_ERROR, MODEL_CYCLES = 0.005, 2

REQUIRED = [*(f"kind_{kind}" for kind in KINDS), "memory_stalls", "outside_memory",
            "channel_groups", "streamed_weights", "several_tiles", "in_place_add", "in_place_mul",
            "visits", "padding", "stride_2", "dilation", "depthwise", "columns", "phase_windows",
            "patches", "listed",
            "saturated_low", "saturated_high"]


def run(seed: int, options: dict[str, int]) -> Tally:
    """Run the layers, two configs at a time; raises AssertionError naming the failing cases.

    A config stops at its first one, the others go on.
    """
    layers, configs = options.get("layers", LAYERS), options.get("configs", CONFIGS)
    rng = random.Random(seed)
    chosen = [_column_config(rng), random_compact_config(rng),
              *(random_config(rng) for _ in range(configs - 2))]
    counts = [layers // configs + (i < layers % configs) for i in range(configs)]
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="kaniwa-random-") as folder:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            futures = [pool.submit(_run_config, config, count, seed * 1000 + number,
                                   Path(folder, f"{number}.json"))
                       for number, (config, count) in enumerate(zip(chosen, counts, strict=True))]
            concurrent.futures.wait(futures)
        failures = [str(error) for error in (future.exception() for future in futures) if error]
        assert not failures, "\n".join(failures)
        for future in futures:
            tally.merge(Tally.load(future.result()))
    return tally


def _column_config(rng: random.Random) -> AcceleratorConfig:
    """A config with windows of four rows, for each phase too, which small random ones cannot have.
    """
    while True:
        config = random_config(rng, largest=128)
        if "columns" in _possible(config):
            return replace(config, phase_windows=True)


def _run_config(config: AcceleratorConfig, layers: int, seed: int, path: Path) -> Path:
    """Run ``layers`` random graphs on one config and save the tally to ``path``."""
    from kaniwa.driver.session import Session
    from kaniwa.sim.device.simulated_core import SimDevice

    tally = Tally()
    rng = random.Random(seed)
    kinds = list(KINDS)
    needed = _possible(config)
    done = refused = 0
    while done < layers or (done < 3 * layers and any(not tally.bins[bin_] for bin_ in needed)):
        case = rng.randrange(1 << 30)
        kind = kinds[(done + refused) % len(kinds)]
        if done >= layers:
            kind = next(needed[bin_] for bin_ in needed if not tally.bins[bin_])
        program, graph = _compiled(case, kind, config)
        if program is None:
            refused += 1
            tally.bins["refused"] += 1
            assert refused < 40 + 2 * layers, f"{config}: most layers are refused"
            continue
        stalls = rng.choice((0.0, 0.0, 0.3))
        with SimDevice(target=config, outside=program.outside, stalls=stalls, seed=case) as device:
            for number in range(rng.choice((1, 1, 2))):
                what = f"layer seed {case} kind {kind} on {config}, stalls {stalls}"
                session = Session(program, device)
                _compare(graph, session, case + number, tally, what)
                if not stalls:
                    _compare_cycles(program, session, tally, what)
        tally.bins[f"kind_{kind}"] += 1
        tally.bins["memory_stalls"] += stalls > 0
        _count_paths(program, tally)
        done += 1
    tally.save(path)
    return path


def _possible(config: AcceleratorConfig) -> dict[str, str]:
    """Bins of modes that not every config has, and kinds that may hit them.

    Configs that have them go on until they are hit.
    """
    # Where requantization is the bound, columns gain nothing.
    columns = (config.depthwise and config.column_window[0] > 1 and config.requant_rate >= 4
               and config.column_lanes == config.lane_bytes)
    return ({"columns": "depthwise"} if columns else {}) | (
        {"phase_windows": "depthwise"} if config.phase_windows else {}) | (
        {"patches": "conv"} if config.patch_bytes >= 128 else {}) | (
        {"listed": "conv"} if config.step_entries else {}) | (
        # Other cores take a zero point of weights off by itself.
        {"visits": "uint8"} if config.compact else {})


def _compiled(case: int, kind: str, config: AcceleratorConfig) -> tuple[Any, Any]:
    """A program for a random graph, or None where the compiler names a limit of the config."""
    from kaniwa.compiler.pipeline import compile

    graph = random_graph(case, kind, macs=1 << 18)
    if config.step_entries and case % 2:
        graph = pruned_graph(graph, (0.2, 0.5, 0.8)[case % 3], config, case)
    try:
        outside = None if config.memory_bytes and case % 3 else "ideal"
        if config.compact and not config.outside_bits:
            outside = None
        elif case % 7 == 0:
            outside = "sdram,bytes=4,latency=10"
        return compile(graph, target=config, outside=outside, require_accelerator=True), graph
    except CompileError:
        return None, None


def _compare(graph: Any, session: Any, seed: int, tally: Tally, what: str) -> None:
    from kaniwa import golden

    inputs = random_input(graph, seed)
    values = golden.run(graph, inputs)
    try:
        outputs = session.run(inputs)
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    for tensor_id in graph.outputs:
        tensor = graph.tensors[tensor_id]
        got, expected = outputs[tensor.name], values[tensor_id]
        different = np.argwhere(got != expected)
        assert not len(different), (
            f"{what}: {tensor.name}{list(different[0])} is {got[tuple(different[0])]}, expected "
            f"{expected[tuple(different[0])]} ({len(different)} of {expected.size} differ)")
        tally.checks += expected.size
        tally.bins["saturated_low"] += bool((expected == expected.min()).sum() > 1)
        tally.bins["saturated_high"] += bool((expected == expected.max()).sum() > 1)


def _compare_cycles(program: Any, session: Any, tally: Tally, what: str) -> None:
    """The model's error in each layer, and in the total if the config has no counters."""
    stats, estimated = session.stats, estimate(program)
    share, few = (0.0, 0) if session.device.config.compact else (MODEL_ERROR, MODEL_CYCLES)
    memory = program.outside.split(",")[0] if program.outside else "on-chip"
    tags = dict.fromkeys(layer.tag for layer in program.layers)
    expected = [layer.cycles for layer in estimated.per_tag(tags)]
    counted = [layer["cycles"] for layer in stats.layers]
    instructions = [sum(len(layer.instructions) for layer in program.layers if layer.tag == tag)
                    for tag in tags]
    if not session.device.config.counters:
        expected, counted, instructions = [estimated.cycles], [stats.cycles], [sum(instructions)]
    for layer_expected, layer_counted, count in zip(expected, counted, instructions, strict=True):
        error = abs(layer_expected - layer_counted)
        tally.measure(f"cycle model error in % of a layer ({memory} memory)",
                      100 * error / layer_counted)
        assert error <= max(share * layer_counted, few * count), (
            f"{what}: the model expects {layer_expected} cycles, not {layer_counted}")


def _count_paths(program: Any, tally: Tally) -> None:
    """Bins for the ways through the tiling and the array that a program takes."""
    layers = [i for i in program.instructions if i["opcode"]]
    tally.bins["outside_memory"] += program.outside is not None
    by_tensor: dict[int, list[dict[str, int]]] = {}
    for i in layers:
        by_tensor.setdefault(i["tag"], []).append(i)
        tally.bins["streamed_weights"] += i["weights_stream"]
        tally.bins["visits"] += i["segments"] > 1 and not i["segment_step"]
        tally.bins["padding"] += bool(i["pad_top"] or i["pad_left_bytes"])
        tally.bins["stride_2"] += i["stride_rows"] > 1
        tally.bins["dilation"] += i["dilation_rows"] > 1 and i["kernel_rows"] > 1
        tally.bins["depthwise"] += i["mode"] == Mode.DEPTHWISE
        tally.bins["columns"] += i["mode"] == Mode.COLUMN
        tally.bins["phase_windows"] += i["mode"] == Mode.COLUMN and i["phase_windows"]
        tally.bins["patches"] += i["patch"]
        tally.bins["listed"] += i["listed"]
        in_place = i["add"] and i["operand_address"] == i["ofm_address"]
        tally.bins["in_place_mul" if i["multiply"] else "in_place_add"] += in_place
    for group in by_tensor.values():
        columns = {i["ofm_columns"] for i in group}
        tally.bins["channel_groups"] += len({i["weight_address"] for i in group}) > 1
        tally.bins["several_tiles"] += len(group) > len({i["weight_address"] for i in group}) or (
            len(columns) > 1)


BENCH = PythonBench("core_random", run, required=REQUIRED)

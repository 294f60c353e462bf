"""Bench of the multipliers: all products there are, and random dot products, against NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np

from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec

# name -> strategy, rows, width of the dot product, cycles that its products may take
CASES: dict[str, tuple[str, int, int, int]] = {
    "plain": ("PlainMultiplier", 1, 8, 3),
    "plain_of_pairs": ("PlainMultiplier", 2, 16, 5),
    "lut": ("LutMultiplier", 1, 4, 1),
    "lut_two_cycles": ("LutMultiplier", 1, 4, 2),
    "lut_four_cycles": ("LutMultiplier", 1, 8, 4),
    "ice40": ("DualMultiplierIce40", 1, 4, 1),
    "ice40_three_cycles": ("DualMultiplierIce40", 1, 8, 3),
    "ecp5": ("Ecp5Multiplier", 1, 2, 4),
    "ecp5_packed": ("PackedMultiplierEcp5", 2, 4, 6),
}


def _duts() -> list[Dut]:
    from kaniwa.sim.benches.multiplier.multiplier_harness import Harness

    duts = []
    for name, (strategy, rows, width, cycles) in CASES.items():
        latency = cycles + width.bit_length() - 1
        duts.append(Dut(name, Harness(_strategy(strategy), width, rows, latency, cycles)))
    return duts


def _strategy(name: str) -> Any:
    from kaniwa.hw.multiplier import (
        ecp5 as multiplier_ecp5,
        ice40 as multiplier_ice40,
        lut as multiplier_lut,
        plain as multiplier,
    )

    modules = (multiplier, multiplier_ecp5, multiplier_ice40, multiplier_lut)
    return next(getattr(module, name) for module in modules if hasattr(module, name))


BENCH = Bench("multiplier", _duts, long=("ecp5_packed",), required=[
    "all pairs", "all pairs of weights", "largest sum", "smallest sum", "-128 * -128", "one hot",
    "weights -128 and negative", "new operands each cycle", "operands held"], optimized=True)


@cocotb.test()
async def every_product_is_exact(dut: Any) -> None:
    """All activations with all weights, for two rows with all pairs of weights."""
    from cocotb.triggers import RisingEdge

    env = await start(dut, BENCH)
    rows = CASES[env.dut_name][1]
    expected = 1 << 8 * (1 + rows)
    await RisingEdge(env.dut.done)     # millions of cycles without a line of Python
    cover("all pairs" if rows == 1 else "all pairs of weights")
    check(env.get("cases"), expected, "cases")
    check(env.get("narrow_mismatches"), 0, "wrong narrow products")
    wrong = codec(BENCH.duts()[0].component.wrong.shape().elem_shape)[1]
    values = [wrong(env.get("wrong") >> 16 * i) for i in range(1 + 2 * rows)]
    check(env.get("mismatches"), 0,
          f"wrong products (one: activation {values[0]}, weights {values[1:1 + rows]} give "
          f"{values[1 + rows:]})")


@cocotb.test()
async def dot_products_are_exact(dut: Any) -> None:
    """New operands each cycle or held for some; each cycle's sums exactly ``latency`` later."""
    env = await start(dut, BENCH)
    _, rows, width, cycles = CASES[env.dut_name]
    latency = cycles + width.bit_length() - 1
    component = next(d for d in BENCH.duts() if d.name == env.dut_name).component
    pack = {name: codec(getattr(component, name).shape())[0] for name in ("activations", "weights")}
    unpack = codec(component.sums.shape())[1]
    await env.cycles(latency)
    expected: list[list[int]] = []
    held = 0
    for cycle in range(2000):
        if held:
            held -= 1
            cover("operands held")
        else:
            activations, weights = _operands(env, width, rows)
            held = env.rng.choice([0, 0, 0, env.rng.randrange(1, 12)])
            cover("new operands each cycle")
        env.dut.activations.value = pack["activations"](activations.tolist())
        env.dut.weights.value = pack["weights"](weights.tolist())
        expected.append((weights.astype(np.int64) @ activations.astype(np.int64)).tolist())
        await env.cycles(1)
        if cycle >= latency:
            check(unpack(env.get("sums")), expected[cycle - latency], f"sums of cycle {cycle}")


def _operands(env: Env, width: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Activations [width] and weights [rows, width]: random, extreme, or zero but for one."""
    rng = env.np_rng
    kind = env.rng.choice(["random"] * 4 + ["extreme", "largest", "smallest", "one hot"])
    if kind == "largest":
        cover("largest sum")
        return np.full(width, -128), np.full((rows, width), -128)
    if kind == "smallest":
        cover("smallest sum")
        return np.full(width, -128), np.full((rows, width), 127)
    if kind == "one hot":
        cover("one hot")
        activations, weights = np.zeros(width, int), np.zeros((rows, width), int)
        column = env.rng.randrange(width)
        activations[column] = env.rng.choice([-128, 127])
        weights[env.rng.randrange(rows), column] = env.rng.choice([-128, 127])
        return activations, weights
    extremes = np.array([-128, -127, -1, 0, 1, 127])
    choice: Sequence[int] | np.ndarray = extremes if kind == "extreme" else np.arange(-128, 128)
    activations, weights = rng.choice(choice, width), rng.choice(choice, (rows, width))
    if ((activations == -128) & (weights == -128)).any():
        cover("-128 * -128")
    if ((weights[-1] == -128) & (weights[0] < 0)).any():
        cover("weights -128 and negative")
    return activations, weights

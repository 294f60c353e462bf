"""Bench of the requantizer: each rounding at ties and beside them, saturation, LiteRT's way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import cocotb

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.isa import Rounding
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.serial_config import SERIAL

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
TAG_BITS = 8
LATENCY = 9         # of the pipelined lanes
SERIAL_LATENCY = 5  # beside requant_cycles
CASES = ("tie", "negative", "positive", "saturate_low", "saturate_high")

Lane = tuple[int, int, int]  # value, multiplier, shift
Settings = dict[str, int]

CONFIGS = {
    "eight_lanes": PRESETS["base"],
    "for_a_vector_unit": PRESETS["base_vector"],
    "two_lanes_ecp5": replace(PRESETS["small"], multiplier_bits=28),
    "serial_4": SERIAL,
    "serial_2": replace(SERIAL, requant_cycles=2, multiplier_bits=29),
    "serial_32": replace(SERIAL, requant_cycles=32),
}


def _duts() -> list[Dut]:
    from kaniwa.hw.multiplier.ecp5 import PackedMultiplierEcp5
    from kaniwa.hw.multiplier.plain import PlainMultiplier
    from kaniwa.hw.results.pipelined_requantizer import PipelinedRequantizer
    from kaniwa.hw.results.serial_requantizer import SerialRequantizer

    return [Dut(name, (PipelinedRequantizer if config.requant_cycles == 1 else SerialRequantizer)(
                    config, multiplier=PackedMultiplierEcp5 if name.endswith("ecp5")
                    else PlainMultiplier), config)
            for name, config in CONFIGS.items()]


BENCH = Bench("requantizer", _duts, required=[
    *(f"{rounding.name.lower()}_{case}" for rounding in Rounding for case in CASES),
    "wraps", "litert_left_shift", "litert_right_shift", "litert_shift_31", "output_stalled"])


def offset(rounding: int, shift: int, negative: bool, bits: int) -> int:
    """b of ``(value * multiplier + b) >> shift``."""
    if shift == 0:
        return 0
    half = 1 << (shift - 1)
    if rounding == Rounding.DOUBLE and shift > bits:
        return half - (1 << (bits - 1)) if negative else half + (1 << (bits - 1))
    if rounding == Rounding.AWAY and negative:
        return half - 1
    return half


def quotient(lane: Lane, rounding: int, bits: int) -> int:
    """The scaled value before the zero point, of any size."""
    value, multiplier, shift = lane
    total = value * multiplier + offset(rounding, shift, value < 0, bits)
    tie = shift > 0 and total % (1 << shift) == 0
    result = total // (1 << shift)
    return result - result % 2 if rounding == Rounding.EVEN and tie else result


def requantize(lane: Lane, settings: Settings, bits: int) -> int:
    """The int8 result."""
    result = quotient(lane, settings["rounding"], bits) + settings["zero_point"]
    if settings["low"] > settings["high"]:
        return (result + 128) % 256 - 128
    return min(max(result, settings["low"]), settings["high"])


def litert(value: int, multiplier: int, exponent: int) -> int:
    """MultiplyByQuantizedMultiplier of LiteRT's reference kernels, with its two roundings."""
    left, right = max(exponent, 0), max(-exponent, 0)
    # SaturatingRoundingDoublingHighMul; C++ divides toward zero.
    product = (value << left) * multiplier
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    high = nudged // (1 << 31) if nudged >= 0 else -(-nudged // (1 << 31))
    # RoundingDivideByPOT
    mask = (1 << right) - 1
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> right) + (1 if high & mask > threshold else 0)


def draw_settings(rng: random.Random) -> Settings:
    zero_point = rng.choice([0, -128, 127, rng.randrange(-128, 128)])
    low, high = rng.choice([
        (-128, 127), (-128, 127), (zero_point, 127),
        tuple(sorted((rng.randrange(-128, 128), rng.randrange(-128, 128))))])
    return {"rounding": rng.choice(list(Rounding)), "zero_point": zero_point,
            "low": low, "high": high}


def draw_quotient(rng: random.Random, settings: Settings) -> int:
    """A quotient whose result is in or just outside int8."""
    result = rng.choice([rng.randrange(-128, 128), rng.randrange(-135, 136),
                         rng.choice([-129, -128, -127, 126, 127, 128]),
                         settings["low"], settings["high"]])
    return result - settings["zero_point"]


def anything(rng: random.Random, settings: Settings, bits: int) -> Lane:
    """Any value, multiplier and shift, of any magnitude."""
    return (rng.randrange(-(1 << 31), 1 << 31) >> rng.randrange(32),
            rng.randrange(1 << bits) >> rng.randrange(bits), rng.randrange(64))


def corner(rng: random.Random, settings: Settings, bits: int) -> Lane:
    """The ends of every range."""
    top = (1 << bits) - 1
    return (rng.choice([INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX - 1, INT32_MAX]),
            rng.choice([0, 1, 2, (top >> 1) + 1, top - 1, top]),
            rng.choice([0, 1, 2, bits - 1, bits, bits + 1, 31, 32, 53, 54, 62, 63]))


def threshold(rng: random.Random, settings: Settings, bits: int) -> Lane:
    """Next to the product at which a result begins: the closest of many results."""
    rounding = settings["rounding"]
    multiplier = rng.randrange(1, 1 << rng.randrange(1, bits + 1))
    shift = min(63, max(0, multiplier.bit_length() + rng.randrange(-8, 32)))
    begins = []
    for _ in range(40):
        number = draw_quotient(rng, settings)
        product = (number << shift) - offset(rounding, shift, number <= 0, bits)
        begins.append((product % multiplier, product // multiplier))
    below, above = min(begins), max(begins)
    value = rng.choice([below[1], above[1] + 1, rng.choice(begins)[1]]) + rng.choice([-1, 0, 0, 1])
    return (min(max(value, INT32_MIN), INT32_MAX), multiplier, shift)


def tie(rng: random.Random, settings: Settings, bits: int) -> Lane:
    """A product exactly between two results."""
    half = 2 * draw_quotient(rng, settings) + 1
    factor = rng.choice([f for f in (1, 3, 5, 7, 9, 15, 21) if half % f == 0])
    up = rng.randrange(0, bits - factor.bit_length() + 1)
    number = half // factor
    places = rng.randrange(0, 32 - max(number, ~number).bit_length())
    return number << places, factor << up, min(places + up + 1, 63)


def almost_tie(rng: random.Random, settings: Settings, bits: int) -> Lane:
    """A product one bit away from a tie."""
    half = 2 * draw_quotient(rng, settings) + 1
    room = 30 - max(half, ~half).bit_length()
    shift = rng.randrange(2, bits + room)
    place = rng.randrange(shift - 1)
    least = max(0, shift - 1 - room)
    up = rng.randrange(least, max(least, min(place, bits - 1)) + 1)
    bit = 1 << max(place - up, 0)
    return (half << max(shift - 1 - up, 0)) + rng.choice([-bit, bit]), 1 << up, shift


def one_bit(rng: random.Random, settings: Settings, bits: int) -> Lane:
    """A product that differs from -1 or 0 in one high bit only."""
    place = rng.randrange(31)
    value = rng.choice([1 << place, -(1 << place) - 1])
    up = rng.randrange(bits)
    return value, 1 << up, rng.randrange(min(place + up + 2, 64))


KINDS: tuple[Callable[[random.Random, Settings, int], Lane], ...] = (
    anything, corner, threshold, threshold, threshold, tie, almost_tie, almost_tie, almost_tie,
    one_bit, one_bit)


def draw_vectors(rng: random.Random, config: AcceleratorConfig) -> Iterator[dict[str, Any]]:
    """Vectors without end, as the component takes them."""
    bits, lanes = config.multiplier_bits, config.requant_lanes
    while True:
        settings = draw_settings(rng)
        if config.vector_unit and settings["low"] < settings["high"] and rng.random() < 0.25:
            settings |= {"low": settings["high"], "high": settings["low"]}
        drawn = [rng.choice(KINDS)(rng, settings, bits) for _ in range(lanes)]
        yield {"values": [d[0] for d in drawn], "multiplier": [d[1] for d in drawn],
               "shift": [d[2] for d in drawn], "settings": settings,
               "tag": rng.randrange(1 << TAG_BITS)}


def expected(vector: dict[str, Any], bits: int) -> dict[str, Any]:
    """Results that come out for a vector; counts the coverage bins."""
    settings = vector["settings"]
    name = Rounding(settings["rounding"]).name.lower()
    results = []
    for lane in zip(vector["values"], vector["multiplier"], vector["shift"], strict=True):
        value, multiplier, shift = lane
        results.append(requantize(lane, settings, bits))
        if value:
            cover(f"{name}_{'negative' if value < 0 else 'positive'}")
        if shift and (value * multiplier * 2 >> shift) % 2 and value * multiplier * 2 % (
                1 << shift) == 0:
            cover(f"{name}_tie")
        raw = quotient(lane, settings["rounding"], bits) + settings["zero_point"]
        if settings["low"] > settings["high"] and results[-1] != raw:
            cover("wraps")
        if raw < -128 or raw > 127:
            cover(f"{name}_saturate_{'low' if raw < 0 else 'high'}")
    return {"values": results, "tag": vector["tag"]}


def _ports(env: Env, input_stall: float, output_stall: float) -> tuple[Driver, Monitor]:
    from kaniwa.hw.results.requantizer import requantized_layout, requantizer_layout

    assert env.config is not None
    return (Driver(env, "i", requantizer_layout(env.config), input_stall),
            Monitor(env, "o", requantized_layout(env.config), output_stall))


def _count(config: AcceleratorConfig) -> int:
    """Vectors of a test: fewer where each takes many cycles."""
    return 1500 if config.requant_cycles == 1 else max(400, 12000 // config.requant_cycles)


@cocotb.test()
@cocotb.parametrize(stall=[(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.3, 0.3)])
async def scales_as_defined(dut: Any, stall: tuple[float, float]) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    source, sink = _ports(env, *stall)
    vectors = list(islice(draw_vectors(env.rng, env.config), _count(env.config)))
    source.send(vectors)
    got = await sink.take(len(vectors),
                          timeout=1000 + 4 * len(vectors) * env.config.requant_cycles)
    wanted = [expected(vector, env.config.multiplier_bits) for vector in vectors]
    for vector, item, want in zip(vectors, got, wanted, strict=True):
        check([item], [want], f"{env.dut_name}, {vector}" if item != want else "results")
    if stall[1]:
        cover("output_stalled")
    if stall == (0.0, 0.0):
        cycles = env.config.requant_cycles
        latency = LATENCY if cycles == 1 else cycles + SERIAL_LATENCY
        check([b - a for a, b in zip(source.cycles, sink.cycles, strict=True)],
              [latency] * len(vectors), "latency")
        check([b - a for a, b in zip(sink.cycles, sink.cycles[1:], strict=False)],
              [cycles] * (len(vectors) - 1), "cycles between results")


@cocotb.test()
async def equals_litert_double_rounding(dut: Any) -> None:
    """Also where LiteRT saturates nothing: the value shifted left stays within 32 bits."""
    env = await start(dut, BENCH)
    assert env.config is not None
    if env.config.multiplier_bits != 31:
        return
    source, sink = _ports(env, 0.0, 0.2)
    vectors, wanted = [], []
    for index in range(_count(env.config) // 2):
        settings = draw_settings(env.rng) | {"rounding": int(Rounding.DOUBLE)}
        lanes, results = [], []
        for lane in range(env.config.requant_lanes):
            exponent = (index * env.config.requant_lanes + lane) % 39 - 31
            multiplier = env.rng.choice([1 << 30, INT32_MAX, env.rng.randrange(1 << 30, 1 << 31)])
            # Near where the result changes, as far as 32 bits go.
            number = 2 * draw_quotient(env.rng, settings) + 1
            value = (number << 30 - min(exponent, 0)) // (multiplier << max(exponent, 0))
            value += env.rng.randrange(-2, 3)
            value = min(max(value, INT32_MIN >> max(exponent, 0)), INT32_MAX >> max(exponent, 0))
            result = litert(value, multiplier, exponent) + settings["zero_point"]
            results.append(min(max(result, settings["low"]), settings["high"]))
            lanes.append((value, multiplier, 31 - exponent))
            cover("litert_left_shift" if exponent > 0 else "litert_right_shift")
            if exponent == -31:
                cover("litert_shift_31")
        vectors.append({"values": [d[0] for d in lanes], "multiplier": [d[1] for d in lanes],
                        "shift": [d[2] for d in lanes], "settings": settings})
        wanted.append(results)
    source.send(vectors)
    got = await sink.take(len(vectors),
                          timeout=1000 + 4 * len(vectors) * env.config.requant_cycles)
    check([item["values"] for item in got], wanted, "results")

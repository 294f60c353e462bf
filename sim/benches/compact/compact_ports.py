"""Common parts of the benches for compact units: configs, fields, and a memory for readers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.isa import OUTSIDE
from kaniwa.sim.harness.bench import Env
from kaniwa.sim.harness.payload import codec

__all__ = ["CONFIGS", "WITH_OUTSIDE", "WordServer", "begin", "draw_address", "draw_fields",
           "held_address"]

CONFIGS: dict[str, AcceleratorConfig] = {
    "nano": PRESETS["nano"],
    "six_lanes": AcceleratorConfig(
        compact=True, out_lanes=6, dot_width=4, requant_lanes=1, requant_cycles=16, read_bytes=8,
        write_bytes=4, shared_channel=True, ring_bytes=512, line_bytes=256, patch_bytes=0,
        parameter_records=16, memory_bytes=3072, multiplier_bits=29, instruction_queue=0,
        result_slots=1, weight_formats=("raw",), elementwise_multiply=False, max_pool=False,
        depthwise=False, counters=False, count_bits=9, name="six_lanes"),
}
# With outside memory, larger than that on chip: for the units that know addresses.
WITH_OUTSIDE = CONFIGS | {"outside": replace(CONFIGS["six_lanes"], outside_bits=14, name="outside")}


def draw_address(config: AcceleratorConfig, rng: random.Random, size: int = 1) -> int:
    """The device address of ``size`` bytes in one of the memories that there are."""
    if config.outside_bits and rng.random() < 0.5:
        return OUTSIDE + rng.randrange((1 << config.outside_bits) - size + 1)
    return rng.randrange(config.memory_bytes - size + 1)


def held_address(config: AcceleratorConfig, address: int) -> int:
    """A device address as units hold it: the bit that selects outside memory lies behind the one
    that shows leaving a memory."""
    return address % OUTSIDE + (address // OUTSIDE << config.span_bits + 1)


async def begin(env: Env, values: dict[str, int]) -> None:
    """Give a unit an instruction as the sequencer does; in words where its ports have words.

    What the unit takes for itself comes one field after the other, and is gone at ``begin``.
    """
    from kaniwa.hw.compact.fields import fields_layout, starts_layout

    assert env.config is not None
    fields, starts = fields_layout(env.config), starts_layout(env.config)
    pack = codec(starts)[0]
    noise = {name: {"value": env.rng.getrandbits(32)} for name in starts.members}
    for name in env.rng.sample(list(starts.members), len(starts.members)):
        env.set("starts", pack(noise | {name: {"valid": 1, "value": values.get(name, 0)}}))
        await env.cycles(1)
    env.set("starts", pack(noise))
    env.set("fields", codec(fields)[0]({name: values.get(name, 0) for name in fields.members}))
    env.set("begin", 1)
    await env.cycles(1)
    env.set("begin", 0)


def draw_fields(config: AcceleratorConfig, rng: random.Random) -> dict[str, int]:
    """Any value for each field that is kept for the units, in its whole width."""
    from amaranth.hdl import Shape

    from kaniwa.hw.compact.fields import fields_layout

    drawn = {}
    for name, shape in fields_layout(config).members.items():
        cast = Shape.cast(shape)
        low = -(1 << cast.width - 1) if cast.signed else 0
        drawn[name] = rng.choice([low, low + (1 << cast.width) - 1,
                                  low + rng.randrange(1 << cast.width)])
    return drawn


class WordServer:
    """Answers a reader's requests after a random wait, and checks that they stay until then.

    ``read`` gives the data of a word; ``words`` logs the requests. The data are there only in the
    cycle of the response.
    """

    def __init__(self, env: Env, prefix: str, read: Callable[[int], int],
                 stall: float = 0.0) -> None:
        import cocotb

        self.env, self.prefix, self.read, self.stall = env, prefix, read, stall
        self.words: list[int] = []
        self._has_data = hasattr(env.dut, "data")
        cocotb.start_soon(self._run())

    def _port(self, name: str) -> Any:
        return getattr(self.env.dut, f"{self.prefix}__{name}")

    def _drive(self, data: int) -> None:
        if self._has_data:
            self.env.set("data", data)

    async def _run(self) -> None:
        env, rng = self.env, self.env.rng
        request, word, response = (self._port(n) for n in ("request", "word", "response"))
        while True:
            await env.cycles(1)
            response.value = 0
            self._drive(rng.getrandbits(64))
            if request.value != 1:
                continue
            asked = int(word.value)
            await env.cycles(1)
            while rng.random() < self.stall:
                await env.cycles(1)
            assert request.value == 1 and int(word.value) == asked, "the request changed"
            self.words.append(asked)
            response.value = 1
            self._drive(self.read(asked))
            await env.cycles(1)
            response.value = 0
            self._drive(rng.getrandbits(64))

"""Bench of the patch buffer: random writes at any byte and reads of words, against a byte array."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb

from kaniwa.config import AcceleratorConfig
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.array_configs import CONFIGS

LATENCY = 3   # cycles from a read to its word, which is looked up in the last of them

DEVICES: dict[str, AcceleratorConfig] = {
    "nano": replace(CONFIGS["nano"], patch_bytes=16),
    "base": CONFIGS["base"],
    "twelve": replace(CONFIGS["twelve"], patch_bytes=64),
    "wide_dot": CONFIGS["wide_dot"],
}


def _duts() -> list[Dut]:
    from kaniwa.hw.activations.patch_buffer import PatchBuffer

    return [Dut(name, PatchBuffer(config), config) for name, config in DEVICES.items()]


def _required() -> list[str]:
    bins = ["around the ring's end", "in one word", "over two words", "read beside write",
            "read again", "write seen at once", "idle write port"]
    for name, config in DEVICES.items():
        bins += [f"{name}: at byte {j} of a word" for j in range(config.dot_width)]
        bins += [f"{name}: {j + 1} bytes" for j in range(config.dot_width)]
        bins += [f"{name}: word {j}" for j in range(config.patch_bytes // config.dot_width)]
    return bins


BENCH = Bench("patch_buffer", _duts, required=_required())


class Model:
    """The ring as bytes; None where it is unknown."""

    def __init__(self, env: Env) -> None:
        from kaniwa.hw.interfaces import gather_layout

        assert env.config is not None
        self.env, self.width, self.size = env, env.config.dot_width, env.config.patch_bytes
        self.ring: list[int | None] = [None] * self.size
        self.pack = codec(gather_layout(env.config))[0]
        self.reads: list[int] = [0] * LATENCY    # words asked for, the oldest first
        self.looked_up: list[int | None] = [None] * self.width

    async def cycle(self, write: tuple[int, list[int]] | None, read: int) -> None:
        """Drive one cycle and check what is read in it."""
        env, rng = self.env, self.env.rng
        filler = [rng.randrange(-128, 128) for _ in range(self.width)]
        position, values = write or (rng.randrange(self.size), filler)
        env.set("i__valid", write is not None)
        env.set("i__payload", self.pack({
            "position": position, "last": len(values) - 1,
            "data": (values + filler)[:self.width]}))
        env.set("read_index", read)
        await env.cycles(1)
        word, got = self.reads.pop(0), env.get("o_data")
        for j, value in enumerate(self.looked_up):
            if value is not None:
                check(got >> 8 * j & 255, value & 255, f"byte {j} of word {word}")
        self.reads.append(read)
        looked = self.reads[0]
        self.looked_up = self._word(looked)
        if write is not None:
            for j, value in enumerate(values):
                self._write((position + j) % self.size, value, looked)

    def _word(self, word: int) -> list[int | None]:
        return self.ring[word * self.width:(word + 1) * self.width]

    def _write(self, place: int, value: int, looked: int) -> None:
        self.ring[place] = value
        if place // self.width == looked:   # in the cycle in which it is looked up: either value
            self.looked_up[place % self.width] = None


@cocotb.test()
async def reads_equal_model(dut: Any) -> None:
    """Writes and reads at random places, at several loads of the write port."""
    env = await start(dut, BENCH)
    model, rng, name = Model(env), env.rng, env.dut_name
    width, size = model.width, model.size
    for position in range(0, size, width):
        await model.cycle((position, [rng.randrange(-128, 128) for _ in range(width)]), 0)
    read = 0
    last_write: tuple[int, list[int]] | None = None
    for turn in range(3000):
        write = None
        if rng.random() < (0.0, 0.3, 0.9, 1.0)[turn * 4 // 3000]:
            count = rng.choice([width, rng.randint(1, width), rng.randint(1, width)])
            write = rng.randrange(size), [rng.randrange(-128, 128) for _ in range(count)]
            cover(f"{name}: at byte {write[0] % width} of a word")
            cover(f"{name}: {count} bytes")
            if write[0] + count > size:
                cover("around the ring's end")
            cover("in one word" if write[0] % width + count <= width else "over two words")
        else:
            cover("idle write port")
        before = read
        read = rng.choice([rng.randrange(size // width), before])
        if last_write is not None and rng.random() < 0.5:
            read = last_write[0] // width
            cover("write seen at once")
        if read == before:
            cover("read again")
        if write is not None and write[0] // width not in (read, (read - 1) % (size // width)):
            cover("read beside write")
        cover(f"{name}: word {read}")
        await model.cycle(write, read)
        last_write = write


@cocotb.test()
async def bytes_stream_through(dut: Any) -> None:
    """Patches written by rows of any length, each word read as soon as it is complete."""
    env = await start(dut, BENCH)
    model, rng, width = Model(env), env.rng, env.config.dot_width
    position = asked = 0
    while position < 8 * model.size:
        count = rng.randint(1, width)
        values = [rng.randrange(-128, 128) for _ in range(count)]
        # The read may come a cycle before the write that completes its word.
        if (asked + 1) * width <= position + count:
            await model.cycle(None, asked % (model.size // width))
            asked += 1
        await model.cycle((position % model.size, values), rng.randrange(model.size // width))
        position += count

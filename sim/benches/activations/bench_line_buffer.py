"""Bench of the line buffer: writes at any lane, reads at any byte and of columns of lanes, against
a byte array."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.array_configs import CONFIGS

LATENCY = 3   # cycles from a read to its bytes


def _duts() -> list[Dut]:
    from kaniwa.hw.activations.line_buffer import LineBuffer

    return [Dut(name, LineBuffer(config), config) for name, config in CONFIGS.items()]


def _required() -> list[str]:
    bins = ["read_across_ring_end", "write_to_last_line", "read_beside_write", "output_held",
            "read_after_read", "write_while_idle", "position_above_ring"]
    for name, config in CONFIGS.items():
        bins += [f"{name}: read at byte {i} of a line" for i in range(config.line_width)]
        lanes = range(config.line_width // config.lane_bytes)
        bins += [f"{name}: word at lane {i} of a line written" for i in lanes]
        if config.column_window[0] > 1:
            bins += [f"{name}: lane {i} in row {row}" for i in lanes for row in range(4)]
    return bins


BENCH = Bench("line_buffer", _duts, required=_required())


class Model:
    """The ring as bytes, and what ``o_data`` shows in each cycle."""

    def __init__(self, env: Env) -> None:
        assert env.config is not None
        self.env, self.config = env, env.config
        self.size, self.width = env.config.line_bytes, env.config.dot_width
        self.ring = bytearray(self.size)
        self.shown: bytes | None = None      # None: nothing was read yet
        self.unknown = 0                     # bits that a write in the cycle of the read touched
        self.coming: list[tuple[bytes, int] | None] = [None] * LATENCY
        self.columns: list[tuple[bytes, int] | None] = [None] * LATENCY
        from kaniwa.hw.activations.line_buffer import LineBuffer

        self.pack = codec(LineBuffer(env.config).i.payload.shape())[0]
        self.positions = 1 << len(env.dut.read__position)

    async def cycle(self, write: tuple[int, bytes] | None, read: int | None,
                    column: list[int] | None = None) -> None:
        """Drive one cycle and check its output. ``column``: instead of a read."""
        env = self.env
        if self.config.column_window[0] > 1:
            bits = len(env.dut.read__position)
            env.set("read__column_enable", column is not None)
            env.set("read__column_positions", sum(at << bits * row for row, at in enumerate(
                column or [env.rng.randrange(self.positions) for _ in range(4)])))
        env.set("i__valid", write is not None)
        env.set("i__payload", self.pack({"position": write[0],
                                         "data": int.from_bytes(write[1], "little")})
                if write else env.rng.getrandbits(len(env.dut.i__payload)))
        env.set("read__enable", read is not None)
        env.set("read__position", env.rng.randrange(self.positions) if read is None else read)
        await env.cycles(1)
        arrived = self.coming.pop(0)
        if self.columns[0] is not None:
            self.shown = None
        elif arrived is not None:
            self.shown, self.unknown = arrived
        elif self.shown is not None:
            cover("output_held")
        if self.shown is not None:
            mask = (1 << 8 * self.width) - 1 & ~self.unknown
            check(f"{env.get('o_data') & mask:x}",
                  f"{int.from_bytes(self.shown, 'little') & mask:x}",
                  f"bytes read, cycle {env.cycle}")
        lanes = self.columns.pop(0)
        if lanes is not None:
            check(f"{env.get('o_columns') & ~lanes[1]:x}",
                  f"{int.from_bytes(lanes[0], 'little') & ~lanes[1]:x}", f"column, {env.cycle}")
        self.coming.append(None if read is None else self._read([read], self.width, write))
        self.columns.append(None if column is None else self._read(
            column, self.config.lane_bytes, write))
        if write is not None:
            for j, byte in enumerate(write[1]):
                self.ring[(write[0] + j) % self.size] = byte

    def _read(self, positions: list[int], count: int,
              write: tuple[int, bytes] | None) -> tuple[bytes, int]:
        places = [(position + j) % self.size for position in positions for j in range(count)]
        unknown = 0
        if write is not None:
            for j, place in enumerate(places):
                if (place - write[0]) % self.size < len(write[1]):
                    unknown |= 0xFF << 8 * j
        return bytes(self.ring[place] for place in places), unknown


@cocotb.test()
async def reads_equal_model(dut: Any) -> None:
    """Random reads, column reads and writes, at all loads of both ports."""
    env = await start(dut, BENCH)
    model, rng = Model(env), env.rng
    size, width, word = model.size, model.config.line_width, model.config.read_bytes
    lane = model.config.lane_bytes
    for position in range(0, size, word):
        await model.cycle((position, rng.randbytes(word)), None)
    starts = list(range(width)) * 3
    rng.shuffle(starts)
    read_before = False
    for turn in range(2500):
        busy = turn // 500   # 0 reads only, 4 nearly back to back
        read = None
        if rng.random() < (1.0, 0.5, 0.9, 0.3, 1.0)[busy]:
            line = rng.choice([0, size // width - 1, rng.randrange(size // width)])
            at = starts.pop() if starts else rng.randrange(width)
            read = line * width + at + size * rng.randrange(model.positions // size)
            cover(f"{env.dut_name}: read at byte {at} of a line")
            if line == size // width - 1 and at + model.width > width:
                cover("read_across_ring_end")
            if read >= size:
                cover("position_above_ring")
            if read_before:
                cover("read_after_read")
        read_before = read is not None
        write = None
        if rng.random() < (0.0, 0.5, 0.3, 0.9, 1.0)[busy]:
            position = rng.randrange(model.positions // lane) * lane
            if read is not None and rng.random() < 0.3:   # the words around the read
                position = (read // lane * lane + rng.choice([-1, 2, 3]) * word) % model.positions
                cover("read_beside_write")
            write = position, rng.randbytes(word)
            cover(f"{env.dut_name}: word at lane {position % width // lane} of a line written")
            if position % size >= size - width:
                cover("write_to_last_line")
            if read is None:
                cover("write_while_idle")
        column = None
        if read is not None and model.config.column_window[0] > 1 and rng.random() < 0.5:
            lanes = rng.sample(range(width // lane), 4)
            column = [rng.randrange(model.positions // width) * width + at * lane for at in lanes]
            read = None
            for row, at in enumerate(lanes):
                cover(f"{env.dut_name}: lane {at} in row {row}")
        await model.cycle(write, read, column)


@cocotb.test()
async def rows_stream_through(dut: Any) -> None:
    """A writer a window ahead of the reader, both every cycle, around the ring three times."""
    env = await start(dut, BENCH)
    model, rng = Model(env), env.rng
    word = model.config.read_bytes
    ahead = -(-(model.width + word) // word) * word
    for position in range(0, ahead, word):
        await model.cycle((position, rng.randbytes(word)), None)
    for position in range(ahead, 3 * model.size, word):
        write = position % model.positions, rng.randbytes(word)
        await model.cycle(write, (position - ahead + rng.randrange(word)) % model.positions)

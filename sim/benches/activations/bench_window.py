"""Bench of the window: random steps and bytes, against the masks and layouts of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cocotb

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.array_configs import WITH_PACKED

LATENCY, DATA_AFTER, WEIGHTS_AFTER = 4, 3, 3    # the word of the patch comes with the data


def _duts() -> list[Dut]:
    from kaniwa.hw.activations.window import Window

    return [Dut(name, Window(config), config) for name, config in WITH_PACKED.items()]


def _required() -> list[str]:
    bins = ["row outside the input", "all left of the row", "all right of the row", "row in a read",
            "preset", "window kept while idle", "column without compute", "column after other mode",
            "window met again", "right half of a phase's window", "left half of a phase's window",
            "corner of both phases' windows", "phase's window kept by other steps"]
    for name, config in WITH_PACKED.items():
        lanes = range(config.dot_width)
        bins += [f"{name}: {mode.name}" for mode in _modes(config)]
        bins += [f"{name}: {j} bytes left of the row" for j in lanes]
        bins += [f"{name}: {j} bytes right of the row" for j in lanes]
        bins += [f"{name}: column {j}" for j in lanes]
        bins += [f"{name}: window of {rows} rows" for rows in {1, config.column_window[0]}
                 if config.depthwise]
        bins += [f"{name}: {kind}" for kind in ("back to back", "idle between")]
        bins += [f"{name}: pair"] * (config.pool_blocks > 1)
        bins += [f"{name}: {kind}" for kind in (
            "gather", "patch word", "gather beside patch word", "gather of padding")
            if config.patch_bytes]
    return bins


def _modes(config: AcceleratorConfig) -> list[Mode]:
    return ([Mode.DENSE, Mode.DEPTHWISE] + [Mode.MAX_POOL] * config.max_pool
            + [Mode.COLUMN] * config.depthwise)


BENCH = Bench("window", _duts, required=_required())


def random_step(env: Env) -> dict[str, int]:
    """A step whose read lies at, over or far from the edges of its row."""
    config, rng = env.config, env.rng
    assert config is not None
    width, limit = config.dot_width, 2 * config.line_bytes   # of the offsets
    row_bytes = rng.choice([rng.randint(1, 2 * width), rng.randint(1, config.line_bytes),
                            config.line_bytes])
    offset = rng.choice([
        rng.randint(-width - 1, 1), row_bytes - rng.randint(-2, width + 1),
        rng.randint(-limit, limit - 1), rng.choice([-limit, limit - 1])])
    mode = rng.choice(_modes(config))
    columns = mode == Mode.COLUMN
    step = {
        "mode": mode, "single_row": rng.getrandbits(1), "rows": rng.randrange(16) % (
            1 << config.column_window[0]),
        "preset": rng.random() < 0.2, "compute": not columns or rng.random() < 0.7,
        "row_valid": rng.random() < 0.85, "offset": offset,
        "row_bytes": row_bytes, "pad_value": rng.randint(-128, 127),
        "column": rng.randrange(width),
        "first": rng.getrandbits(1), "last": rng.getrandbits(1),
        "again": columns and rng.random() < 0.2, "weight_zero_point": rng.randint(-128, 127),
    }
    if config.phase_windows:
        step |= {"own": columns and rng.random() < 0.5, "phase": rng.getrandbits(1)}
        if step["own"]:
            step |= {"single_row": 0, "again": rng.random() < 0.4}
        step["corner"] = bool(step["own"] and step["phase"] and not step["again"]
                              and rng.random() < 0.5)
    if config.pool_blocks > 1:
        step["pair"] = mode == Mode.MAX_POOL and rng.getrandbits(1)
    if config.patch_bytes:
        step |= {"patch": rng.getrandbits(1), "patch_word": rng.getrandbits(16) % (
                     config.patch_bytes // width),
                 "gather": mode == Mode.DENSE and rng.getrandbits(1),
                 "gather_position": rng.randrange(config.patch_bytes),
                 "gather_last": rng.randrange(width)}
        if step["patch"] and mode == Mode.DENSE:
            step["compute"] = rng.getrandbits(1)
        if mode != Mode.DENSE:
            step["patch"] = 0
    _cover(env, step)
    return step


def _cover(env: Env, step: dict[str, int]) -> None:
    assert env.config is not None
    width, name = env.config.dot_width, env.dut_name
    left = -step["offset"]
    right = step["offset"] + width - step["row_bytes"]
    cover(f"{name}: {Mode(step['mode']).name}")
    if step.get("pair"):
        cover(f"{name}: pair")
    if not step["row_valid"]:
        cover("row outside the input")
    elif left >= width:
        cover("all left of the row")
    elif right >= width:
        cover("all right of the row")
    elif left > 0 and right > 0:
        cover("row in a read")
    else:
        cover(f"{name}: {max(left, 0)} bytes left of the row")
        cover(f"{name}: {max(right, 0)} bytes right of the row")
        if step["mode"] == Mode.DEPTHWISE:
            cover(f"{name}: column {step['column']}")
    if env.config.patch_bytes:
        gather, patch = step["gather"], step["patch"] and step["compute"]
        for kind, hit in (
                ("gather", gather and not patch), ("patch word", patch and not gather),
                ("gather beside patch word", gather and patch),
                ("gather of padding", gather and left > 0)):
            if hit:
                cover(f"{name}: {kind}")


def real_rows(step: dict[str, int], lanes: list[list[int]]) -> list[list[int]]:
    """The rows of a column with their padding."""
    return [lane if step["rows"] >> r & 1 else [step["pad_value"]] * len(lane)
            for r, lane in enumerate(lanes)]


def half_of_phase(config: AcceleratorConfig, step: dict[str, int], lanes: list[list[int]],
                  own: list[Any]) -> list[list[int]]:
    """The activations of a step with a window of its phase, whose column goes into ``own``
    [phase][lane][row]."""
    rows, count = config.column_window
    window = own[step["phase"]]
    if not step["again"]:
        for m, of_lane in enumerate(window):
            for r, column in enumerate(real_rows(step, lanes)):
                of_lane[r] = [*of_lane[r][1:], column[m]]
    if step["corner"]:
        taps = [[*window[m][0][count:], *(row[count - 1] for row in own[0][m]),
                 window[m][0][count - 1]] for m in range(config.column_lanes)]
        taps += [[]] * (config.activation_lanes - len(taps))
        return [row + [0] * (config.dot_width - len(row)) for row in taps]
    half = slice(0, count) if step["again"] else slice(count, None)
    return [sum((row[half] for row in window[m]), []) if m < config.column_lanes
            else [0] * config.dot_width for m in range(config.activation_lanes)]


def shifted(config: AcceleratorConfig, step: dict[str, int], read: list[int],
            lanes: list[list[int]], before: list[list[int]]) -> list[list[int]]:
    """The activations after a step of COLUMN; ``read`` has its padding."""
    rows, count = config.column_window
    if step["single_row"] or rows == 1:
        rows, count = 1, config.dot_width
        lanes = [read]
    else:
        lanes = real_rows(step, lanes)
    after = [[0] * config.dot_width for _ in before]
    for m in range(config.column_lanes):
        for r in range(rows):
            kept = before[m][r * count + 1:(r + 1) * count]
            if step["preset"]:
                kept = [step["pad_value"]] * (count - 1)
            after[m][r * count:(r + 1) * count] = [*kept, lanes[r][m]]
    return after


def masked(step: dict[str, int], read: list[int]) -> list[int]:
    """The read with its padding."""
    return [value if step["row_valid"] and 0 <= step["offset"] + j < step["row_bytes"]
            else step["pad_value"] for j, value in enumerate(read)]


@dataclass
class Kept:
    """What stays from step to step: the activations, and the windows of both phases."""

    activations: list[list[int]]
    own: list[Any]


def expected(config: AcceleratorConfig, step: dict[str, int], read: list[int],
             lanes_read: list[list[int]], weights: list[list[int]], kept: Kept,
             patch: list[int]) -> tuple[str, dict[str, Any]]:
    """The port that a step goes to, with what."""
    width, rows, lanes = config.dot_width, config.activation_lanes, config.depthwise_lanes
    pair = {"pair": step["pair"]} if config.pool_blocks > 1 else {}
    byte = masked(step, read)
    flags = {"first": step["first"], "last": step["last"]}
    if step["mode"] == Mode.MAX_POOL:
        kept.activations = [byte] * rows
        return "o_pool", {"bytes": byte[:config.pool_lanes], **flags, **pair}
    if step["mode"] == Mode.DENSE:
        activations = [patch if step.get("patch") else byte] * rows
    elif step.get("own"):
        activations = half_of_phase(config, step, lanes_read, kept.own)
    elif step["again"]:
        activations = kept.activations
    elif step["mode"] == Mode.COLUMN:
        activations = shifted(config, step, byte, lanes_read, kept.activations)
    else:
        activations = [[byte[m] if m < lanes and j == step["column"] else 0 for j in range(width)]
                       for m in range(rows)]
    kept.activations = activations
    return "o" if step["compute"] else "", {
        "activations": activations, "weights": weights,
        "weight_zero_point": step["weight_zero_point"], **flags}


@cocotb.test()
async def operands_equal_model(dut: Any) -> None:
    """Steps with and without idle cycles between; bytes and words change in every cycle."""
    from kaniwa.hw.activations.window import Window

    env = await start(dut, BENCH)
    config, rng = env.config, env.rng
    assert config is not None
    component = Window(config)
    component._MustUse__silence = True
    pack_step = codec(component.i.payload.shape())[0]
    pack = {"o": codec(component.o.payload.shape())[0]}
    if config.max_pool:
        pack["o_pool"] = codec(component.o_pool.payload.shape())[0]
    if config.patch_bytes:
        pack["o_gather"] = codec(component.o_gather.payload.shape())[0]
    steps: list[dict[str, int] | None] = []
    patches: list[list[int]] = []
    reads: list[list[int]] = []
    columns: list[list[list[int]]] = []
    words: list[list[list[int]]] = []
    rows, columns_of_window = config.column_window
    kept = Kept([[0] * config.dot_width for _ in range(config.activation_lanes)], [
        [[[0] * 2 * columns_of_window for _ in range(rows)] for _ in range(config.column_lanes)]
        for _ in range(2)])
    last_mode = Mode.DENSE
    for cycle in range(2400):
        idle = rng.random() < (0.0, 0.4, 0.9)[cycle // 800]
        steps.append(None if idle or cycle > 2390 else random_step(env))
        if cycle and steps[-1]:
            cover(f"{env.dut_name}: {'back to back' if steps[-2] else 'idle between'}")
        reads.append(_bytes(env, config.dot_width))
        words.append([_bytes(env, config.dot_width) for _ in range(config.out_lanes)])
        env.set("i__valid", steps[-1] is not None)
        env.set("i__payload", pack_step(steps[-1] or random_step(env)))
        env.set("i_data", int.from_bytes(bytes(b & 255 for b in reads[-1]), "little"))
        columns.append([_bytes(env, config.lane_bytes) for _ in range(config.column_window[0])])
        if config.column_window[0] > 1:
            env.set("i_columns", int.from_bytes(
                bytes(b & 255 for row in columns[-1] for b in row), "little"))
        patches.append(_bytes(env, config.dot_width))
        if config.patch_bytes:
            env.set("i_patch", int.from_bytes(bytes(b & 255 for b in patches[-1]), "little"))
        env.set("i_weights", int.from_bytes(
            bytes(b & 255 for row in words[-1] for b in row), "little"))
        await env.cycles(1)
        step = steps[cycle - LATENCY] if cycle >= LATENCY else None
        out: dict[str, dict[str, Any]] = {}   # what is expected, by port
        if step is not None:
            read = reads[cycle - LATENCY + DATA_AFTER]
            port, value = expected(
                config, step, read,
                columns[cycle - LATENCY + DATA_AFTER], words[cycle - LATENCY + WEIGHTS_AFTER],
                kept, patches[cycle - LATENCY + DATA_AFTER])
            if port:
                out[port] = value
            if step.get("gather"):
                out["o_gather"] = {"position": step["gather_position"],
                                   "last": step["gather_last"], "data": masked(step, read)}
            if step["mode"] == Mode.COLUMN:
                _cover_columns(env, step, last_mode, steps[cycle - LATENCY - 1] is None)
            last_mode = Mode(step["mode"])
        for name in pack:
            check(env.get(f"{name}__valid"), int(name in out), f"{name} valid, cycle {cycle}")
        for name, value in out.items():
            check(f"{env.get(f'{name}__payload'):x}", f"{pack[name](value):x}",
                  f"{name} for {step}")


def _cover_columns(env: Env, step: dict[str, int], last_mode: Mode, idle: bool) -> None:
    rows = 1 if step["single_row"] else env.config.column_window[0]
    cover(f"{env.dut_name}: window of {rows} rows")
    for name, hit in (("preset", step["preset"]), ("column without compute", not step["compute"]),
                      ("window met again", step["again"] and not step.get("own")),
                      ("right half of a phase's window",
                       step.get("own") and not step["again"] and not step["corner"]),
                      ("corner of both phases' windows", step.get("corner")),
                      ("left half of a phase's window", step.get("own") and step["again"]),
                      ("phase's window kept by other steps",
                       step.get("own") and last_mode != Mode.COLUMN),
                      ("window kept while idle", idle and last_mode == Mode.COLUMN),
                      ("column after other mode", last_mode != Mode.COLUMN)):
        if hit:
            cover(name)


def _bytes(env: Env, count: int) -> list[int]:
    """Random int8 values, extremes among them."""
    rng = env.rng
    if rng.random() < 0.1:
        return [rng.choice([-128, -1, 0, 127]) for _ in range(count)]
    return [b - 128 for b in rng.randbytes(count)]

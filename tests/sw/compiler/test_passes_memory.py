"""Tiling and allocation: what the buffers hold, and who shares memory."""

import random
from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.networks.random_sums import tables_brought

import kaniwa
from kaniwa import golden
from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.compiler.schedule.allocate import pack
from kaniwa.compiler.schedule.buffers import Buffer
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.isa import OUTSIDE
from kaniwa.outside import parse_outside
from kaniwa.sim.worlds.serial_config import SERIAL

BASE = PRESETS["base"]
SMALL_RING = replace(BASE, ring_bytes=4096, parameter_records=64)


def one_conv(shape: tuple[int, ...], channels: int, **options: object) -> Graph:
    b = GraphBuilder()
    x = b.tensor(shape)
    return b.graph((x,), (b.conv(x, channels, **options),))


def planned(graph: Graph, config: AcceleratorConfig) -> Plan:
    return plan_model(graph, config, Options(outside=parse_outside("ideal")))


def test_layer_that_fits_is_one_instruction() -> None:
    assert len(planned(one_conv((1, 16, 16, 16), 64), BASE).tiles) == 1


def test_groups_leave_room_in_the_ring() -> None:
    # 16 words a block, a ring of 32: two blocks fit, one leaves room for the next.
    plan = planned(one_conv((1, 8, 8, 256), 64, kernel=(1, 1)), SMALL_RING)
    assert [tile.blocks for tile in plan.tiles] == [(i, i + 1) for i in range(8)]
    assert not any(tile.weights_stream for tile in plan.tiles)


def test_parameters_limit_groups_too() -> None:
    plan = planned(one_conv((1, 8, 8, 4), 200, kernel=(1, 1)), SMALL_RING)
    assert max(t.blocks[1] - t.blocks[0] for t in plan.tiles) <= SMALL_RING.parameter_words


def test_kernel_beyond_the_ring_streams_for_every_pixel() -> None:
    program = compile(one_conv((1, 4, 4, 256), 16), SMALL_RING, outside="ideal")
    layer = program.instructions[0]
    assert layer["weights_stream"] == 1 and layer["weight_repeat"] == 16
    assert layer["steps"] > SMALL_RING.ring_words


def test_single_pixel_streams_once() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 640))
    program = compile(b.graph((x,), (b.fully_connected(x, 128),)), "base")
    (layer, _) = program.instructions
    assert (layer["weights_stream"], layer["weight_repeat"], layer["blocks"]) == (1, 1, 16)


def test_wide_rows_become_column_tiles() -> None:
    plan = planned(one_conv((1, 6, 64, 64), 8), SERIAL)
    assert len(plan.tiles) > 1
    covered = sorted({tile.columns for tile in plan.tiles})
    assert covered[0][0] == 0 and covered[-1][1] == 64
    assert all(a[1] == b[0] for a, b in zip(covered, covered[1:], strict=False))


def test_stride_beyond_its_field_becomes_row_tiles() -> None:
    plan = planned(one_conv((1, 64, 64, 1), 8, kernel=(16, 16), stride=(16, 16), pad=0), BASE)
    assert [tile.rows for tile in plan.tiles] == [(i, i + 1) for i in range(4)]


def test_rows_between_strides_are_not_loaded_for_one_row_kernels() -> None:
    program = compile(one_conv((1, 8, 8, 16), 8, kernel=(1, 1), stride=(2, 2)), "base")
    layer = program.instructions[0]
    assert (layer["ifm_rows"], layer["ifm_pitch"], layer["stride_rows"]) == (4, 256, 1)


def test_window_that_cannot_fit_names_the_limit() -> None:
    with pytest.raises(CompileError, match=r"^hand: op 0 CONV_2D 'conv_2d0': 3 rows of \d+ "
                                           r"bytes exceed the line buffer's 4096 bytes; use"):
        compile(one_conv((1, 8, 8, 800), 4), SERIAL, outside="ideal", require_accelerator=True)


def test_memory_that_does_not_fit_names_need_and_have() -> None:
    with pytest.raises(CompileError, match=r"^hand: needs \d+ KiB \(commands \d+, weights 1\d\d, "
                                           r"tensors 320\), target 'serial' has 128 KiB on chip; "
                                           r"give it --outside sdram"):
        compile(one_conv((1, 32, 32, 64), 256), SERIAL)


def test_everything_is_outside_without_on_chip_memory() -> None:
    program = compile(one_conv((1, 8, 8, 8), 8), "xl", outside="ideal")
    assert program.local_bytes == 0 and program.outside == "ideal"
    assert all(address & OUTSIDE for address, _ in program.images)
    assert all((t.address or 0) & OUTSIDE for t in program.tensors)


def test_tensors_go_outside_where_they_must() -> None:
    config = replace(BASE, memory_bytes=4096)
    program = compile(one_conv((1, 32, 32, 8), 8), config, outside="sdram")
    assert program.local_bytes <= 4096 and program.program_address == 0
    assert all((t.address or 0) & OUTSIDE for t in program.tensors)


@pytest.mark.parametrize(("layers", "kib"), [(2, 16), (40, 8)])
def test_commands_that_take_the_room_of_tensors_go_outside(layers: int, kib: int) -> None:
    """Beside 40 instructions there is no room for two maps of 4 KiB; beside 2 there is some."""
    config = replace(BASE, memory_bytes=kib << 10)
    b = GraphBuilder()
    x = first = b.tensor((1, 1, 64, 64))
    for _ in range(layers):
        x = b.conv(x, 64, kernel=(1, 1))
    graph = b.graph((first,), (x,))
    program = compile(graph, config, outside="sdram", require_accelerator=True)
    inner = [t for t in program.tensors if t.address is not None and not t.address & OUTSIDE]
    assert bool(program.program_address & OUTSIDE) == (layers == 40)
    assert len(inner) >= layers - 1
    values = np.random.default_rng(1).integers(-128, 128, (1, 1, 64, 64), np.int8)
    with kaniwa.open("emulator", target=config) as device:
        (got,) = kaniwa.Session(program, device).run([values]).values()
    np.testing.assert_array_equal(got, golden.run(graph, [values])[x])


@pytest.mark.parametrize("text", ["flash", "ideal,bytes=4", "sdram,bytes=2,bytes=2",
                                  "sdram,bytes=3", "sdram,latency=-1", "sdram,size=4", "",
                                  "sdram,bytes="])
def test_unknown_outside_memory_is_refused(text: str) -> None:
    with pytest.raises(CompileError, match="must be none, ideal or sdram"):
        parse_outside(text)


def test_outside_defaults() -> None:
    assert parse_outside(None) is None and parse_outside("none") is None
    assert str(parse_outside("ideal")) == "ideal"
    assert str(parse_outside("sdram")) == "sdram,bytes=4,latency=10"
    assert str(parse_outside("sdram,latency=20,bytes=2")) == "sdram,bytes=2,latency=20"


def test_buffers_that_live_together_do_not_overlap() -> None:
    rng = random.Random(7)
    for _ in range(60):
        buffers = []
        for i in range(rng.randrange(1, 20)):
            first = rng.randrange(-1, 10)
            buffers.append(Buffer((i,), 16 * rng.randrange(1, 60), first,
                                  first + rng.randrange(0, 5)))
        offsets, peak = pack(buffers)
        for i, a in enumerate(buffers):
            assert offsets[i] + a.size <= peak
            for j, b in enumerate(buffers[:i]):
                if a.first <= b.last and b.first <= a.last:
                    assert (offsets[i] + a.size <= offsets[j]
                            or offsets[j] + b.size <= offsets[i])
        busiest = max(sum(b.size for b in buffers if b.first <= t <= b.last) for t in range(-1, 15))
        assert busiest <= peak <= sum(b.size for b in buffers)


def test_sum_takes_the_memory_of_an_operand_that_dies() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 4)
    y = b.add(b.conv(b.conv(u, 4), 4), u)
    plan = plan_model(b.graph((x,), (b.conv(y, 4),)), BASE, Options())
    assert plan.memory is not None
    assert plan.memory.tensors[y] == plan.memory.tensors[u]


def test_sum_never_takes_the_memory_of_its_layers_own_input() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 4)
    y = b.add(b.conv(u, 4), u)
    plan = plan_model(b.graph((x,), (b.conv(y, 4),)), BASE, Options())
    assert plan.memory is not None and plan.layers[1].ifm == u
    assert plan.memory.tensors[y] != plan.memory.tensors[u]


def test_operand_that_is_an_output_keeps_its_memory() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 4)
    y = b.add(b.conv(b.conv(u, 4), 4), u)
    plan = plan_model(b.graph((x,), (y, u)), BASE, Options())
    assert plan.memory is not None
    assert plan.memory.tensors[y] != plan.memory.tensors[u]


def test_tensor_table_says_when_a_tensor_is_there() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 4)
    v = b.conv(u, 4)
    program = compile(b.graph((x,), (b.conv(b.conv(v, 4), 4),)), "base")
    first, second = program.tensor(x), program.tensor(u)
    assert (first.ready, second.ready, second.kind) == (-1, 0, "intermediate")
    assert first.overwritten == 1 and second.overwritten == 2
    assert program.outputs[0].overwritten is None and program.outputs[0].ready == 3


def test_equal_constants_are_stored_once() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 16))
    y = b.pool(b.pool(x, "MAX_POOL_2D", (2, 2)), "MAX_POOL_2D", (2, 2))
    program = compile(b.graph((x,), (y,)), "base")
    a, c = program.instructions[:2]
    assert a["parameter_address"] == c["parameter_address"]


def test_groups_of_an_add_load_its_tables_once() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 256))
    y = b.add(b.conv(x, 64, (1, 1)), b.conv(x, 64, (1, 1)))
    program = compile(b.graph((x,), (y,)), SMALL_RING)
    assert len([values for values in program.instructions if values["add"]]) > 1
    assert [numbers for numbers in tables_brought(program) if numbers] == ["01"]

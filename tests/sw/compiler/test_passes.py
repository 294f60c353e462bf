"""The passes that change the model: each on a small graph made for it."""

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import PIPELINE, plan_model
from kaniwa.compiler.plan.bounds import activation_bounds
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.errors import CompileError, ModelError
from kaniwa.graph import Graph, check
from kaniwa.isa import Mode

BASE = PRESETS["base"]


def planned(graph: Graph, last: str = "allocate", config: AcceleratorConfig = BASE,
            **options: bool) -> Plan:
    """The plan after the pass ``last``, with the graph checked after each pass."""
    plan = Plan(graph, graph, config, Options(**options))
    for run in PIPELINE:
        plan = run(plan)
        check(plan.graph)
        if run.__name__ == last:
            return plan
    raise AssertionError(f"no pass {last}")


def kinds(plan: Plan) -> list[str]:
    return [op.kind for op in plan.graph.ops]


def test_final_softmax_goes_to_the_host() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8))
    y = b.reshape(b.softmax(b.fully_connected(x, 4)), (4,))
    graph = b.graph((x,), (y,))
    plan = planned(graph, "partition")
    assert kinds(plan) == ["FULLY_CONNECTED"]
    assert [op.kind for op in plan.host_ops] == ["SOFTMAX", "RESHAPE"]
    with pytest.raises(CompileError, match="op 1 SOFTMAX 'softmax1': target 'base' has no vector "
                                           "unit; .* compile without --require-accelerator"):
        planned(graph, require_accelerator=True)


def test_fully_connected_becomes_a_convolution_of_one_pixel() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    plan = planned(b.graph((x,), (b.fully_connected(x, 10),)), "lower")
    assert kinds(plan) == ["RESHAPE", "CONV_2D", "RESHAPE"]
    (layer,) = plan.layers
    assert layer.mode == Mode.DENSE and layer.op == "FULLY_CONNECTED" and layer.macs == 320
    assert layer.geometry.ifm == (1, 1, 32) and layer.geometry.ofm == (1, 1, 10)
    assert plan.storage[plan.model.outputs[0]] == layer.ofm


def test_depth_multiplier_becomes_sparse_and_one_channel_ordinary() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 3))
    plan = planned(b.graph((x,), (b.conv(x, 6, depthwise=2),)), "lower")
    (layer,) = plan.layers
    assert layer.mode == Mode.DENSE and layer.weights is not None and layer.macs == 36 * 6 * 9
    assert layer.weights.shape == (6, 3, 3, 3)
    for channel in range(6):
        others = [i for i in range(3) if i != channel // 2]
        assert not layer.weights[channel][..., others].any()
        assert layer.weights[channel][..., channel // 2].any()

    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 1))
    (layer,) = planned(b.graph((x,), (b.conv(x, 8, depthwise=8),)), "lower").layers
    assert layer.mode == Mode.DENSE and layer.weights is not None
    assert layer.weights.shape == (8, 3, 3, 1)


def test_pools_and_activations_become_depthwise_layers() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 5))
    y = b.pool(b.relu(b.pool(x, "MAX_POOL_2D", (2, 2), (2, 2))), "AVERAGE_POOL_2D", (3, 3))
    layers = planned(b.graph((x,), (y,)), "lower").layers
    assert [layer.mode for layer in layers] == [Mode.MAX_POOL, Mode.DEPTHWISE, Mode.DEPTHWISE]
    assert layers[0].pad_value == -128
    assert layers[1].bias.tolist() == [-3] * 5      # the input's zero point
    assert layers[2].bias.tolist() == [0] * 5       # a mean keeps it
    assert np.all(np.asarray(layers[2].weights) == 1)


def test_average_pool_with_padding_is_a_pass_for_each_number_of_elements() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    y = b.op("AVERAGE_POOL_2D", (x,), b.tensor((1, 4, 4, 2)), "litert_average_pool",
             filter=(2, 2), stride=(1, 1), padding=((0, 1), (0, 1)), activation="NONE")
    (layer,) = planned(b.graph((x,), (y,)), "lower", require_accelerator=True).layers
    passes = layer.array_layers
    assert [own.geometry.ofm for own in passes] == [(3, 3, 2), (3, 1, 2), (1, 3, 2), (1, 1, 2)]
    assert all(own.pad_value == 0 and not own.bias.any() for own in passes)


def test_shape_that_does_not_follow_from_the_window_is_refused() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 2))
    y = b.conv(x, 4)
    b.tensors[y] = replace(b.tensors[y], shape=(1, 8, 9, 4))
    with pytest.raises(ModelError, match=r"output shape \[1, 8, 9, 4\] does not fit"):
        planned(b.graph((x,), (y,)))


def test_constants_are_broadcast_at_compile_time() -> None:
    """All but a pixel, which the operand's pitches repeat."""
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    c = b.tensor((4, 1), 0.5, 0, np.array([[5], [-7], [0], [9]], np.int8))
    plan = planned(b.graph((x,), (b.add(x, c),)))
    operand = plan.layers[0].add
    assert operand is not None
    data = plan.graph.tensors[operand.operand].data
    assert data is not None and data.shape == (1, 4, 4, 2) and (
        data[0] == np.array([[[5]], [[-7]], [[0]], [[9]]]).reshape(1, 4, 1)).all()


def test_zero_point_is_folded_into_the_bias() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 5, 5, 3), 0.5, -77)
    y = b.conv(x, 4)
    graph = b.graph((x,), (y,))
    (layer,) = planned(graph, "lower").layers
    w, bias = (graph.tensors[i].data for i in graph.ops[0].inputs[1:])
    assert w is not None and bias is not None
    assert layer.pad_value == -77
    assert layer.bias.tolist() == [int(v) + 77 * int(s) for v, s in zip(
        bias, w.astype(int).sum(axis=(1, 2, 3)), strict=True)]


def test_accumulator_beyond_int32_is_refused_by_channel() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 8))
    y = b.conv(x, 3)
    bias = b.ops[0].inputs[2]
    values = np.array([0, (1 << 31) - 1, 0], np.int32)
    b.tensors[bias] = replace(b.tensors[bias], data=values)
    with pytest.raises(CompileError, match=r"CONV_2D 'conv_2d0': channel 1: the accumulator may "
                                           r"reach \d+ in magnitude, beyond int32"):
        planned(b.graph((x,), (y,)))


@pytest.mark.parametrize(("activation", "scale", "zero_point", "bounds"), [
    ("NONE", 0.1, 5, (-128, 127)), ("RELU", 0.1, 5, (5, 127)), ("RELU6", 0.1, 5, (5, 65)),
    ("RELU6", 0.01, -128, (-128, 127)), ("RELU_N1_TO_1", 0.4, 0, (-3, 3)),
    ("RELU6", 1e-40, 0, (0, 127)), ("RELU6", 4.0, 0, (0, 2))])
def test_activation_bounds_round_half_away(activation: str, scale: float, zero_point: int,
                                           bounds: tuple[int, int]) -> None:
    assert activation_bounds(activation, scale, zero_point) == bounds


def residual(skip: bool = True) -> Graph:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 4)
    v = b.conv(b.conv(u, 4), 4)
    s = b.conv(u, 4, (1, 1)) if skip else u
    return b.graph((x,), (b.conv(b.add(v, s), 4),))


def test_add_is_fused_into_the_longer_branch_and_the_skip_branch_comes_first() -> None:
    plan = planned(residual())
    assert [layer.op for layer in plan.layers] == [
        "CONV_2D", "CONV_2D", "CONV_2D", "CONV_2D+ADD", "CONV_2D"]
    fused, skip = plan.layers[3], plan.layers[1]
    assert fused.geometry.kernel == (3, 3) and skip.geometry.kernel == (1, 1)
    assert fused.add is not None and fused.add.operand == skip.ofm
    assert fused.source == (2, 4)


def test_tables_follow_their_operand() -> None:
    b = GraphBuilder()
    x, z = b.tensor((1, 8, 8, 4), 0.5, 3), b.tensor((1, 8, 8, 4), 0.11, -9)
    y = b.add(z, b.conv(x, 4))      # the convolution makes the second input
    (layer,) = planned(b.graph((x, z), (y,))).layers
    assert layer.add is not None and layer.add.operand == z
    # Each table is zero at its input's zero point: -9 of z, -4 of the convolution.
    assert layer.add.tables[1][-9 + 128] == 0 and layer.add.tables[0][-4 + 128] == 0


def test_add_stays_alone_where_its_inputs_are_needed() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u, v = b.conv(x, 4), b.conv(x, 4)
    y = b.add(u, v)
    assert [layer.op for layer in planned(b.graph((x,), (u, v, y))).layers] == [
        "CONV_2D", "CONV_2D", "ADD"]
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 4)
    doubled = b.add(u, u)
    assert [layer.op for layer in planned(b.graph((x,), (doubled,))).layers] == ["CONV_2D+ADD"]
    assert [layer.op for layer in planned(b.graph((x,), (u, doubled))).layers] == ["CONV_2D", "ADD"]


def test_materialize_fuses_nothing() -> None:
    plan = planned(residual(), materialize=True)
    assert [layer.op for layer in plan.layers] == ["CONV_2D"] * 4 + ["ADD", "CONV_2D"]
    stored = sorted(plan.memory.tensors.values()) if plan.memory else []
    assert len(set(stored)) == len(stored) == 7


def test_layers_nobody_reads_are_dropped_unless_all_are_wanted() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    y = b.conv(x, 4)
    b.conv(x, 8)
    graph = b.graph((x,), (y,))
    assert len(planned(graph).layers) == 1
    assert len(planned(graph, materialize=True).layers) == 2


@pytest.mark.parametrize("change", ["elementwise", "max_pool"])
def test_missing_unit_is_named(change: str) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    y = b.add(x, x) if change == "elementwise" else b.pool(x, "MAX_POOL_2D", (2, 2))
    config = replace(BASE, **{change: False})
    with pytest.raises(CompileError, match=f"use a target with {change} = true"):
        planned(b.graph((x,), (y,)), config=config, require_accelerator=True)


def test_column_becomes_row_and_pixels_become_long_rows() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 30, 1, 40))
    (layer,) = planned(b.graph((x,), (b.conv(x, 8, (3, 1), pad=0),)), "widen").layers
    assert layer.geometry.ifm == (1, 30, 40) and layer.geometry.kernel == (1, 3)

    b = GraphBuilder()
    x = b.tensor((2, 6, 6, 16))
    (layer,) = planned(b.graph((x,), (b.conv(x, 8, (1, 1)),)), "widen").layers
    assert layer.geometry.batch == 1 and layer.geometry.ifm == (1, 72, 16)


def test_kernel_as_wide_as_the_input_is_one_reduction() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 5, 4, 3))
    (layer,) = planned(b.graph((x,), (b.conv(x, 8, (5, 4), pad=0),)), "widen").layers
    assert layer.geometry.ifm == (1, 5, 12) and layer.geometry.kernel == (1, 5)


def test_plan_of_all_passes_has_memory() -> None:
    plan = plan_model(residual(), BASE, Options())
    assert plan.memory is not None and len(plan.tiles) == len(plan.layers)

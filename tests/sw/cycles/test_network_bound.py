"""The bound of a network: the least cycles by multipliers, lanes and ports, of layers as made."""

from fractions import Fraction

import kaniwa
from kaniwa.benchmark.networks.bound import bounds
from kaniwa.benchmark.networks.network import Network
from kaniwa.benchmark.networks.recurrent import speech_enhancement
from kaniwa.benchmark.networks.residual import dense
from kaniwa.cycles.estimate import estimate


def layers_of(file, target="base"):
    program = kaniwa.compile(file.graph, target, require_accelerator=True, outside="ideal")
    return bounds(program, estimate(program))


def test_a_fully_connected_layer_is_bound_by_what_it_reads():
    layer, = layers_of(dense(128))
    assert layer.by == "reads" and layer.macs == 128 * 128
    assert layer.bound == Fraction(128 + 128 * 128 + 4 * 128, 16)   # input, weights, biases


def test_a_convolution_is_bound_by_its_products_or_its_results():
    network = Network("pair", 0)
    x = network.input(1, 16, 16, 16)
    y = network.conv(network.conv(x, 32, 3), 64, 1)
    first, second = layers_of(network.file((x,), (y,)))
    assert (first.by, first.bound) == ("products", Fraction(16 * 16 * 32 * 9 * 16, 128))
    assert (second.by, second.bound) == ("products", Fraction(16 * 16 * 64 * 32, 128))
    network = Network("wide", 0)
    x = network.input(1, 16, 16, 8)
    layer, = layers_of(network.file((x,), (network.conv(x, 64, 1),)))
    assert (layer.by, layer.bound) == ("results", Fraction(16 * 16 * 64, 8))


def test_operators_that_are_computed_together_count_once():
    network = Network("skip", 0)
    x = network.input(1, 8, 8, 16)
    y = network.add(network.conv(x, 16, 1), x)
    layer, = layers_of(network.file((x,), (y,)))
    assert layer.op == "CONV_2D+ADD" and layer.shape == (1, 8, 8, 16)
    assert layer.bound == max(Fraction(8 * 8 * 16 * 16, 128), Fraction(8 * 8 * 16, 8))


def test_padding_of_a_layer_is_not_read():
    network = Network("padded", 0)
    x = network.input(1, 1, 8, 64)
    y = network.conv(network.pad(x, (0, 0), (0, 0), (60, 0), (0, 0)), 1, (1, 4), 1, "NONE",
                     "VALID", (1, 20))
    layer, = layers_of(network.file((x,), (y,)))
    assert layer.op == "PAD+CONV_2D" and layer.by == "reads"
    assert layer.bound == Fraction(8 * 64 + 4 * 64 + 4, 16)   # not the 60 columns of zeros


def test_the_bound_is_below_the_cycles_of_a_layer():
    network = Network("chain", 0)
    x = network.input(1, 12, 12, 16)
    y = network.depthwise(network.conv(x, 48, 3, 1, "RELU6"), 3, 2, "RELU6")
    for target in ("small", "base", "large"):
        for layer in layers_of(network.file((x,), (y,)), target):
            assert 0 < layer.bound <= layer.cycles, (target, layer)


def test_cycles_of_a_unit_are_no_steps_of_the_array():
    for layer in layers_of(speech_enhancement(size=2), "base_recurrent"):
        assert (layer.issued == 0) == ("LSTM" in layer.op), layer
        assert layer.issued + sum(layer.lost.values()) <= layer.cycles

"""Networks for small devices, of depthwise convolutions between convolutions of one pixel."""

from __future__ import annotations

from collections.abc import Iterator

from kaniwa.benchmark.networks.blocks import classifier, hard_sigmoid, hard_swish
from kaniwa.benchmark.networks.network import Network, NetworkFile

__all__ = ["bottlenecks", "efficientnet_lite0", "mcunet", "mobilenet_v1", "mobilenet_v2",
           "mobilenet_v3_small"]

# MobileNetV1: output channels and stride of each depthwise separable convolution.
SEPARABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5,
             (1024, 2), (1024, 1))

# MobileNetV2: expansion, output channels, repeats and the stride of the first of them.
BOTTLENECKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
               (6, 160, 3, 2), (6, 320, 1, 1))

# MobileNetV3 small: kernel, expanded and output channels, squeeze-excite, hard-swish, stride.
BLOCKS_V3 = ((3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2),
             (3, 88, 24, False, False, 1), (5, 96, 40, True, True, 2),
             (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
             (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1),
             (5, 288, 96, True, True, 2), (5, 576, 96, True, True, 1),
             (5, 576, 96, True, True, 1))

# EfficientNet-Lite0: expansion, output channels, kernel, repeats, stride of the first of them.
STAGES_LITE = ((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 3, 2),
               (6, 112, 5, 3, 1), (6, 192, 5, 4, 2), (6, 320, 3, 1, 1))

# MCUNet: output channels and stride of a stage, with expansion and kernel of each of its blocks.
STAGES_MCUNET = (
    (16, 2, ((3, 7), (5, 3), (5, 7), (4, 5))), (24, 2, ((5, 5), (5, 5), (5, 5))),
    (40, 2, ((5, 3), (6, 7), (4, 5))), (48, 1, ((5, 5), (5, 7), (5, 3))),
    (96, 2, ((6, 3), (5, 7), (4, 3))), (160, 1, ((5, 7),)))


def mobilenet_v1(seed: int = 0, size: int = 224, dtype: str = "int8") -> NetworkFile:
    """MobileNetV1 of width 1 (Howard et al., arXiv:1704.04861, table 1).

    ``size`` is a multiple of 32; ``dtype`` is int8, or uint8 with weights of one scale a layer.
    """
    network = Network(f"mobilenet_v1_{size}_{dtype}", seed, dtype)
    image = network.input(1, size, size, 3)
    x = network.conv(image, 32, 3, 2, "RELU6")
    for channels, stride in SEPARABLE:
        x = network.depthwise(x, 3, stride, "RELU6")
        x = network.conv(x, channels, 1, 1, "RELU6")
    return network.file((image,), (classifier(network, x),))


def mobilenet_v2(seed: int = 0, size: int = 224) -> NetworkFile:
    """MobileNetV2 of width 1 (Sandler et al., arXiv:1801.04381, table 2); ``size``: of 32."""
    network = Network(f"mobilenet_v2_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.conv(image, 32, 3, 2, "RELU6")
    *_, x = bottlenecks(network, x)
    x = network.conv(x, 1280, 1, 1, "RELU6")
    return network.file((image,), (classifier(network, x),))


def mobilenet_v3_small(seed: int = 0, size: int = 224) -> NetworkFile:
    """MobileNetV3 small (Howard et al., arXiv:1905.02244, table 2), in the operators of Keras.

    Hard-swish is one operator; the gate of squeeze-excite is a sum with RELU6 and a product.
    """
    network = Network(f"mobilenet_v3_small_{size}", seed)
    image = network.input(1, size, size, 3)
    x = hard_swish(network, network.conv(image, 16, 3, 2))
    for kernel, expanded, channels, squeezed, swish, stride in BLOCKS_V3:
        inner = x
        if expanded != network.shape(x)[3]:
            inner = _activated(network, "conv", swish, x, expanded, 1, 1)
        inner = _activated(network, "depthwise", swish, inner, kernel, stride)
        if squeezed:
            inner = _squeeze_excite(network, inner)
        inner = network.conv(inner, channels, 1)
        x = network.add(x, inner) if network.shape(x) == network.shape(inner) else inner
    x = hard_swish(network, network.conv(x, 576, 1))
    _, height, width, depth = network.shape(x)
    x = network.mean(x, (1, 2), network.sample(x).mean() + network.rng.normal(
        0, 0.3 * network.sample(x).std(), len(network.sample(x))))
    x = hard_swish(network, network.conv(x, 1024, 1))
    return network.file((image,), (network.reshape(network.conv(x, 1000, 1), (1, 1000)),))


def efficientnet_lite0(seed: int = 0, size: int = 224) -> NetworkFile:
    """EfficientNet-Lite0: EfficientNet-B0 (Tan and Le, arXiv:1905.11946, table 1) with RELU6
    in place of swish and without squeeze-excite."""
    network = Network(f"efficientnet_lite0_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.conv(image, 32, 3, 2, "RELU6")
    for expansion, channels, kernel, repeats, first in STAGES_LITE:
        for repeat in range(repeats):
            x = inverted(network, x, expansion * network.shape(x)[3], channels, kernel,
                         1 if repeat else first, bool(repeat))
    return network.file((image,), (classifier(network, network.conv(x, 1280, 1, 1, "RELU6")),))


def mcunet(seed: int = 0, size: int = 176) -> NetworkFile:
    """MCUNet for 512 KiB of memory (Lin et al., arXiv:2007.10319), a network found by search.

    Kernels of 3, 5 and 7 stand in any order, and most widths are no powers of two.
    """
    network = Network(f"mcunet_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.depthwise(network.conv(image, 16, 3, 2, "RELU6"), 3, 1, "RELU6")
    x = network.conv(x, 8, 1)
    for channels, first, blocks in STAGES_MCUNET:
        for number, (expansion, kernel) in enumerate(blocks):
            expanded = expansion * network.shape(x)[3]
            x = inverted(network, x, expanded, channels, kernel, 1 if number else first,
                         bool(number))
    return network.file((image,), (classifier(network, x),))


def inverted(network: Network, x: int, expanded: int, channels: int, kernel: int, stride: int,
             skip: bool) -> int:
    """An inverted residual block: to ``expanded`` channels, depthwise, to ``channels``."""
    inner = x if expanded == network.shape(x)[3] else network.conv(x, expanded, 1, 1, "RELU6")
    inner = network.conv(network.depthwise(inner, kernel, stride, "RELU6"), channels, 1)
    return network.add(x, inner) if skip else inner


def bottlenecks(network: Network, x: int) -> Iterator[int]:
    """The results of MobileNetV2's blocks, one after the other."""
    for expansion, channels, repeats, first in BOTTLENECKS:
        for repeat in range(repeats):
            x = inverted(network, x, expansion * network.shape(x)[3], channels, 3,
                         1 if repeat else first, bool(repeat))
            yield x


def _activated(network: Network, layer: str, swish: bool, x: int, *sizes: int) -> int:
    y: int = getattr(network, layer)(x, *sizes, activation="NONE" if swish else "RELU")
    return hard_swish(network, y) if swish else y


def _squeeze_excite(network: Network, x: int) -> int:
    depth = network.shape(x)[3]
    reduced = max(8, int(depth / 4 + 4) // 8 * 8)   # a multiple of 8, as the paper rounds widths
    sample = network.sample(x)
    mean = sample.mean() + network.rng.normal(0, 0.3 * sample.std(), len(sample))
    pooled = network.mean(x, (1, 2), mean)
    gate = network.conv(network.conv(pooled, reduced, 1, 1, "RELU"), depth, 1)
    return network.mul(x, hard_sigmoid(network, gate))

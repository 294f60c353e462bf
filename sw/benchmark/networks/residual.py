"""Networks for images of plain convolutions: residual blocks and fire modules, and one layer."""

from __future__ import annotations

from kaniwa.benchmark.networks.blocks import classifier
from kaniwa.benchmark.networks.network import Network, NetworkFile

__all__ = ["dense", "resnet18", "resnet50", "squeezenet"]

BLOCKS_50 = (3, 4, 6, 3)

# SqueezeNet 1.1: squeezed and expanded channels of each fire module, None for a pooling.
FIRES = ((16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256),
         (64, 256))


def dense(size: int, seed: int = 0) -> NetworkFile:
    """One fully connected layer, 1 x ``size`` by ``size`` x ``size``."""
    network = Network(f"dense_{size}", seed)
    x = network.input(1, size)
    return network.file((x,), (network.fully_connected(x, size),))


def resnet18(seed: int = 0, size: int = 224) -> NetworkFile:
    """ResNet-18 (He et al., arXiv:1512.03385, table 1); ``size`` is a multiple of 32."""
    network = Network(f"resnet18_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.max_pool(network.conv(image, 64, 7, 2, "RELU"), 3, 2)
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage and not block else 1
            channels = 64 << stage
            inner = network.conv(x, channels, 3, stride, "RELU")
            skip = x if stride == 1 else network.conv(x, channels, 1, stride)
            x = network.add(network.conv(inner, channels, 3), skip, "RELU")
    return network.file((image,), (classifier(network, x),))


def resnet50(seed: int = 0, size: int = 224) -> NetworkFile:
    """ResNet-50 (He et al., arXiv:1512.03385, table 1), strides in the convolutions of 3 x 3."""
    network = Network(f"resnet50_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.max_pool(network.conv(image, 64, 7, 2, "RELU"), 3, 2)
    for stage, blocks in enumerate(BLOCKS_50):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            channels = 64 << stage
            inner = network.conv(x, channels, 1, 1, "RELU")
            inner = network.conv(inner, channels, 3, stride, "RELU")
            skip = x if block else network.conv(x, 4 * channels, 1, stride)
            x = network.add(network.conv(inner, 4 * channels, 1), skip, "RELU")
    return network.file((image,), (classifier(network, x),))


def squeezenet(seed: int = 0, size: int = 224) -> NetworkFile:
    """SqueezeNet 1.1 (Iandola et al., arXiv:1602.07360): two expansions, concatenated."""
    network = Network(f"squeezenet_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.max_pool(network.conv(image, 64, 3, 2, "RELU"), 3, 2)
    for fire in FIRES:
        if fire is None:
            x = network.max_pool(x, 3, 2)
            continue
        squeezed, expanded = fire
        inner = network.conv(x, squeezed, 1, 1, "RELU")
        x = network.concatenation([network.conv(inner, expanded, kernel, 1, "RELU")
                                   for kernel in (1, 3)], 3)
    x = network.conv(x, 1000, 1, 1, "RELU")
    return network.file((image,), (network.global_average(x),))

"""Small networks whose maps have several readers, and moves between their convolutions."""

from kaniwa.benchmark.networks.network import Network
from kaniwa.graph import Graph

__all__ = ["faces", "pyramid"]


def faces(size: int = 64, seed: int = 2) -> Graph:
    """Blocks of a face detector: a skip over each, pooled and with more channels in every other."""
    network = Network(f"faces_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.conv(image, 16, 3, 1, "RELU")
    for channels, stride in ((16, 1), (24, 2), (24, 1), (32, 1)):
        inner = network.conv(network.depthwise(x, 3, stride), channels, 1)
        skip = network.max_pool(x, 2, 2) if stride == 2 else x
        if more := channels - network.shape(skip)[3]:
            skip = network.pad(skip, (0, 0), (0, 0), (0, 0), (0, more))
        x = network.add(inner, skip, "RELU")
    return network.file((image,), (network.conv(x, 4, 3, 2),)).graph


def pyramid(size: int = 48, seed: int = 3) -> Graph:
    """Two scales: the finer one is read again behind the coarser one, with it side by side and
    added to it; two outputs."""
    network = Network(f"pyramid_{size}", seed)
    image = network.input(1, size, size, 3)
    fine = network.conv(network.conv(image, 24, 3, 1, "RELU"), 16, 3, 1, "RELU")
    coarse = network.conv(network.depthwise(fine, 3, 2, "RELU6"), 16, 1)
    up = network.resize(network.conv(coarse, 16, 1), 2)
    total = network.conv(network.add(up, fine, "RELU"), 8, 3, 1)
    joined = network.concatenation((network.rescaled(total, fine), fine), 3)
    heads = network.conv(network.depthwise(joined, 3), 4, 1), network.conv(coarse, 4, 1)
    return network.file((image,), heads).graph

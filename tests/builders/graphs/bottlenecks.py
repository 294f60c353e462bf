"""A small network of bottlenecks, whose maps are large beside its weights."""

from kaniwa.benchmark.networks.network import Network
from kaniwa.graph import Graph

__all__ = ["bottlenecks"]


def bottlenecks(size: int = 40, seed: int = 1) -> Graph:
    """A convolution, and three bottlenecks of which one adds its input, for ``size`` x ``size``."""
    network = Network(f"bottlenecks_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.conv(image, 16, 3, 1, "RELU6")
    for channels, stride in ((8, 1), (12, 2), (12, 1)):
        inner = network.conv(x, 48, 1, 1, "RELU6")
        inner = network.conv(network.depthwise(inner, 3, stride, "RELU6"), channels, 1)
        x = network.add(x, inner) if (channels, stride) == (12, 1) else inner
    return network.file((image,), (network.fully_connected(network.global_average(x), 10),)).graph

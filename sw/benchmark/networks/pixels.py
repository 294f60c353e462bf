"""Networks whose results are of places in the image: masks, boxes, faces, joints."""

from __future__ import annotations

from kaniwa.benchmark.networks.blocks import sigmoid
from kaniwa.benchmark.networks.mobile import bottlenecks
from kaniwa.benchmark.networks.network import Network, NetworkFile

__all__ = ["blazeface", "pose", "ssdlite_head", "unet"]

BLAZE = ((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1),
         (88, 1))
CLASSES = 91      # of COCO, with the background
EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))   # squeezed and output channels
JOINTS = 17


def unet(seed: int = 0, size: int = 128, channels: int = 16) -> NetworkFile:
    """U-Net (Ronneberger et al., arXiv:1505.04597, figure 1), of ``channels`` in place of 64.

    Padding is SAME. The two lower levels go up by transposed convolutions, as in the paper, the
    two upper ones by linear interpolation and a convolution. ``size`` is a multiple of 16.
    """
    network = Network(f"unet_{size}", seed)
    image = network.input(1, size, size, 3)
    x, levels = image, []
    for level in range(4):
        x = _twice(network, x, channels << level)
        levels.append(x)
        x = network.max_pool(x, 2, 2)
    x = _twice(network, x, channels << 4)
    for level in reversed(range(4)):
        if level > 1:
            x = network.transpose_conv(x, channels << level, 2, 2)
        else:
            x = network.conv(network.resize(x, 2), channels << level, 3)
        x = _twice(network, network.concatenation([levels[level], x], 3), channels << level)
    return network.file((image,), (sigmoid(network, network.conv(x, 1, 1)),))


def ssdlite_head(seed: int = 0, size: int = 320) -> NetworkFile:
    """The part of SSDLite behind MobileNetV2 (Sandler et al., arXiv:1801.04381, section 6.2).

    Its inputs are the two feature maps of the backbone for an image of ``size``; its results the
    boxes and the scores of 91 classes at all anchors of six maps, before the choice of the best.
    """
    network = Network(f"ssdlite_head_{size}", seed)
    sides = [-(-size // 16), -(-size // 32)]
    inputs = [network.input(1, side, side, depth)
              for side, depth in zip(sides, (576, 1280), strict=True)]
    maps = [*inputs]
    for squeezed, depth in EXTRAS:
        inner = network.conv(maps[-1], squeezed, 1, 1, "RELU6")
        maps.append(network.conv(network.depthwise(inner, 3, 2, "RELU6"), depth, 1, 1, "RELU6"))
    boxes: list[tuple[int, int, int]] = []    # tensor, boxes, values of a box
    scores: list[tuple[int, int, int]] = []
    for number, x in enumerate(maps):
        anchors = 6 if number else 3
        for found, each in ((boxes, 4), (scores, CLASSES)):
            y = network.conv(network.depthwise(x, 3, 1, "RELU6"), anchors * each, 1)
            count = anchors * network.shape(y)[1] * network.shape(y)[2]
            found.append((y, count, each))
    outputs = []
    for found in (boxes, scores):
        parts = [network.reshape(network.rescaled(y, found[0][0]), (1, count, each))
                 for y, count, each in found]
        outputs.append(network.concatenation(parts, 1))
    return network.file(inputs, (outputs[0], sigmoid(network, outputs[1])))


def blazeface(seed: int = 0, size: int = 128) -> NetworkFile:
    """BlazeFace for front cameras (Bazarevsky et al., arXiv:1907.05047), as it was released.

    Kernels of 3 x 3, and widths that grow by 4 to 8 channels a block, most no multiples of 8.
    A skip connection has channels of zeros where the block has more. ``size``: a multiple of 16.
    """
    network = Network(f"blazeface_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.conv(image, 24, 5, 2, "RELU")
    for channels, stride in BLAZE:
        x = _blaze(network, x, channels, stride)
    small = x
    for stride in (2, 1, 1, 1, 1):
        small = _blaze(network, small, 96, stride)
    outputs = []
    for parts in ((2, 6), (32, 96)):
        heads = [network.conv(y, depth, 1) for y, depth in zip((x, small), parts, strict=True)]
        each = parts[0] // 2
        heads = [network.rescaled(head, heads[0]) for head in heads]
        flat = [network.reshape(head, (1, _elements(network, head) // each, each))
                for head in heads]
        outputs.append(network.concatenation(flat, 1))
    return network.file((image,), outputs)


def pose(seed: int = 0, size: int = 192) -> NetworkFile:
    """A pose network: MobileNetV2 (arXiv:1801.04381) under a feature pyramid (Lin et al.,
    arXiv:1612.03144) and four heads on its finest map, as MoveNet's model card describes it.

    The pyramid has 64, 32 and 24 channels at strides of 16, 8 and 4; the heads give centers,
    joints, their displacements and offsets. ``size`` is a multiple of 32.
    """
    network = Network(f"pose_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.conv(image, 32, 3, 2, "RELU6")
    levels = {network.shape(each)[1]: each for each in bottlenecks(network, x)}   # the last of each
    sides = sorted(levels)
    x = network.conv(levels[sides[0]], 64, 1)
    for side, depth in zip(sides[1:4], (64, 32, 24), strict=True):
        lateral = network.conv(levels[side], network.shape(x)[3], 1)
        x = network.add(network.resize(x, 2), lateral)
        x = network.conv(network.depthwise(x, 3), depth, 1, 1, "RELU")
    outputs = []
    for channels in (1, JOINTS, 2 * JOINTS, 2 * JOINTS):
        y = network.conv(network.conv(x, 96, 3, 1, "RELU"), channels, 1)
        outputs.append(sigmoid(network, y) if channels <= JOINTS else y)
    return network.file((image,), outputs)


def _twice(network: Network, x: int, channels: int) -> int:
    return network.conv(network.conv(x, channels, 3, 1, "RELU"), channels, 3, 1, "RELU")


def _blaze(network: Network, x: int, channels: int, stride: int) -> int:
    inner = network.conv(network.depthwise(x, 3, stride), channels, 1)
    skip = network.max_pool(x, 2, 2) if stride == 2 else x
    if more := channels - network.shape(skip)[3]:
        skip = network.pad(skip, (0, 0), (0, 0), (0, 0), (0, more))
    return network.add(inner, skip, "RELU")


def _elements(network: Network, x: int) -> int:
    _, height, width, depth = network.shape(x)
    return height * width * depth

"""Random quantised ONNX models of one operator: those that exporters write less often."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from builders.files.onnx_models import OnnxBuilder

__all__ = ["MORE_DRAWS", "suppression"]


def transposed_convolution(b: OnnxBuilder) -> str:
    rank, groups = int(b.rng.integers(1, 3)), int(b.rng.choice([1, 1, 2, 3]))
    depth, outputs = int(b.rng.integers(1, 4)), int(b.rng.integers(1, 4))
    kernel = [int(k) for k in b.rng.integers(1, 5, rank)]
    strides = [int(s) for s in b.rng.integers(1, 4, rank)]
    scale = b.scale()
    sizes = [int(n) for n in b.rng.integers(3, 7, rank)]
    x = b.activation((int(b.rng.integers(1, 3)), groups * depth, *sizes), scale)
    w = b.weights((groups * depth, outputs, *kernel), axis=1 if b.rng.random() < 0.5 else None)
    operands = [x, w]
    if b.rng.random() < 0.6:
        bias = b.rng.normal(0, 0.5, groups * outputs).astype(np.float32)
        operands.append(b.constant(bias))
    options: dict[str, object] = {"group": groups, "strides": strides}
    if b.rng.random() < 0.5:
        options["dilations"] = [int(d) for d in b.rng.integers(1, 3, rank)]
    choice = b.rng.random()
    if choice < 0.5:
        options["pads"] = [int(b.rng.integers(0, (k + 1) // 2)) for k in (*kernel, *kernel)]
    elif choice < 0.7 and all(k >= s for k, s in zip(kernel, strides, strict=True)):
        options["auto_pad"] = str(b.rng.choice(["SAME_UPPER", "SAME_LOWER"]))
        options.pop("dilations", None)
    if b.rng.random() < 0.3:
        options["output_padding"] = [int(b.rng.integers(0, s)) for s in strides]
    y = b.node("ConvTranspose", operands, **options)
    return b.node("Relu", [y]) if b.rng.random() < 0.4 else y


def extreme(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        shape = tuple(int(n) for n in b.rng.integers(1, 5, 4))
        scale = None if b.rng.random() < 0.5 else 0.05
        operands = [b.activation(shape, scale)]
        for _ in range(int(b.rng.integers(0, 3))):
            other = tuple(1 if b.rng.random() < 0.3 else n for n in shape)[int(b.rng.integers(3)):]
            operands.append(b.weights(other) if b.rng.random() < 0.2
                            else b.activation(other, scale))
        if b.rng.random() < 0.3:
            operands.append(b.constant(np.float32(b.rng.normal())))
        return b.node(kind, [str(o) for o in b.rng.permutation(operands)])

    return draw


def _axes(b: OnnxBuilder, rank: int) -> list[int]:
    return [int(a) for a in b.rng.permutation(rank)[:int(b.rng.integers(1, rank + 1))]]


def reduction(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        x = b.activation((2, 3, 4, 5))
        x = b.node("MaxPool", [x], kernel_shape=[1, 1]) if b.rng.random() < 0.5 else x
        keep = int(b.rng.integers(0, 2))
        if kind == "ReduceSum":
            axes = b.constant(np.array(_axes(b, 4)))
            return b.node(kind, [x, axes], keepdims=keep)
        return b.node(kind, [x], axes=_axes(b, 4), keepdims=keep)

    return draw


def position(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        x = b.activation((2, 3, 4, 9), 2.0)
        x = b.node("MaxPool", [x], kernel_shape=[1, 1]) if b.rng.random() < 0.5 else x
        y = b.node(kind, [x], axis=int(b.rng.integers(-4, 4)), keepdims=int(b.rng.integers(0, 2)),
                   select_last_index=int(b.rng.integers(0, 2)))
        return b.node("Cast", [y], to=1)

    return draw


def largest(b: OnnxBuilder) -> str:
    axis = int(b.rng.integers(-3, 3))
    x = b.activation((4, 5, 6), 1.0)
    parts = b.nodes_of("TopK", [x, b.constant(np.array([int(b.rng.integers(1, 5))]))], 2, axis=axis,
                       largest=int(b.rng.integers(0, 2)))
    return parts[0] if b.rng.random() < 0.5 else b.node("Cast", [parts[1]], to=1)


def blocks(b: OnnxBuilder) -> str:
    size = int(b.rng.integers(1, 4))
    x = b.activation((2, 3 * size**2, 4, 5))
    mode = str(b.rng.choice(["DCR", "CRD"]))
    return b.node("DepthToSpace", [x], blocksize=size, mode=mode)


def depths(b: OnnxBuilder) -> str:
    size = int(b.rng.integers(1, 4))
    return b.node("SpaceToDepth", [b.activation((2, 3, 4 * size, 5 * size))], blocksize=size)


def expand(b: OnnxBuilder) -> str:
    shape = tuple(1 if b.rng.random() < 0.5 else n for n in (3, 4, 5))
    x = b.activation(shape)
    x = b.node("Transpose", [x], perm=[2, 0, 1]) if b.rng.random() < 0.3 else x
    wanted = [int(n) for n in b.rng.choice([1, 4], int(b.rng.integers(1, 5)))]
    wanted[-1:] = [1]
    if shape == (1, 1, 1):
        wanted = [2, 3, 4]
    wanted = [1 if len(shape) >= len(wanted) - i and shape[i - len(wanted)] not in (1, n) else n
              for i, n in enumerate(wanted)]
    if x.startswith("v") and b.nodes[-1].op_type == "Transpose":
        wanted = [1]
    return b.node("Expand", [x, b.constant(np.array(wanted))])


def tile(b: OnnxBuilder) -> str:
    x = b.activation((1, 3, 4, 2))
    x = b.node("MaxPool", [x], kernel_shape=[1, 1]) if b.rng.random() < 0.5 else x
    return b.node("Tile", [x, b.constant(b.rng.integers(1, 4, 4))])


def _normal(b: OnnxBuilder, *shape: int) -> str:
    return b.constant(b.rng.normal(0, 1, shape).astype(np.float32))


def batch_normalization(b: OnnxBuilder) -> str:
    shape = tuple(int(n) for n in b.rng.integers(1, 6, int(b.rng.integers(2, 5))))
    variance = b.constant(b.rng.uniform(0.1, 4, shape[1]).astype(np.float32))
    gain = b.rng.normal(0, 1, shape[1]) * (b.rng.random(shape[1]) < 0.9)    # some are 0
    constants = [b.constant(gain.astype(np.float32)), *(_normal(b, shape[1]) for _ in range(2))]
    return b.node("BatchNormalization", [b.activation(shape), *constants, variance],
                  epsilon=float(b.rng.choice([1e-5, 1e-2])))


def group_normalization(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        groups, each = (int(n) for n in b.rng.integers(1, 4, 2))
        shape = (2, groups * each, *(int(n) for n in b.rng.integers(3, 6,
                                                                   int(b.rng.integers(1, 3)))))
        count, options = groups * each, {"epsilon": float(b.rng.choice([1e-5, 1e-2]))}
        if kind == "GroupNormalization":
            b.opset = int(b.rng.choice([18, 21]))
            count = groups if b.opset == 18 else count
            options["num_groups"] = groups
        return b.node(kind, [b.activation(shape), _normal(b, count), _normal(b, count)],
                      **options)

    return draw


def root_normalization(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        shape = (2, *(int(n) for n in b.rng.integers(2, 30, 2)))
        x = b.activation(shape)
        if kind == "LpNormalization":
            return b.node(kind, [x], axis=int(b.rng.integers(-2, 3)), p=2)
        if kind == "RMSNormalization":
            b.opset = 23
        gain = b.weights(shape[-1:]) if b.rng.random() < 0.5 else _normal(b, shape[-1])
        return b.node(kind, [x, gain], axis=-1, epsilon=float(b.rng.choice([1e-5, 1e-2])))

    return draw


def slopes(b: OnnxBuilder) -> str:
    x = b.activation((2, 3, 4, 5))
    shape = ((3, 1, 1), (5,), (1, 3, 4, 1))[int(b.rng.integers(3))]
    return b.node("PRelu", [x, b.weights(shape) if b.rng.random() < 0.5 else _normal(b, *shape)])


def pad(b: OnnxBuilder) -> str:
    x = b.activation((2, 3, 4, 5))
    x = b.node("MaxPool", [x], kernel_shape=[1, 1]) if b.rng.random() < 0.5 else x
    b.opset = 19
    mode = str(b.rng.choice(["constant", "reflect", "edge", "wrap"]))
    amounts = b.rng.integers(-1 if mode == "constant" else 0, 3, 8)
    amounts[[0, 4]] = np.minimum(amounts[[0, 4]], 1)      # of two, which reflect only one
    operands = [x, b.constant(np.array(amounts))]
    if mode == "constant":
        operands.append(b.constant(np.float32(b.rng.choice([0, 1.5, -20]))))
    return b.node("Pad", operands, mode=mode)


def resize(b: OnnxBuilder) -> str:
    mode = str(b.rng.choice(["nearest", "linear", "linear", "cubic"]))
    x = b.activation((1, 2, int(b.rng.integers(2, 6)), int(b.rng.integers(2, 6))))
    b.opset = 19
    coordinates = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                   "asymmetric"] + ["tf_crop_and_resize"] * (mode == "linear")
    options: dict[str, object] = {"mode": mode, "coordinate_transformation_mode": str(
        b.rng.choice(coordinates))}
    region = ""
    if mode == "nearest":
        options["nearest_mode"] = str(b.rng.choice(
            ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    if mode == "cubic":
        options.update(cubic_coeff_a=float(b.rng.choice([-0.75, -0.5])),
                       exclude_outside=int(b.rng.integers(0, 2)))
    if options["coordinate_transformation_mode"] == "tf_crop_and_resize":
        options["extrapolation_value"] = 1.5
        region = b.constant(np.float32([0, 0, 0.1, -0.2, 1, 1, 0.8, 1.3]))
    if b.rng.random() < 0.5:
        sizes = b.constant(np.array([1, 2, *b.rng.integers(1, 9, 2)]))
        return b.node("Resize", [x, region, "", sizes], **options)
    scales = b.constant(np.float32([1, 1, *b.rng.choice([0.5, 0.6, 1, 1.5, 2, 3.3], 2)]))
    return b.node("Resize", [x, region, scales], **options)


def global_lp_pool(b: OnnxBuilder) -> str:
    return b.node("GlobalLpPool", [b.activation((1, 3, 4, 5))], p=int(b.rng.integers(1, 4)))


def lp_pool(b: OnnxBuilder) -> str:
    b.opset = 18
    return b.node("LpPool", [b.activation((1, 3, 7, 8))], kernel_shape=[2, 3],
                  strides=[int(s) for s in b.rng.integers(1, 3, 2)],
                  pads=[int(p) for p in b.rng.integers(0, 2, 4)], p=int(b.rng.integers(1, 4)))


def einsum(b: OnnxBuilder) -> str:
    equation, *shapes = ((("bhqd,bhkd->bhqk"), (1, 2, 3, 4), (1, 2, 5, 4)),
                         ("ij,jk", (3, 4), (4, 5)), ("...ij->...ji", (2, 3, 4)),
                         ("bij,ij->b", (2, 3, 4), (3, 4)), ("ii->i", (4, 4)),
                         ("...a,ab->...b", (2, 3, 4), (4, 5)))[int(b.rng.integers(6))]
    operands = [b.activation(s) for s in shapes[:1]]
    operands += [b.activation(s) if b.rng.random() < 0.5 else b.weights(s) for s in shapes[1:]]
    return b.node("Einsum", operands, equation=str(equation))


def suppression(b: OnnxBuilder, overlap: float = 1.0) -> str:
    """The rows of boxes of two classes, as many as there may be unless they overlap."""
    corners = b.rng.uniform(0, 3, (1, 9, 2))
    boxes = np.concatenate([corners, corners + b.rng.uniform(3, 6, (1, 9, 2))], axis=-1)
    scores = b.activation((1, 2, 9), 0.05)
    return b.node("NonMaxSuppression", [
        b.constant(boxes.astype(np.float32)), scores, b.constant(np.array([4])),
        b.constant(np.float32([overlap])), b.constant(np.float32([-20]))])


def choice(b: OnnxBuilder) -> str:
    """By a constant between a value and a number, which may hide it; or what is no number."""
    shape = tuple(int(n) for n in b.rng.integers(1, 6, int(b.rng.integers(1, 5))))
    x = b.activation(shape, None if b.rng.random() < 0.5 else 0.05)
    if b.rng.random() < 0.3:
        x = b.node("Softmax", [x]) if b.rng.random() < 0.5 else x
        test = b.node(str(b.rng.choice(["IsNaN", "IsInf"])), [x])
        return b.node("Where", [test, b.constant(np.float32(0)), x])
    if b.rng.random() < 0.3:
        x = b.node("Transpose", [x])
        shape = shape[::-1]
    of_condition = tuple(1 if b.rng.random() < 0.3 else n for n in shape)[int(b.rng.integers(2)):]
    condition = b.constant(b.rng.random(of_condition) < b.rng.choice([0.3, 0.7, 1.1]))
    number = b.constant(np.float32(b.rng.choice([-np.inf, -1e9, 1e9, b.rng.normal()])))
    values = [x, number] if b.rng.random() < 0.5 else [number, x]
    return b.node("Where", [condition, *values])


def every_row(b: OnnxBuilder) -> str:
    return b.node("Cast", [suppression(b)], to=1)


MORE_DRAWS: dict[str, Callable[[OnnxBuilder], str]] = {
    "ConvTranspose": transposed_convolution, "Max": extreme("Max"), "Min": extreme("Min"),
    **{kind: reduction(kind) for kind in ("ReduceMax", "ReduceMin", "ReduceSum")},
    "ArgMax": position("ArgMax"), "ArgMin": position("ArgMin"), "TopK": largest,
    "DepthToSpace": blocks, "SpaceToDepth": depths, "Expand": expand, "Tile": tile,
    "BatchNormalization": batch_normalization, "slopes": slopes, "Pad": pad,
    "Resize": resize, "LpPool": lp_pool,
    "GlobalLpPool": global_lp_pool, "Einsum": einsum,
    "NonMaxSuppression": every_row, "Where": choice,
    **{kind: root_normalization(kind)
       for kind in ("RMSNormalization", "SimplifiedLayerNormalization", "LpNormalization")},
    **{kind: group_normalization(kind)
       for kind in ("InstanceNormalization", "GroupNormalization")},
}

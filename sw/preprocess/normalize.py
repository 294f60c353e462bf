"""The usual normalizations of pixels, by name, and which of them a tensor's quantization implies.

All are computed in float64 and rounded once, when the result is quantized; a framework that does
it in float32 may differ by a step where a value is a tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kaniwa.data.inputs import quantize
from kaniwa.errors import InputError

__all__ = ["Normalization", "NORMALIZATIONS", "BYTES", "default_normalization", "normalize"]

BYTES = "bytes"      # not a normalization of real values: the bytes are the tensor's integers


@dataclass(frozen=True)
class Normalization:
    """``real = (pixel / divisor - mean) / deviation``, mean and deviation for each channel (RGB).

    With ``bgr`` the channels are then in the order blue, green, red.
    """

    divisor: float
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    bgr: bool = False

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Float64 of uint8 ``pixels`` [height, width, channels], of the same shape."""
        real = (pixels / self.divisor - np.array(self.mean)) / np.array(self.deviation)
        return real[:, :, ::-1] if self.bgr else real

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest real value of a pixel."""
        ends = self.apply(np.array([[[0] * len(self.mean)], [[255] * len(self.mean)]], np.uint8))
        return float(ends.min()), float(ends.max())


# Sources: 0..1 is torchvision's ToTensor and Keras' Rescaling(1/255); -1..1, caffe and imagenet
# are the modes tf, caffe and torch of Keras' preprocess_input; mean128 is what the quantized
# MobileNets of TensorFlow 1 take (mean 128, deviation 128).
NORMALIZATIONS = {
    "0..255": Normalization(1.0),
    "0..1": Normalization(255.0),
    "-1..1": Normalization(127.5, (1.0,)),
    "mean128": Normalization(128.0, (1.0,)),
    "imagenet": Normalization(255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": Normalization(1.0, (123.68, 116.779, 103.939), (1.0,) * 3, bgr=True),
}


def default_normalization(tensor: Any) -> str:
    """The normalization whose range is that of ``tensor``'s quantization, to a step at each end.

    Where several are, the nearest. Raises InputError where none is, the tensor has no scale, or
    is symmetric: its range is then the same for pixels that are never negative.
    """
    choices = f"give --normalize: {', '.join(NORMALIZATIONS)} or {BYTES}"
    if tensor.dtype == "float32" or tensor.scale is None:
        raise InputError(f"input '{tensor.name}' is {tensor.dtype} without a quantization that "
                         f"would tell how pixels are normalized: {choices}")
    limits = np.iinfo(tensor.dtype)
    if tensor.zero_point == 0 and limits.min < 0:
        raise InputError(f"input '{tensor.name}' is quantized symmetrically, which does not tell "
                         f"how pixels are normalized: {choices}")
    ends = [(int(q) - tensor.zero_point) * tensor.scale for q in (limits.min, limits.max)]
    distances = {name: np.abs(np.array(known.range) - ends)
                 for name, known in NORMALIZATIONS.items()}
    name = min(distances, key=lambda name: float(distances[name].sum()))
    # A step of float32 is allowed for beside that of the tensor: scales are stored in float32.
    if (distances[name] > tensor.scale * (1 + 1e-6)).any():
        raise InputError(f"input '{tensor.name}' has the range {ends[0]:.4g}..{ends[1]:.4g}, which "
                         f"is none of the usual: {choices}")
    return name


def normalize(pixels: np.ndarray, tensor: Any, name: str | None = None) -> np.ndarray:
    """uint8 ``pixels`` [height, width, channels] as ``tensor`` takes them: same shape, its dtype.

    ``name`` is one of NORMALIZATIONS, whose real values are quantized with the tensor's scale as
    LiteRT's QUANTIZE does; or ``bytes``: the integer is the byte for a uint8 tensor, the byte less
    128 for an int8 one; None is ``default_normalization``. Raises InputError for an unknown name
    or one that does not fit the tensor.
    """
    name = default_normalization(tensor) if name is None else name
    if name == BYTES:
        if tensor.dtype not in ("int8", "uint8"):
            raise InputError(f"input '{tensor.name}' is {tensor.dtype}: normalization 'bytes' is "
                             "for int8 and uint8")
        shift = np.uint8(128 if tensor.dtype == "int8" else 0)
        return (pixels ^ shift).view(tensor.dtype)
    if name not in NORMALIZATIONS:
        raise InputError(f"no normalization '{name}': give one of {', '.join(NORMALIZATIONS)} or "
                         f"{BYTES}")
    known = NORMALIZATIONS[name]
    if len(known.mean) > 1 and pixels.shape[2] != len(known.mean):
        raise InputError(f"input '{tensor.name}' has {pixels.shape[2]} channel: normalization "
                         f"'{name}' is for {len(known.mean)}")
    return quantize(known.apply(pixels), tensor)

"""TFLite's rules for output sizes and padding of windowed operators (``kernels/padding.h``)."""

from __future__ import annotations

__all__ = ["extent", "output_size", "explicit_padding"]


def extent(kernel: int, dilation: int) -> int:
    """The number of input positions that a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def output_size(padding: str, size: int, span: int, stride: int) -> int:
    """The number of output positions; zero or less where the kernel does not fit (VALID)."""
    if padding == "SAME":
        return -(-size // stride)
    return (size + stride - span) // stride


def explicit_padding(padding: str, size: int, span: int, stride: int) -> tuple[int, int]:
    """(before, after), such that the outputs are exactly covered; the odd one goes after."""
    needed = (output_size(padding, size, span, stride) - 1) * stride + span - size
    total = max(needed, 0)
    return total // 2, total - total // 2

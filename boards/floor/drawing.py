"""The floor as paths of an SVG: one for each block, whose sites are merged to rectangles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from kaniwa.boards.floor.sites import TILE, Box

__all__ = ["label_place", "merge", "path_data", "polyline"]


def merge(boxes: Iterable[Box]) -> list[Box]:
    """Few rectangles for ``boxes``: neighbours below one another, then those side by side."""
    down = _merge(boxes, lambda box: (box.x, box.width, box.y), _below)
    return _merge(down, lambda box: (box.y, box.height, box.x), _beside)


def _merge(boxes: Iterable[Box], key: Callable[[Box], tuple[int, int, int]],
           join: Callable[[Box, Box], Box | None]) -> list[Box]:
    merged: list[Box] = []
    for box in sorted(set(boxes), key=key):
        joined = join(merged[-1], box) if merged else None
        if joined is None:
            merged.append(box)
        else:
            merged[-1] = joined
    return merged


def _below(upper: Box, lower: Box) -> Box | None:
    if (upper.x, upper.width, upper.y + upper.height) != (lower.x, lower.width, lower.y):
        return None
    return Box(upper.x, upper.y, upper.width, upper.height + lower.height)


def _beside(left: Box, right: Box) -> Box | None:
    if (left.y, left.height, left.x + left.width) != (right.y, right.height, right.x):
        return None
    return Box(left.x, left.y, left.width + right.width, left.height)


def path_data(boxes: Iterable[Box]) -> str:
    """``d`` of a path that fills ``boxes``; each move counts from the one before."""
    parts, x, y = [], 0, 0
    for box in boxes:
        parts.append(f"m{box.x - x} {box.y - y}h{box.width}v{box.height}h{-box.width}z")
        x, y = box.x, box.y
    return "".join(parts)


def label_place(boxes: Sequence[Box]) -> tuple[int, int]:
    """The middle of the tile with most of a block, of those near it: where its number stands."""
    area: defaultdict[tuple[int, int], int] = defaultdict(int)
    for box in boxes:
        area[(box.x + box.width // 2) // TILE, (box.y + box.height // 2) // TILE] += (
            box.width * box.height)
    near: defaultdict[tuple[int, int], int] = defaultdict(int)
    for (x, y), size in area.items():
        for across in (-1, 0, 1):
            for down in (-1, 0, 1):
                near[x + across, y + down] += size
    x, y = max(area, key=lambda tile: (near[tile], area[tile], tile))
    return x * TILE + TILE // 2, y * TILE + TILE // 2


def polyline(points: Iterable[tuple[int, int]]) -> str:
    """``points`` of a polyline, without those that repeat the one before."""
    kept: list[tuple[int, int]] = []
    for point in points:
        if not kept or kept[-1] != point:
            kept.append(point)
    return " ".join(f"{x},{y}" for x, y in kept)

"""Bytes of a program's constants by cause: weights, parameters, tables, and what holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.formats import FORMATS, HEADER, Buffer, bytes_behind
from kaniwa.isa.weight_stream import decode_headers
from kaniwa.program.program import Program
from kaniwa.report.accesses import Access, image_reader

__all__ = ["CAUSES", "weight_bytes"]

# The causes in the order in which they are shown; they add up to the bytes of all constants.
CAUSES = ("weights", "steps", "parameters", "tables", "headers", "padding", "programs", "other")
BUFFERS = {Buffer.WEIGHTS: "weights", Buffer.CODEBOOK: "weights", Buffer.RECORDS: "parameters",
           Buffer.TABLES: "tables", Buffer.STEPS: "steps"}


def weight_bytes(program: Program, found: Sequence[Access]) -> tuple[Counter[str], list[Counter]]:
    """Bytes by cause of all constants, and of each layer's own.

    A constant that several layers read counts for the first one. "programs" are those of units
    beside the array, with their descriptors; "other" are constants that no instruction's fields
    point to.
    """
    read, seen = image_reader(program), set[int]()
    layers = [Counter[str]() for _ in program.layers]
    for access in found:
        if access.kind == "program":
            if access.address not in seen:
                seen.add(access.address)
                layers[access.layer]["programs"] += access.span
        elif access.kind in ("weights", "parameters"):
            layers[access.layer].update(_stream(
                access.address, read(access.address, access.span), program.config, seen.add,
                seen.__contains__))
    total = Counter[str]()
    for layer in layers:
        total.update(layer)
    total["other"] = program.weight_bytes - sum(total.values())
    return total, layers


def _stream(address: int, data: bytes, config: AcceleratorConfig, add: Callable[[int], None],
            is_known: Callable[[int], bool]) -> Counter[str]:
    """Bytes by cause of the blocks of a stream at ``address`` that were not counted yet."""
    counts = Counter[str]()
    for cause, at, sizes in _blocks(data, config):
        if not is_known(address + at):
            add(address + at)
            for name, size in zip((cause, "headers", "padding"), sizes, strict=True):
                counts[name] += size
    return counts


def _blocks(data: bytes, config: AcceleratorConfig) -> Iterator[
        tuple[str, int, tuple[int, int, int]]]:
    """The cause and the place of each block, and its bytes of payload, header and padding."""
    size = config.read_bytes
    for header, place in decode_headers(data, config):
        payload, used = len(place), HEADER.size + bytes_behind(header)
        yield BUFFERS[FORMATS[header["format"]].buffer], place.start - size, (
            payload, used, size - used + -payload % size)

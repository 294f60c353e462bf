"""Which patterns of pruning pay on a target, and what each saves: data for whoever prunes.

The rows say what the compiler and the gateware of this version do. They follow the config: a target
whose weight decoder has no packed formats saves nothing by zeros and small weights.

A weight decoder gives ``decoded_bytes`` weights a cycle however few bits they have. So fewer bits
make an inference faster only where memory is slower than that: on chip with weight_chunks = 2. A
word of zeros takes it one cycle, less than any other word. With step lists it is left out of the
array's loops, too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kaniwa.compression.arguments import target_config
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import InputError
from kaniwa.isa.formats import HEADER, MAP_WORDS, RECORD_BYTES, has_maps
from kaniwa.isa.modes import MODES
from kaniwa.isa.step_lists import STEP_BITS

__all__ = ["ALWAYS", "NEVER", "OUTSIDE", "WAITING", "Pattern", "pattern", "patterns"]

ALWAYS = "always"
OUTSIDE = "with weights in outside memory"
WAITING = "where a layer waits for its weights"
NEVER = "never"
RAW_ALONE = "This target's weight decoder takes raw weights alone: nothing is saved."


@dataclass(frozen=True)
class Pattern:
    """A pattern of weights, and what the target makes of it.

    ``outputs``, ``inputs``: the block's size in output channels and in neighbors of the reduction
    (see ``masks.block_mask``). ``saves_bytes``: whether constants get smaller, by ``bytes_each``
    for one block. ``saves_cycles``: ALWAYS, WAITING, OUTSIDE or NEVER. ``made_by`` names the
    function of ``kaniwa.compression`` that prunes so. ``condition``: when it pays, in a sentence.
    """

    name: str
    about: str
    outputs: int
    inputs: int
    saves_bytes: bool
    bytes_each: int
    saves_cycles: str
    made_by: str
    condition: str

    def facts(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def patterns(config: AcceleratorConfig) -> tuple[Pattern, ...]:
    """The patterns on the target ``config``, those that save most first.

    Raises InputError for what is no config.
    """
    target_config(config)
    return (*_channels(config), _zero_words(config), _few_bits(config), _shared(config),
            _n_of_m(config), _single())


def pattern(config: AcceleratorConfig, name: str) -> Pattern:
    """The row of ``name``. Raises InputError for a name that there is not."""
    rows = {row.name: row for row in patterns(config)}
    if name not in rows:
        raise InputError(f"pattern: expected one of {', '.join(rows)}, found {name!r}")
    return rows[name]


def _channels(config: AcceleratorConfig) -> tuple[Pattern, Pattern]:
    lanes, width = config.out_lanes, config.dot_width

    def removed(name: str, about: str, condition: str) -> Pattern:
        return Pattern(name, f"{about}, removed from the model", lanes, width, True,
                       lanes * width, ALWAYS, "masks.kept_channels", condition)

    return (
        removed("output_channels", f"{lanes} output channels of a layer",
                f"A layer takes its blocks of {lanes} output channels one after the other: cycles "
                f"and bytes fall where a whole block goes. Bytes are those of {width} weights of "
                f"each channel; beside them it has up to {RECORD_BYTES} bytes of parameters."),
        removed("input_channels", f"{width} neighbors of the reduction",
                f"Channels that the layer before no longer has. A row of a kernel, columns times "
                f"input channels, is taken in steps of {width}: cycles and bytes fall where a "
                f"whole step goes."))


def _zero_words(config: AcceleratorConfig) -> Pattern:
    packed, listed = "packed" in config.weight_formats, config.step_entries > 0
    where = (f"a bit for each of up to {MAP_WORDS} in the header of their block"
             if has_maps(config) else f"the {_header(config)} bytes of the header of their run")
    about = RAW_ALONE
    if listed:
        about = ("A word of zeros is no step of the array, and takes no memory. Each other one has "
                 f"{STEP_BITS // 8} bytes in a list, and each row of a kernel keeps a word.")
    elif packed:
        about = (f"Words of zeros take no memory but {where}, and a cycle of the weight decoder "
                 "each. The array multiplies the zeros all the same.")
    return Pattern(
        "zero_words", "weights of 0 for all that the array multiplies in a cycle",
        config.out_lanes, config.dot_width, packed or listed,
        (packed or listed) * config.tile_bytes,
        ALWAYS if listed else WAITING if packed else NEVER, "masks.block_mask", about)


def _few_bits(config: AcceleratorConfig) -> Pattern:
    packed, size = "packed" in config.weight_formats, config.plane_weights
    about = (f"A chunk of {size} weights takes as many bits a weight as the largest "
             "one at its place in a run of words needs; bytes are those of one bit. A run costs "
             f"{_header(config)} bytes of header.")
    if "modes" in config.weight_formats:
        about = (f"A group of {size} weights takes as many bits a weight as its largest one needs, "
                 f"of {MODES} widths that a run of words has; bytes are those of one bit. A run "
                 f"costs {_header(config)} bytes of header, and a group 2 bits.")
    return Pattern(
        "few_bits", "weights of 1 to 7 bits, as int4 has",
        max(1, size // config.dot_width), min(size, config.dot_width), packed,
        packed * size // 8, _fewer_bits(config) if packed else NEVER,
        "pytorch.steps.Quantized", about if packed else RAW_ALONE)


def _header(config: AcceleratorConfig) -> int:
    """Bytes that a run of words has for its header."""
    return -(-HEADER.size // config.read_bytes) * config.read_bytes


def _fewer_bits(config: AcceleratorConfig) -> str:
    """Where fewer bits a weight save cycles."""
    return WAITING if config.weight_chunks > 1 else OUTSIDE


def _shared(config: AcceleratorConfig) -> Pattern:
    entries = config.codebook_entries
    bits = max(entries - 1, 0).bit_length()
    about = (f"A layer of one scale, and of up to {entries} different weights, 0 among them, has a "
             f"code of up to {bits} bits for each, and fewer where it is frequent. Bytes are those "
             f"that 8 bits take more. A codebook costs {entries} cycles of the weight decoder."
             if entries else "This target has no codebooks: give it codebook_entries.")
    return Pattern(
        "shared_weights", "few different weights in a layer, by k-means", 1, config.dot_width,
        entries > 0, config.dot_width * (8 - bits) // 8 if entries else 0,
        _fewer_bits(config) if entries else NEVER,
        "sharing.share_weights", about)


def _n_of_m(config: AcceleratorConfig) -> Pattern:
    return Pattern(
        "n_of_m", "n weights that are kept of m neighbors", 1, config.dot_width, False, 0, NEVER,
        "masks.n_of_m_mask", "The array has no multiplexers for it: zeros are stored and "
        "multiplied.")


def _single() -> Pattern:
    return Pattern(
        "single_weights", "weights of 0 anywhere", 1, 1, False, 0, NEVER, "masks.magnitude_mask",
        "A zero among other weights takes as many bits as they do.")

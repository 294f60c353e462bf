"""What goes from block to block of the sensor ports, and the widths of their registers."""

from amaranth.lib import data

from kaniwa.config import AcceleratorConfig

__all__ = ["frame_word_layout", "size_bits", "place_bits"]


def frame_word_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A word of write_bytes of a frame; bytes beside the frame are anything.

    ``last``: the frame is whole with it. ``bad``: the frame is void, and ``word`` is nothing.
    """
    return data.StructLayout({"word": 8 * config.write_bytes, "last": 1, "bad": 1})


def size_bits(config: AcceleratorConfig) -> int:
    """Width of an address or a length: both may be memory_bytes."""
    return config.memory_bytes.bit_length()


def place_bits(config: AcceleratorConfig, word_bytes: int) -> int:
    """Width of the number of a word of ``word_bytes`` in on-chip memory."""
    return max(1, (config.memory_bytes // word_bytes - 1).bit_length())

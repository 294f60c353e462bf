"""The ring of decoded weights between the weight decoder and the array."""

from amaranth import *

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import chunk_layout
from kaniwa.hw.parts.ring_memory import RingMemory

__all__ = ["WeightRing"]


class WeightRing(RingMemory):
    """A ``RingMemory`` of ring_words words, a weight for each multiplier, decoded_bytes at a time,
    or a whole word of zeros.

    ``read_data`` is 8 * tile_bytes bits: row 0's N bytes first.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__(unsigned(8 * config.decoded_bytes),
                         config.tile_bytes // config.decoded_bytes, config.ring_words,
                         unsigned(8 * config.tile_bytes), chunk_layout(config))

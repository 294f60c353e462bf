"""The ring of requantization parameters between the weight decoder and the requantizer."""

from amaranth.lib import data

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import parameter_layout
from kaniwa.hw.parts.ring_memory import RingMemory

__all__ = ["ParameterBuffer"]


class ParameterBuffer(RingMemory):
    """A ``RingMemory`` of parameter_words words, a record for each requantizer lane.

    ``i`` takes shared_records records a transfer, an array of the next ones of a word;
    ``read_data`` is an array of requant_lanes records.
    """

    def __init__(self, config: AcceleratorConfig):
        at_once, lanes = config.shared_records, config.requant_lanes
        super().__init__(data.ArrayLayout(parameter_layout(), at_once), lanes // at_once,
                         config.parameter_words, data.ArrayLayout(parameter_layout(), lanes))

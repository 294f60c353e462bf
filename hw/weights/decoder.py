"""Takes the weight stream apart into ring chunks, records, entries of tables, words of lists."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import chunk_layout, parameter_layout, read_port, unit_layout
from kaniwa.hw.results.elementwise import table_layout
from kaniwa.hw.weights.block_reader import BlockReader
from kaniwa.hw.weights.codebook import Codebook
from kaniwa.hw.weights.fetch import WeightFetch
from kaniwa.hw.weights.item_window import ItemWindow
from kaniwa.hw.weights.items import list_words
from kaniwa.hw.weights.record_output import RecordOutput

__all__ = ["WeightDecoder"]


class WeightDecoder(Component):
    """Reads and decodes the blocks of the weight stream, each item to the buffer it is for.

    Throughput: weight_chunks chunks of weights, a word of zeros, an entry of a table or of a
    codebook, a word of a step list, shared_records records of PARAMETERS_SHARED or own_records of
    PARAMETERS a cycle, less where read_bytes a cycle are not enough for them; a block costs one
    cycle more, two if it ends within a word, three if it is a table. A word becomes a chunk five
    cycles after its response.

    A table of instruction i waits until the cycle after post_done >= i - 1 (modulo 2^16). ``error``
    (an unknown format, or an argument that the format does not have) stops the unit until reset;
    ``idle`` then stays low. ``o_parameters`` is an array of shared_records records, the lowest
    lanes of a word first; records and entries leave in the order of the stream.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("weights", config))),
            "memory": Out(read_port(config)),
            "o_weights": Out(stream.Signature(chunk_layout(config))),
            "o_parameters": Out(stream.Signature(
                data.ArrayLayout(parameter_layout(), config.shared_records))),
            "o_table": Out(stream.Signature(table_layout())),
            **({"o_list": Out(list_words())} if config.step_entries else {}),
            "post_done": In(16),
            "error": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = WeightFetch(self._config)
        m.submodules.reader = reader = BlockReader(self._config)
        m.submodules.windows = windows = ItemWindow(self._config)
        m.submodules.output = output = RecordOutput(self._config)
        connect(m, flipped(self.i_instruction), fetch.i_instruction)
        connect(m, fetch.memory, flipped(self.memory))
        connect(m, fetch.o, reader.i)
        connect(m, reader.o, windows.i)
        connect(m, windows.o, output.i)
        weights = output.o_weights
        if self._config.codebook_entries:
            m.submodules.codebook = codebook = Codebook(self._config)
            connect(m, output.o_weights, codebook.i)
            m.d.comb += codebook.entry.eq(output.o_entry)
            weights = codebook.o
        connect(m, weights, flipped(self.o_weights))
        others = ["o_parameters", "o_table", *(["o_list"] if self._config.step_entries else [])]
        for name in others:
            connect(m, getattr(output, name), flipped(getattr(self, name)))
        idle = (fetch.idle & reader.idle & ~windows.o.valid & ~self.o_weights.valid
                & ~self.o_parameters.valid & ~self.o_table.valid)
        if self._config.step_entries:
            idle &= ~self.o_list.valid
        m.d.comb += [
            reader.post_done.eq(self.post_done),
            windows.block.eq(reader.block),
            output.block.eq(windows.o_block),
            self.error.eq(reader.error),
            self.idle.eq(idle),
        ]
        return m

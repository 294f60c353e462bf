"""Activations from device memory into the line buffer."""

from amaranth import *
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_lane_bits, line_position_bits, read_port, unit_layout
from kaniwa.hw.memory import READS_IN_FLIGHT
from kaniwa.hw.producer_watch import ProducerWatch, progress_ports

__all__ = ["LoadDma", "line_write_layout"]


def line_write_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A word of read_bytes for the line buffer; ``position`` is that of a lane."""
    return data.StructLayout({
        "position": unsigned(line_position_bits(config)),
        "data": unsigned(8 * config.read_bytes),
    })


class LoadDma(wiring.Component):
    """Load input rows as aligned words into the line buffer's ring, as far ahead as it has room.

    Throughput: one word a cycle, also from row to row; one idle cycle between instructions.
    Latency: 3 cycles from an instruction to its first request, 1 from a response to ``o``.
    A word is requested only if its end, for the last word of a row the end of the row's slot, is at
    most line_bytes past ``freed``. ``loaded`` is that end from the cycle after the word was in
    ``o``. ``dependency`` is 1 in the cycle after one in which a watermark held a request back.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        position = line_position_bits(config)
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("load"))),
            "memory": Out(read_port(config)),
            "o": Out(stream.Signature(line_write_layout(config), always_ready=True)),
            "freed": In(position),
            "loaded": Out(position),
            **progress_ports(),
            "dependency": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._config.read_bytes)  # address bits within a word
        lane = line_lane_bits(self._config)   # positions count lanes in here
        ring_lanes = self._config.line_bytes >> lane
        word_lanes = self._config.read_bytes >> lane
        position_bits = line_position_bits(self._config) - lane

        # The instruction. A row goes on to the word that holds its last byte.
        active = Signal()
        rows_after = Signal(16, reset_less=True)
        word = Signal(32 - low, reset_less=True)
        last_byte = Signal(32, reset_less=True)
        next_row = Signal(32, reset_less=True)
        pitch = Signal(24, reset_less=True)
        slot_lanes = Signal(16 - lane, reset_less=True)
        position = Signal(position_bits)
        slot_end = Signal(position_bits, reset_less=True)
        wait = Signal(16, reset_less=True)
        use_watermark = Signal(reset_less=True)

        # The next request, and where its word ends in memory and in the ring.
        pending = Signal()
        pending_word = Signal.like(word, reset_less=True)
        pending_last = Signal(low, reset_less=True)  # last byte of the word that the row needs
        pending_end = Signal.like(position, reset_less=True)
        leaves = Signal()

        row_end = word == last_byte[low:]
        end = Mux(row_end, slot_end, position + word_lanes)[:position_bits]
        with m.If(leaves):
            m.d.sync += pending.eq(0)
        with m.If(active & (~pending | leaves)):
            m.d.sync += [
                pending.eq(1),
                pending_word.eq(word),
                pending_last.eq(Mux(row_end, last_byte[:low], (1 << low) - 1)),
                pending_end.eq(end),
                position.eq(end),
                word.eq(word + 1),
            ]
            with m.If(row_end):
                m.d.sync += [
                    active.eq(rows_after != 0),
                    rows_after.eq(rows_after - 1),
                    word.eq(next_row[low:]),
                    next_row.eq(next_row + pitch),
                    last_byte.eq(last_byte + pitch),
                    slot_end.eq(slot_end + slot_lanes),
                ]

        # ``wait`` belongs to the pending request too, so an instruction begins when that is gone.
        new = self.i_instruction.payload
        m.d.comb += self.i_instruction.ready.eq(~active & (~pending | leaves))
        with m.If(self.i_instruction.valid & self.i_instruction.ready):
            m.d.sync += [
                active.eq(1),
                rows_after.eq(new.ifm_rows - 1),
                word.eq(new.ifm_address[low:]),
                last_byte.eq(new.ifm_address + new.ifm_row_bytes - 1),
                next_row.eq(new.ifm_address + new.ifm_pitch),
                pitch.eq(new.ifm_pitch),
                slot_lanes.eq(new.line_pitch[lane:]),
                slot_end.eq(position + new.line_pitch[lane:]),
                wait.eq(new.ifm_wait),
                use_watermark.eq(new.ifm_watermark),
            ]

        # The end of each word in flight, in lanes of the ring; the response is a cycle in ``o``
        # before it is used, so the buffered FIFO has it in time for the fastest memory.
        m.submodules.in_flight = in_flight = fifo.SyncFIFOBuffered(
            width=position_bits, depth=READS_IN_FLIGHT)

        # A request is pending two cycles after its instruction was accepted at the earliest.
        m.submodules.producer = producer = ProducerWatch()
        m.d.comb += [producer.wait.eq(wait), producer.retired.eq(self.retired),
                     producer.retire.eq(self.retire)]
        running = self.watermark_valid & use_watermark & producer.next
        allowed = (producer.done
                   | (running & (Cat(pending_last, pending_word) < self.watermark)))
        # ``freed`` may be ahead of what is loaded, by rows that a stride skips.
        room = Signal(signed(position_bits))
        request = self.memory.request
        m.d.comb += [
            room.eq(self.freed[lane:] + ring_lanes - pending_end),
            leaves.eq(pending & allowed & (room >= 0) & in_flight.w_rdy
                      & (~request.valid | request.ready)),
            in_flight.w_data.eq(pending_end),
            in_flight.w_en.eq(leaves),
        ]
        m.d.sync += self.dependency.eq(pending & ~allowed)
        with m.If(leaves):
            m.d.sync += [
                request.valid.eq(1),
                request.payload.eq(Cat(C(0, low), pending_word)),
            ]
        with m.Elif(request.ready):
            m.d.sync += request.valid.eq(0)

        loaded = Signal(position_bits)
        word_data = Signal(8 * self._config.read_bytes, reset_less=True)
        m.d.comb += [
            self.o.payload.position.eq(Cat(C(0, lane), loaded)),
            self.o.payload.data.eq(word_data),
            self.loaded.eq(Cat(C(0, lane), loaded)),
            in_flight.r_en.eq(self.o.valid),
            self.idle.eq(~active & ~pending & (in_flight.level == 0)),
        ]
        m.d.sync += [
            self.o.valid.eq(self.memory.response.valid),
            word_data.eq(self.memory.response.payload),
        ]
        with m.If(self.o.valid):
            m.d.sync += loaded.eq(in_flight.r_data)

        return m

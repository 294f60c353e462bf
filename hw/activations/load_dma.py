"""Activations from device memory into the line buffer."""

from amaranth import *
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_lane_bits, line_position_bits, read_port, unit_layout
from kaniwa.hw.memory.system import READS_IN_FLIGHT
from kaniwa.hw.parts.producer_watch import ProducerWatch
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.signatures import line_level, producer_progress

__all__ = ["LoadDma", "line_write_layout"]


def line_write_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A word of read_bytes for the line buffer; ``position`` is that of a lane."""
    return data.StructLayout({
        "position": unsigned(line_position_bits(config)),
        "data": unsigned(8 * config.read_bytes),
    })


class LoadDma(wiring.Component):
    """Load input rows as aligned words into the line buffer's ring, as far ahead as it has room.

    Throughput: one word a cycle, also from row to row; three idle cycles between instructions.
    Latency: 4 cycles from an instruction to its first request, 1 from a response to ``o``.
    A word is requested only if its end, for the last word of a row the end of the row's slot, is at
    most line_bytes past what ``freed`` was in the cycle before. ``loaded`` is that end from the
    cycle after the word was in ``o``. ``dependency`` is 1 in the cycle after one in which a
    watermark held a request back.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("load", config))),
            "memory": Out(read_port(config)),
            "o": Out(stream.Signature(line_write_layout(config), always_ready=True)),
            "level": In(line_level(config)),
            "progress": In(producer_progress()),
            "dependency": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._config.read_bytes)  # address bits within a word
        lane = line_lane_bits(self._config)   # positions count lanes in here
        word_lanes = self._config.read_bytes >> lane
        position_bits = line_position_bits(self._config) - lane

        # The instruction, with what is left of the row.
        new = self.i_instruction.payload
        starting, active = Signal(), Signal()
        rows_after = Signal(16, reset_less=True)
        word = Signal(32 - low, reset_less=True)
        words_after = Signal(len(new.ifm_row_bytes) + 1 - low, reset_less=True)   # of the row
        row_end = Signal(reset_less=True)      # words_after == 0
        row_last = Signal(low, reset_less=True)   # the row's last byte in its last word
        span = Signal.like(new.ifm_row_bytes, reset_less=True)   # a row's first byte to its last
        next_row = Signal(32, reset_less=True)
        pitch = Signal(24, reset_less=True)
        slot_lanes = Signal(16 - lane, reset_less=True)
        position = Signal(position_bits)
        slot_end = Signal(position_bits, reset_less=True)

        # The next request, and where its word ends in memory and in the ring.
        pending = Signal()
        vacant = Signal(init=1)   # not pending; it and ``turns`` are for what a row's end enables
        turns = Signal()          # as the request goes, the row ends: row_end of a row there is
        pending_word = Signal.like(word, reset_less=True)
        pending_last = Signal(low, reset_less=True)  # last byte of the word that the row needs
        pending_end = Signal.like(position, reset_less=True)
        may_leave = Signal()
        leaves = Signal()
        moves = Signal()   # another request is pending from the next cycle on

        end = Mux(row_end, slot_end, position + word_lanes)[:position_bits]
        last = Mux(row_end, row_last, (1 << low) - 1)
        next_last = next_row[:low] + span
        m.d.comb += moves.eq(active & (~pending | may_leave))
        with m.If(may_leave):
            m.d.sync += [pending.eq(0), vacant.eq(1)]
        with m.If(moves):
            m.d.sync += [
                pending.eq(1),
                vacant.eq(0),
                pending_word.eq(word),
                pending_last.eq(last),
                pending_end.eq(end),
                position.eq(end),
            ]
        with m.If(moves | starting):
            next_end = Mux(row_end, next_last[low:] == 0, words_after == 1)
            m.d.sync += [
                active.eq(~row_end | (rows_after != 0)),
                turns.eq(next_end & (~row_end | (rows_after != 0))),
                row_end.eq(next_end),
                word.eq(Mux(row_end, next_row[low:], word + 1)),
                words_after.eq(Mux(row_end, next_last[low:], words_after - 1)),
                row_last.eq(Mux(row_end, next_last[:low], row_last)),
            ]
        with m.If(turns & (vacant | may_leave)):
            m.d.sync += [
                rows_after.eq(rows_after - 1),
                next_row.eq(next_row + pitch),
                slot_end.eq(slot_end + slot_lanes),
            ]

        # What is waited for belongs to the pending request too, so an instruction begins when that
        # is gone.
        begins = self.i_instruction.valid & self.i_instruction.ready
        m.d.comb += self.i_instruction.ready.eq(~active & ~starting & ~pending)
        m.d.sync += starting.eq(begins)
        with m.If(begins):   # as at the end of a row, from which ``starting`` goes on to the first
            m.d.sync += [
                turns.eq(1),
                row_end.eq(1),
                rows_after.eq(new.ifm_rows),
                span.eq(new.ifm_row_bytes - 1),
                next_row.eq(new.ifm_address),
                pitch.eq(new.ifm_pitch),
                slot_lanes.eq(new.line_pitch[lane:]),
                slot_end.eq(position),
            ]

        # The end of each word in flight, in lanes of the ring; the response is a cycle in ``o``
        # before it is used, so the buffered FIFO has it in time for the fastest memory.
        m.submodules.in_flight = in_flight = fifo.SyncFIFOBuffered(
            width=position_bits, depth=READS_IN_FLIGHT)

        producer = self._watch_producer(m, begins, moves, word, last, pending_word, pending_last)
        has_room = self._look_for_room(
            m, moves, row_end, slot_end, position + word_lanes, pending_end)
        m.submodules.requests = requests = StreamBuffer(unsigned(32))
        wiring.connect(m, requests.o, wiring.flipped(self.memory.request))
        m.d.comb += [
            may_leave.eq(producer.allowed & has_room & in_flight.w_rdy & requests.i.ready),
            leaves.eq(pending & may_leave),
            requests.i.valid.eq(leaves),
            requests.i.payload.eq(Cat(C(0, low), pending_word)),
            in_flight.w_data.eq(pending_end),
            in_flight.w_en.eq(leaves),
        ]
        m.d.sync += self.dependency.eq(pending & ~producer.allowed)
        m.d.comb += self.idle.eq(~active & ~starting & ~pending & (in_flight.level == 0))
        self._receive(m, in_flight)
        return m

    def _watch_producer(self, m, begins, moves, word, last, pending_word, pending_last):
        """Watch the instruction's producer, up to the last byte that the row needs."""
        new, low = self.i_instruction.payload, exact_log2(self._config.read_bytes)
        # A request is pending three cycles after its instruction was accepted at the earliest.
        m.submodules.producer = producer = ProducerWatch(low)
        wiring.connect(m, wiring.flipped(self.progress), producer.progress)
        m.d.comb += [
            producer.begin.eq(begins),
            producer.wait.eq(new.ifm_wait),
            producer.use_watermark.eq(new.ifm_watermark),
            producer.moves.eq(moves),
            producer.following_word.eq(word),
            producer.following_last.eq(last),
            producer.word.eq(pending_word),
            producer.last.eq(pending_last),
        ]
        return producer

    def _look_for_room(self, m, moves, row_end, slot_end, word_end, pending_end):
        """True while the ring has room up to the end of the next request's word; a flip-flop."""
        lane = line_lane_bits(self._config)
        ring_lanes = self._config.line_bytes >> lane
        position_bits = line_position_bits(self._config) - lane
        # ``freed`` may be ahead of what is loaded, by rows that a stride skips.
        limit = self.level.freed[lane:] + ring_lanes
        has_room = Signal()

        def reaches(place):
            room = (limit - place)[:position_bits].as_signed()
            return room >= 0

        # Three subtractions, for what chooses between them comes late.
        m.d.sync += has_room.eq(Mux(
            moves, Mux(row_end, reaches(slot_end), reaches(word_end)),
            reaches(pending_end)))
        return has_room

    def _receive(self, m, in_flight):
        """The words that come go on to the line buffer, to where they end."""
        lane = line_lane_bits(self._config)
        position_bits = line_position_bits(self._config) - lane
        loaded = Signal(position_bits)
        word_data = Signal(8 * self._config.read_bytes, reset_less=True)
        m.d.comb += [
            self.o.payload.position.eq(Cat(C(0, lane), loaded)),
            self.o.payload.data.eq(word_data),
            self.level.loaded.eq(Cat(C(0, lane), loaded)),
            in_flight.r_en.eq(self.o.valid),
        ]
        m.d.sync += [
            self.o.valid.eq(self.memory.response.valid),
            word_data.eq(self.memory.response.payload),
        ]
        with m.If(self.o.valid):
            m.d.sync += loaded.eq(in_flight.r_data)

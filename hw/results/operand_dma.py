"""The second operand of ADD from device memory."""

from amaranth import *
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import beat_layout, read_port, unit_layout
from kaniwa.hw.parts.credits import Credits
from kaniwa.hw.parts.producer_watch import ProducerWatch
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.results.beat_walker import BeatWalker, set_walk
from kaniwa.hw.signatures import producer_progress

__all__ = ["OperandDma"]

BEATS_AHEAD = 16  # of the post unit: hides the memory's latency


class OperandDma(wiring.Component):
    """Read an operand tensor as beats in the order in which the array makes its results.

    Throughput: one beat a cycle, one cycle more for one that begins in a word not read yet and ends
    in the next. Words that neighboring beats share are read once. Reads run up to 16 beats ahead.
    Instructions without ``add`` are taken and dropped. A word is read only when all of it may be
    read (``operand_wait``, ``operand_watermark``), since later beats use the rest of it.
    ``dependency`` is 1 in the cycle after one in which a watermark held a request back.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("operand", config))),
            "memory": Out(read_port(config)),
            "o": Out(stream.Signature(beat_layout(config))),
            "progress": In(producer_progress()),
            "dependency": Out(1),
            "idle": Out(1),
        })

    @property
    def _words_ahead(self) -> int:
        # At least 3, below which the FIFO cannot take words in consecutive cycles.
        return max(3, -(-BEATS_AHEAD * self._config.requant_lanes // self._config.read_bytes))

    def _move_layout(self) -> data.StructLayout:
        """One cycle of taking words apart.

        ``take``: the next word comes, and is kept for the following moves. ``emit``: a beat leaves,
        from ``offset`` of the kept word on, with ``cross`` up to the next word, else within it.
        """
        return data.StructLayout({
            "take": unsigned(1),
            "emit": unsigned(1),
            "cross": unsigned(1),
            "offset": range(self._config.read_bytes),
            "count": range(self._config.requant_lanes + 1),
        })

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._config.read_bytes)

        m.submodules.walker = walker = BeatWalker(self._config, self._config.read_bytes)
        m.submodules.moves = moves = fifo.SyncFIFOBuffered(
            width=self._move_layout().size, depth=BEATS_AHEAD)
        m.submodules.words = words = fifo.SyncFIFOBuffered(
            width=8 * self._config.read_bytes, depth=self._words_ahead)
        # Moves and words that have left for their queues, and are not taken apart yet.
        m.submodules.move_credits = move_credits = Credits(BEATS_AHEAD)
        m.submodules.word_credits = word_credits = Credits(self._words_ahead)

        # The next move, and the word it takes.
        pending = Signal()
        vacant = Signal(init=1)   # not pending; what the walker waits for has few loads of its own
        pending_move = Signal(self._move_layout(), reset_less=True)
        pending_word = Signal(32 - low, reset_less=True)
        may_leave = Signal()
        leaves = Signal()
        moves_on = Signal()   # another move is pending from the next cycle on

        new = self.i_instruction.payload
        # What is waited for belongs to the pending move too, so an instruction begins when that is
        # gone.
        may_begin = walker.i.ready & ~pending
        begins = self.i_instruction.valid & may_begin & new.add
        m.d.comb += [
            self.i_instruction.ready.eq(may_begin),
            walker.i.valid.eq(begins),
            *set_walk(walker.i.payload, new, "operand"),
        ]

        # A beat becomes one move, or two if neither of its two words has been read.
        begun = Signal()   # its first word has been read, as the first of two moves
        beat = walker.o.payload
        offset, first_word = beat.address[:low], beat.address[low:]
        fresh = ~beat.same_word & ~begun
        cross = beat.crosses
        emit = ~(fresh & cross)
        take = fresh | cross
        with m.If(may_leave):
            m.d.sync += [pending.eq(0), vacant.eq(1)]
        word = Mux(fresh, first_word, first_word + 1)[:32 - low]
        m.d.comb += [
            moves_on.eq(walker.o.valid & (~pending | may_leave)),
            walker.o.ready.eq((vacant | may_leave) & emit),
        ]
        with m.If(moves_on):
            m.d.sync += [
                pending.eq(1),
                vacant.eq(0),
                pending_move.take.eq(take),
                pending_move.emit.eq(emit),
                pending_move.cross.eq(cross),
                pending_move.offset.eq(offset),
                pending_move.count.eq(beat.count),
                pending_word.eq(word),
            ]
            m.d.sync += begun.eq(~emit)

        producer = self._watch_producer(m, begins, moves_on, word, pending_word)
        allowed = producer.allowed
        m.submodules.requests = buffer = StreamBuffer(unsigned(32))
        wiring.connect(m, buffer.o, wiring.flipped(self.memory.request))
        may_request = allowed & word_credits.left & buffer.i.ready
        # Of ``leaves & take``, but not behind what all of the move's registers hang on.
        requests = pending & pending_move.take & move_credits.left & may_request
        m.d.comb += [
            buffer.i.valid.eq(requests),
            buffer.i.payload.eq(Cat(C(0, low), pending_word)),
            may_leave.eq(move_credits.left & (~pending_move.take | may_request)),
            leaves.eq(pending & may_leave),
            words.w_data.eq(self.memory.response.payload),
            words.w_en.eq(self.memory.response.valid),
        ]
        m.d.sync += self.dependency.eq(pending & pending_move.take & ~allowed)

        # What leaves is known late: its way to the queue takes a cycle of its own.
        m.d.sync += [moves.w_data.eq(pending_move), moves.w_en.eq(leaves)]
        taken = self._take_apart(m, moves, words)
        m.d.comb += [
            move_credits.take.eq(leaves),
            move_credits.give.eq(moves.r_rdy & moves.r_en),
            word_credits.take.eq(requests),
            word_credits.give.eq(taken),
            self.idle.eq(walker.i.ready & ~pending & move_credits.none_out & word_credits.none_out
                         & ~self.o.valid),
        ]
        return m

    def _watch_producer(self, m, begins, moves_on, word, pending_word):
        """Watch the instruction's producer, for whole words."""
        new, low = self.i_instruction.payload, exact_log2(self._config.read_bytes)
        # A move is pending three cycles after its instruction was accepted at the earliest.
        m.submodules.producer = producer = ProducerWatch(low)
        wiring.connect(m, wiring.flipped(self.progress), producer.progress)
        whole = (1 << low) - 1
        m.d.comb += [
            producer.begin.eq(begins),
            producer.wait.eq(new.operand_wait),
            producer.use_watermark.eq(new.operand_watermark),
            producer.moves.eq(moves_on),
            producer.following_word.eq(word),
            producer.following_last.eq(whole),
            producer.word.eq(pending_word),
            producer.last.eq(whole),
        ]
        return producer

    def _take_apart(self, m, moves, words):
        """Make beats of the words; the returned value is 1 when a word is taken.

        The beats end in a buffer, so that what the post unit takes does not enable the queues.
        """
        read_bytes, lanes = self._config.read_bytes, self._config.requant_lanes
        move = Signal(self._move_layout())
        kept = Signal(8 * read_bytes, reset_less=True)
        go = Signal()
        m.submodules.beats = beats = StreamBuffer(beat_layout(self._config))
        wiring.connect(m, beats.o, wiring.flipped(self.o))
        m.d.comb += [
            move.eq(moves.r_data),
            go.eq(moves.r_rdy & (words.r_rdy | ~move.take) & (beats.i.ready | ~move.emit)),
            moves.r_en.eq(go),
            words.r_en.eq(go & move.take),
        ]
        with m.If(words.r_en):
            m.d.sync += kept.eq(words.r_data)

        # Byte k comes from the new word, unless the beat begins in the kept one at or before k. A
        # beat that crosses begins in the last lanes - 1 bytes.
        bytes_of = []
        for k in range(read_bytes):
            new = move.take
            if k > read_bytes - lanes:
                new = new & ~(move.cross & (move.offset <= k))
            bytes_of.append(Mux(new, words.r_data.word_select(k, 8), kept.word_select(k, 8)))
        # Rotate to the beat: the large distances first, since each stage then has least to carry.
        rotated = Cat(*bytes_of, *bytes_of[:lanes - 1])
        for bit in reversed(range(exact_log2(read_bytes))):
            size = 8 * (lanes - 1 + (1 << bit))
            rotated = Mux(move.offset[bit], rotated[8 << bit:][:size], rotated[:size])
        m.d.comb += [
            beats.i.valid.eq(go & move.emit),
            beats.i.payload.values.eq(rotated),
            beats.i.payload.count.eq(move.count),
        ]
        return words.r_en

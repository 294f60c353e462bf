"""Time that the cell unit takes where nothing else uses memory, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from kaniwa.cycles.sdram import Sdram
from kaniwa.isa import OUTSIDE
from kaniwa.timing import READS_IN_FLIGHT
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES, GATES, PRODUCTS, WORD_BYTES, frame_words

__all__ = ["sequence_cycles"]

FRAMES = 8              # of weights that may be on the way
TURN = len(GATES) + 1   # cycles of a frame's sums before the rescaling: a gate's in each but one
CHECKED = 7     # from the request of the descriptor's last word to the next one, beside memory
STATES = 11     # from the request of a word of cell states to the next one, beside memory
QUEUED = 10     # from the request of a frame's last word to its turn, beside memory
ARGUMENT = 11   # from a gate's turn to its argument, a cycle before the function
STATE = 70      # from the first turn of a cell to its state, a cycle before the function
PRODUCT = 56    # from there to o * tanh(c), before the rescaling
RESULT = 12     # from there to the hidden state
STORED = 8      # from the last hidden state to the end, beside two cycles a cell


class _Clock:
    """Requests, one after the other, and what comes of the frames of weights.

    A word comes ``latency`` cycles behind its request, and has the memory's bus for ``rate``. Those
    outside come from the ``chip``, if there is one.
    """

    def __init__(self, latency: int, rate: int, chip: Sdram | None) -> None:
        self._latency, self._rate, self._chip = latency + rate - 1, rate, chip
        self._flying: deque[int] = deque(maxlen=READS_IN_FLIGHT)    # when their words come
        self._ended: deque[int] = deque(maxlen=FRAMES)              # first turns of frames
        self.now = 1                      # when the next request may be made
        self._last = self._there = 0      # the last request, and its word
        self._free = 0                    # when the chip takes the next one

    def ask(self, words: int, address: int) -> None:
        """Requests of so many words, one behind the other."""
        if self._chip is not None and address >= OUTSIDE:
            self._ask_chip(self._chip, words, address)
            return
        if self._latency < READS_IN_FLIGHT * self._rate:
            self._last = self.now + (words - 1) * self._rate
        else:
            for _ in range(words):
                at = self.now if len(self._flying) < READS_IN_FLIGHT else max(
                    self.now, self._flying[0])
                self._flying.append(at + self._latency)
                self._last, self.now = at, at + self._rate
        self.now, self._there = self._last + self._rate, self._last + self._latency

    def _ask_chip(self, chip: Sdram, words: int, address: int) -> None:
        """The arbiter grants a request where the chip takes the one before."""
        for place in range(address % OUTSIDE, address % OUTSIDE + words * WORD_BYTES, WORD_BYTES):
            at = self.now if len(self._flying) < READS_IN_FLIGHT else max(
                self.now, self._flying[0])
            taken = max(at + 1, self._free)
            self._free, self._there = chip.access(taken, place, WORD_BYTES, write=False)
            self._flying.append(self._there)
            self._last, self.now = at, taken

    def wait(self, cycles: int) -> None:
        """Until so many cycles behind the last request's word."""
        self.now = self._there + cycles

    def frames(self, count: int, words: int, address: int,
               products: _Products | None = None) -> list[int]:
        """Requests of so many frames; the first turn of each. Those with the input leave out the
        turn of a product where none of ``products`` waits."""
        turns = []
        for _ in range(count):
            if len(self._ended) == FRAMES:
                self.now = max(self.now, self._ended[0])
            self.ask(words, address)
            address += words * WORD_BYTES
            turn = self._there + QUEUED
            if self._ended:
                turn = max(turn, self._ended[-1])
            skips = products is not None and not products.waits_beside(turn)
            self._ended.append(turn + TURN - skips)
            turns.append(turn)
        return turns


def _free(earliest: int, taken: Iterable[tuple[int, int]]) -> int:
    """The first cycle from ``earliest`` on in none of ``taken``, first and last, in order."""
    for first, last in taken:
        if first > earliest:
            break
        if last >= earliest:
            earliest = last + 1
    return earliest


class _Products:
    """o * tanh(c) of all cells of a step, whose frames of the hidden state have these ``turns``,
    until each is rescaled: in no turn of a gate."""

    def __init__(self, turns: list[int]) -> None:
        gates = len(GATES)
        arguments = [(turn + ARGUMENT, turn + ARGUMENT + gates - 1) for turn in turns]
        self._coming, first = deque[int](), 0
        for turn in turns:
            state = turn + STATE
            while first < len(turns) and arguments[first][1] < state:
                first += 1
            self._coming.append(_free(state, arguments[first:first + 3]) + PRODUCT)
        self._free = self._last = 0      # when the next one may be rescaled; when the last one was
        for turn in turns:
            self.waits_beside(turn)

    def waits_beside(self, turn: int) -> bool:
        """True where one waits in the last turn of a gate of the frame whose first is ``turn``."""
        self._take(turn)
        self._free = max(self._free, turn + len(GATES))
        return bool(self._coming) and self._coming[0] < self._free

    def last(self) -> int:
        """When the hidden state of the last one is there; no frame is before that."""
        while self._coming:
            self._take(self._coming[0] + self._free + 1)
        return self._last + RESULT

    def _take(self, end: int) -> None:
        """Rescale those that come before a cycle, in which a frame begins."""
        while self._coming and (at := max(self._coming[0], self._free)) < end:
            self._coming.popleft()
            self._last, self._free = at, at + 1


def sequence_cycles(values: Mapping[str, int], latency: int, rate: int = 1,
                    chip: Sdram | None = None, descriptor: int = 0) -> int:
    """Cycles from the command of a legal descriptor until the unit is idle again.

    ``latency``: cycles from a request to its word; ``rate``: those in which there can be one. With
    a ``chip`` as outside memory both are those of the device's own memory, and ``descriptor`` is
    the address of that.
    """
    cells, place, weights = values["cells"], values["input_address"], values["weight_address"]
    of_input, of_hidden = frame_words(values)
    hidden_weights = weights + (cells * of_input * WORD_BYTES if values["input_words"] else 0)
    clock = _Clock(latency, rate, chip)
    clock.ask(DESCRIPTOR_BYTES // WORD_BYTES, descriptor)
    clock.wait(CHECKED)
    clock.ask(-(-cells // WORD_BYTES), values["first_hidden"])
    for word in range(-(-2 * cells // WORD_BYTES)):
        clock.ask(1, values["first_cell"] + word * WORD_BYTES)
        clock.wait(STATES)
    products = _Products([])
    for step in range(values["steps"]):
        clock.now += 1
        if values["input_words"]:
            clock.ask(-(-(values["input_words"] + place % WORD_BYTES // PRODUCTS) * PRODUCTS
                        // WORD_BYTES), place)
        clock.frames(cells, of_input, weights if values["input_words"] else place, products)
        place += values["input_pitch"]
        clock.now += 1
        if step:
            clock.now = max(clock.now, products.last() + 2)
        products = _Products(clock.frames(cells, of_hidden, hidden_weights))
    return products.last() + 2 * cells + STORED

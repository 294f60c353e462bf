"""Time that the cell unit takes where nothing else uses memory, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from kaniwa.timing import READS_IN_FLIGHT
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES, GATES, PRODUCTS, WORD_BYTES, frame_words

__all__ = ["sequence_cycles"]

FRAMES = 8              # of weights that may be on the way
TURN = len(GATES) + 1   # cycles of a frame's sums before the rescaling: a gate's in each but one
CHECKED = 7     # from the request of the descriptor's last word to the next one, beside memory
STATES = 11     # from the request of a word of cell states to the next one, beside memory
QUEUED = 10     # from the request of a frame's last word to its turn, beside memory
ARGUMENT = 10   # from a gate's turn to its argument, a cycle before the function
STATE = 66      # from the first turn of a cell to its state, a cycle before the function
PRODUCT = 53    # from there to o * tanh(c), before the rescaling
RESULT = 11     # from there to the hidden state
STORED = 8      # from the last hidden state to the end, beside two cycles a cell


class _Clock:
    """Requests, one after the other, and what comes of the frames of weights.

    A word comes ``latency`` cycles behind its request, and has the memory's bus for ``rate``.
    """

    def __init__(self, latency: int, rate: int) -> None:
        self._latency, self._rate = latency + rate - 1, rate
        self._flying: deque[int] = deque(maxlen=READS_IN_FLIGHT)    # when their words come
        self._ended: deque[int] = deque(maxlen=FRAMES)              # first turns of frames
        self.now = 1                      # when the next request may be made
        self._last = 0

    def ask(self, words: int) -> None:
        """Requests of so many words."""
        if self._latency < READS_IN_FLIGHT * self._rate:
            self._last = self.now + (words - 1) * self._rate
        else:
            for _ in range(words):
                at = self.now if len(self._flying) < READS_IN_FLIGHT else max(
                    self.now, self._flying[0])
                self._flying.append(at + self._latency)
                self._last, self.now = at, at + self._rate
        self.now = self._last + self._rate

    def wait(self, cycles: int) -> None:
        """Until so many cycles, beside the memory's, behind the last request."""
        self.now = self._last + cycles + self._latency

    def frames(self, count: int, words: int) -> list[int]:
        """Requests of so many frames; the first turn of each."""
        turns = []
        for _ in range(count):
            if len(self._ended) == FRAMES:
                self.now = max(self.now, self._ended[0] + TURN)
            self.ask(words)
            turn = self._last + QUEUED + self._latency
            if self._ended:
                turn = max(turn, self._ended[-1] + TURN)
            self._ended.append(turn)
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


def _hidden_states(turns: list[int], others: list[int]) -> int:
    """When the last hidden state of a step is there; ``turns`` of its frames, ``others`` those that
    follow."""
    gates = len(GATES)
    arguments = [(turn + ARGUMENT, turn + ARGUMENT + gates - 1) for turn in turns]
    sums = [(turn, turn + gates - 1) for turn in (*turns, *others)]
    product, first_argument, first_sum = 0, 0, 0
    for turn in turns:
        state = turn + STATE
        while first_argument < len(turns) and arguments[first_argument][1] < state:
            first_argument += 1
        state = _free(state, arguments[first_argument:first_argument + 3])
        product = max(product + 1, state + PRODUCT)
        while first_sum < len(sums) and sums[first_sum][1] < product:
            first_sum += 1
        product = _free(product, sums[first_sum:first_sum + 3])
    return product + RESULT


def sequence_cycles(values: Mapping[str, int], latency: int, rate: int = 1) -> int:
    """Cycles from the command of a legal descriptor until the unit is idle again.

    ``latency``: cycles from a request to its word; ``rate``: those in which there can be one.
    """
    cells, place = values["cells"], values["input_address"]
    of_input, of_hidden = frame_words(values)
    clock = _Clock(latency, rate)
    clock.ask(DESCRIPTOR_BYTES // WORD_BYTES)
    clock.wait(CHECKED)
    clock.ask(-(-cells // WORD_BYTES))
    for _ in range(-(-2 * cells // WORD_BYTES)):
        clock.ask(1)
        clock.wait(STATES)
    before: list[int] = []
    for _ in range(values["steps"]):
        clock.now += 1
        clock.ask(-(-(values["input_words"] + place % WORD_BYTES // PRODUCTS) * PRODUCTS
                    // WORD_BYTES))
        place += values["input_pitch"]
        others = clock.frames(cells, of_input)
        clock.now += 1
        if before:
            clock.now = max(clock.now, _hidden_states(before, others) + 2)
        before = clock.frames(cells, of_hidden)
    return _hidden_states(before, []) + 2 * cells + STORED

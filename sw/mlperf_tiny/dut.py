"""Device-under-test adapter: MLPerf Tiny's text protocol in front of a device of kaniwa.

The protocol is that of ``benchmark/api/internally_implemented.cpp`` (commands and answers) and
``benchmark/api/submitter_implemented.h`` (time stamps) of the repository mlcommons/tiny, written
anew from what they do. A command is text that ends with ``%``; an answer is lines, of which the
last is ``m-ready``. ``e-[...]`` is an error. Where the reference leaves a bad command
without a word, or writes beyond its buffer, this adapter answers with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kaniwa.driver.device_clock import CLOCK_MHZ, DeviceClock
from kaniwa.driver.session import Session
from kaniwa.errors import Error
from kaniwa.mlperf_tiny.benchmarks import Benchmark

__all__ = ["END", "READY", "DutAdapter"]

END = "%"
READY = "m-ready"
FIRMWARE = "ULPMark for tinyML Firmware V0.0.1"   # what runners take the profile to be
COMMAND_BYTES = 80           # EE_CMD_SIZE
BUFFER_BYTES = 96 * 96 * 3   # MAX_DB_INPUT_SIZE
ROW_BYTES = 8                # of `db print`
WARMUPS = 10                 # of `infer N`; the reference's help says 0, its code has 10
MOST_INFERENCES = 1_000_000  # of one command: a mistyped number must not take days
HELP = (
    "help         : this text",
    "name         : name of the device",
    "profile      : firmware and benchmark",
    "timestamp    : microseconds of the device's clock",
    "db load N    : expect N bytes",
    "db HEX       : the next bytes",
    "db print [N] [OFFSET] : bytes of the buffer",
    f"infer N [W={WARMUPS}] : N inferences after W that are not timed",
    "results      : results of the last inference",
)


class _Refused(Exception):
    """A command that is answered with an error."""


class DutAdapter:
    """Answers the protocol's commands with ``session``, whose program is that of ``benchmark``.

    Times are the device's own: its line's clock, or its cycles at ``clock_mhz``, 100 where that is
    None. ``seconds`` and ``cycles`` are those of all inferences so far, ``inferences`` their
    number. Raises InputError for a program that does not fit the benchmark.
    """

    def __init__(self, session: Session, benchmark: Benchmark, *, clock_mhz: float | None = None,
                 vendor: str = "kaniwa") -> None:
        benchmark.check(session.program)
        self.benchmark = benchmark
        self.seconds = 0.0
        self.cycles = self.inferences = 0
        self._session = session
        self._clock = DeviceClock(session.device, clock_mhz or CLOCK_MHZ)
        self._vendor = vendor
        (self._input,), (self._output,) = session.program.inputs, session.program.outputs
        self._expected = 0            # bytes of the buffer when it is full
        self._buffer = bytearray()
        self._results: list[float] = []
        self._text = bytearray()      # of a command that has not ended
        self._commands: dict[str, Callable[[Sequence[str]], list[str]]] = {
            "name": self._name, "profile": self._profile, "timestamp": self._timestamp,
            "help": self._help, "db": self._db, "infer": self._infer, "results": self._result}

    def boot(self) -> bytes:
        """What a device says when it is switched on."""
        return _lines(["m-timestamp-mode-performance", self._stamp(), "m-init-done", READY])

    def feed(self, data: bytes) -> bytes:
        """The answers to the commands that end in ``data``; the rest waits for more."""
        answer = b""
        for byte in data:
            if byte != ord(END):
                if len(self._text) <= COMMAND_BYTES:     # one more says that it is too long
                    self._text.append(byte)
                continue
            text = bytes(self._text)
            self._text.clear()
            answer += _lines([*self._answer(text), READY])
        return answer

    def hang_up(self) -> None:
        """Forget a command that has not ended: its host is gone. All else stays."""
        self._text.clear()

    def _answer(self, text: bytes) -> list[str]:
        try:
            if len(text) > COMMAND_BYTES:
                raise _Refused(f"Command longer than {COMMAND_BYTES} characters")
            words = "".join(chr(b) if 32 <= b < 127 else "?" if b not in b"\r\n\t" else " "
                            for b in text).split()
            if not words:
                raise _Refused("Empty command")
            if words[0] not in self._commands:
                raise _Refused(f"Unknown command: {words[0]}")
            return self._commands[words[0]](words[1:])
        except _Refused as refused:
            return [f"e-[{refused}]"]
        except Error as error:
            return [f"e-[{' '.join(str(error).split())}]"]

    def _name(self, words: Sequence[str]) -> list[str]:
        return [f"m-name-dut-[{self._vendor}]"]

    def _profile(self, words: Sequence[str]) -> list[str]:
        return [f"m-profile-[{FIRMWARE}]", f"m-model-[{self.benchmark.name}]"]

    def _timestamp(self, words: Sequence[str]) -> list[str]:
        return [self._stamp()]

    def _help(self, words: Sequence[str]) -> list[str]:
        return [FIRMWARE, *HELP]

    def _db(self, words: Sequence[str]) -> list[str]:
        if not words:
            raise _Refused("Command 'db' requires a subcommand")
        if words[0] == "load":
            return self._load(words[1:])
        if words[0] == "print":
            return self._print(words[1:])
        return self._take(words[0])

    def _load(self, words: Sequence[str]) -> list[str]:
        if not words:
            raise _Refused("Command 'db load' requires the # of bytes")
        count = _number(words[0], "Command 'db load'")
        if not 0 < count <= BUFFER_BYTES:
            raise _Refused(f"Command 'db load' must be 1 to {BUFFER_BYTES} bytes")
        self._expected, self._buffer = count, bytearray()
        return [f"m-[Expecting {count} bytes]"]

    def _take(self, digits: str) -> list[str]:
        if len(digits) % 2:
            raise _Refused("Insufficient number of hex digits")
        if len(self._buffer) == self._expected:
            raise _Refused("No bytes are expected: give 'db load' first")
        for at in range(0, len(digits), 2):
            pair = digits[at:at + 2]
            if not set(pair) <= set("0123456789abcdefABCDEF"):
                raise _Refused(f"Invalid hex digit '{pair}'")
            self._buffer.append(int(pair, 16))
            if len(self._buffer) == self._expected:
                return ["m-load-done"]         # the rest of the digits is disregarded
        return []

    def _print(self, words: Sequence[str]) -> list[str]:
        count = _number(words[0], "Command 'db print'") if words else len(self._buffer)
        offset = _number(words[1], "Command 'db print'") if len(words) > 1 else 0
        shown = self._buffer[offset:offset + count]
        return ["m-buffer-" + "-".join(f"{byte:02x}" for byte in shown[at:at + ROW_BYTES])
                for at in range(0, len(shown), ROW_BYTES)]

    def _infer(self, words: Sequence[str]) -> list[str]:
        count = _number(words[0], "Inference iterations") if words else 1
        warmups = _number(words[1], "Inference warmup") if len(words) > 1 else WARMUPS
        if not 0 < count <= MOST_INFERENCES:
            raise _Refused(f"Inference iterations must be 1 to {MOST_INFERENCES}")
        if warmups > MOST_INFERENCES:
            raise _Refused(f"Inference warmup must be 0 to {MOST_INFERENCES}")
        needed, found = self.benchmark.input_bytes(self._input), len(self._buffer)
        if found != needed or found != self._expected:
            raise _Refused(f"Input db has {found} bytes, expected {needed}")
        data = bytes(self._buffer)
        arrays = {self._input.name: self.benchmark.decode(data, self._input)}
        for _ in range(warmups):
            self._once(arrays)
        began = self._stamp()
        for _ in range(count):
            output = self._once(arrays)
        ended = self._stamp()
        self._results = self.benchmark.answer(data, output, self._output)
        return [f"m-warmup-start-{warmups}", "m-warmup-done", f"m-infer-start-{count}", began,
                ended, "m-infer-done", *self._result(())]

    def _once(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        self._session.reset()
        timed = self._clock.run(self._session, arrays)
        self.seconds += timed.seconds
        self.cycles += timed.cycles
        self.inferences += 1
        return timed.outputs[self._output.name]

    def _result(self, words: Sequence[str]) -> list[str]:
        if not self._results:
            raise _Refused("No results yet: give 'infer' first")
        return [f"m-results-[{','.join(f'{value:0.3f}' for value in self._results)}]"]

    def _stamp(self) -> str:
        return f"m-lap-us-{round(self.seconds * 1e6)}"


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("ascii", "replace")


def _number(word: str, what: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        raise _Refused(f"{what}: expected a number, found '{word}'")
    return int(word)

"""A board as a device: a core behind the link, on a serial port, TCP, UDP or SPI."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.driver.cores.line import SharedLine
from kaniwa.driver.frames import CORE_BIT, INDEX_CORE_BIT, REGISTERS, Operation, Request
from kaniwa.driver.identity import CAPABILITIES, capabilities, identify, wrong_config
from kaniwa.driver.link import Link, LinkStatistics, reads, writes
from kaniwa.driver.run_error import check_start, run_error
from kaniwa.driver.transports import Transport, open_transport, parse_address
from kaniwa.errors import DeviceError
from kaniwa.isa import (
    COUNTERS,
    OUTSIDE,
    Command,
    ErrorCode,
    Register,
    Status,
)
from kaniwa.isa.counters import RunStatistics
from kaniwa.stage import Stage
from kaniwa.standalone.format import FlashState

__all__ = ["BoardDevice", "WATCHDOG_CYCLES"]

LONGEST_POLL = 0.05                  # seconds between two looks at a run's status
WATCHDOG_CYCLES = 10_000_000
# What is wrong with the image in flash, by how far the device came with it at power-up.
FLASH_WARNINGS = {
    FlashState.DAMAGED: "the image in flash is damaged, and was not loaded: write it anew with "
                        "kaniwa flash",
    FlashState.OTHER_CONFIG: "the image in flash is for another config, and was not loaded: write "
                             "one for this bitstream with kaniwa flash",
}

logger = logging.getLogger(__name__)


class BoardDevice:
    """The board that ``name`` (serial:, tcp:, udp: or spi:) leads to, held alone until ``close``.

    config: the board's own. flash: how far it came with the image in its flash.
    target: the config that it must have; also names one that is neither a preset nor a board's.
    watchdog: cycles without progress before the board ends a run. connect: opens the byte stream,
    for lines that have no name. line: what devices of other cores have too, with core: the number
    of this one's. ``progress`` may be set to what is to hear of long transfers and runs.
    After a DeviceError of the line the next call opens it again; memory is then what it may be.
    """

    def __init__(self, name: str, target: str | Path | AcceleratorConfig | None = None, *,
                 watchdog: int = WATCHDOG_CYCLES,
                 connect: Callable[[], Transport] | None = None,
                 line: SharedLine | None = None, core: int = 0) -> None:
        self.name = name
        self._core = core
        if line is not None:
            self._line = line
        elif connect is not None:
            self._line = SharedLine(connect)
        else:
            address = parse_address(name)
            self._line = SharedLine(lambda: open_transport(address), address.pace)
            self._core = address.core
        self._user = object()     # this device on the line, which must not keep it
        self._target = None if target is None else load_target(target)
        self._watchdog = watchdog
        self.progress: Callable[[str], None] = lambda text: None
        self._closed = False
        self._link: Link | None = None
        self.config: AcceleratorConfig | None = None
        self.capabilities: dict[str, int] = {}
        self.flash = FlashState.ABSENT
        self._under_way: tuple[int, float] | None = None    # program, and when it was begun
        self._require()

    @property
    def link_statistics(self) -> LinkStatistics:
        """Frames, retries and errors since the line was last opened."""
        return self._require().statistics

    @property
    def cores(self) -> int:
        """Number of cores behind the link."""
        return self._require().cores

    @property
    def outside(self) -> bool:
        """True for a board with outside memory."""
        return self._require().outside

    @property
    def pace(self) -> float:
        """Bytes a second that the line carries in each direction."""
        return self._require().pace

    def line_seconds(self) -> float:
        """The line's clock: a simulated line has its own, in which it is as fast as a real one."""
        return self._require().now()

    def load_target(self, config: AcceleratorConfig) -> None:
        """Nothing if the board is of ``config``; else DeviceError, for a board cannot change."""
        self._require()
        if self.config is not None and self.config != config:
            raise wrong_config(self.name, config, self.config.hash, self.config.name)

    def close(self) -> None:
        """Give the line up; a second call does nothing."""
        self._closed = True
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` into device memory."""
        self._check_span("write", address, len(data))
        self._transfer("writing", len(data), writes(
            self._require(), self._own(address), bytes(data)))

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of device memory."""
        self._check_span("read", address, count)
        return _joined(self._transfer("reading", count, reads(
            self._require(), self._own(address), count)))

    def run(self, program_address: int, tags: Iterable[int] = ()) -> RunStatistics:
        """Run the program to its END; counters of ``tags``. Raises DeviceError if it fails."""
        self.start(program_address)
        return self.finish(tags)

    @property
    def serves(self) -> bool:
        """True for a board whose memory may be used during a run."""
        return self._require().serves

    @property
    def under_way(self) -> object | None:
        """Stands for a run that was begun and not finished."""
        return self._under_way

    def start(self, program_address: int, spans: Sequence[tuple[int, int]] = ()) -> list[bytes]:
        """Begin a run; gives what is at ``spans``, (address, bytes), as it goes on.

        One that is under way is ended before.
        """
        link = self._require()
        assert self.config is not None
        check_start(program_address, self.config)
        if self._under_way is not None:
            self.abort()
        began = time.monotonic()
        requests = [self._set(Register.PROGRAM_ADDRESS, program_address),
                    self._set(Register.WATCHDOG, self._watchdog),
                    self._set(Register.CONTROL, Command.RUN)]
        ends = []
        for address, count in spans:
            self._check_span("read", address, count)
            requests += reads(link, self._own(address), count)
            ends.append(len(requests))
        answers = self._exchange(requests)
        self._under_way = program_address, began
        return [_joined(answers[first:end]) for first, end in pairwise([3, *ends])]

    def finish(self, tags: Iterable[int] = (),
               images: Sequence[tuple[int, bytes]] = ()) -> RunStatistics:
        """Write ``images``, (address, data), meanwhile, and wait for the end, as ``run``."""
        self._require()
        if self._under_way is None:
            raise DeviceError(f"{self.name}: no run is under way: begin one")
        assert self.config is not None
        program_address, began = self._under_way
        try:
            counts = self._write_and_look(images) if images else None
            status = counts[0] if counts else self._wait_for_end()
        except KeyboardInterrupt:
            self.abort()
            raise
        self._under_way = None
        if status & Status.ERROR:
            raise self._error(program_address)
        cycles, retired = counts[-2:] if counts else self._registers(Register.CYCLES, 2)
        logger.debug("%s: a run of %d cycles took %.3f s", self.name, cycles,
                     time.monotonic() - began)
        return RunStatistics(cycles, retired, self._counters(tags) if self.config.counters else {},
                             seconds=time.monotonic() - began)

    def abort(self) -> None:
        """End a run; memory keeps what was written."""
        self._under_way = None
        self._exchange([self._set(Register.CONTROL, Command.ABORT)])
        self._wait_for_end()

    def reset(self) -> None:
        """Reset the core; memory keeps its contents."""
        self.abort()

    def _write_and_look(self, images: Sequence[tuple[int, bytes]]) -> list[int] | None:
        """Write ``images`` during a run; gives the registers from STATUS to RETIRED if it has ended
        by then. All goes in one exchange, and the line waits for one answer only."""
        link, requests = self._require(), list[Request]()
        for address, data in images:
            self._check_span("write", address, len(data))
            requests += writes(link, self._own(address), data)
        look = self._get(Register.STATUS, Register.RETIRED - Register.STATUS + 1)
        words = _words(_joined(self._exchange([*requests, look])))
        return None if words[0] & Status.RUNNING else words

    def _wait_for_end(self) -> int:
        pause, began = 0.0, time.monotonic()
        while (status := self._registers(Register.STATUS, 1)[0]) & Status.RUNNING:
            self._pause(pause)
            pause = min(2 * pause + 0.0005, LONGEST_POLL)
            self.progress(f"running, {time.monotonic() - began:.0f} s")
        return status

    def _error(self, program_address: int) -> DeviceError:
        number, index = self._registers(Register.ERROR_CODE, 2)
        assert self.config is not None
        return DeviceError(f"{self.name}: " + run_error(
            ErrorCode(number), index, program_address, self.config, self.read))

    def _counters(self, tags: Iterable[int]) -> dict[int, dict[str, int]]:
        """All tags in one go; those whose answer got lost once more."""
        left = list(dict.fromkeys(tags))
        snapshots = {}
        while left:
            requests: list[Request] = []
            for tag in left:
                requests += [self._set(Register.COUNTER_TAG, tag),
                             self._get(Register.COUNTER_0, len(COUNTERS))]
            for tag, data in zip(left, self._exchange(requests)[1::2], strict=True):
                if data is not None:
                    snapshots[tag] = dict(zip(COUNTERS, _words(data), strict=True))
            left = [tag for tag in left if tag not in snapshots]
        return snapshots

    def _registers(self, first: Register, count: int) -> list[int]:
        return _words(_joined(self._exchange([self._get(first, count)])))

    def _set(self, register: Register, value: int) -> Request:
        return Request(Operation.REGISTER, value, register + (self._core << INDEX_CORE_BIT))

    def _get(self, first: Register, count: int) -> Request:
        return Request(Operation.READ, self._own(REGISTERS + 4 * first), 4 * count)

    def _own(self, address: int) -> int:
        """The address with the number of the core."""
        return address + (self._core << CORE_BIT)

    def _check_span(self, what: str, address: int, count: int) -> None:
        outside = self.outside and OUTSIDE <= address <= 2 * OUTSIDE - count
        size = self.capabilities["memory_bytes"]
        if not outside and not 0 <= address <= size - count:
            raise DeviceError(f"{self.name}: {what} of {count} bytes at {address:#x} is outside "
                              f"device memory of {size} bytes")
        if outside and self._require().outside_failed:
            raise DeviceError(f"{self.name}: its outside memory gave wrong words when it was "
                              "calibrated at power-up, and is not used: switch the board off and "
                              "on; if it stays so, a pin or the chip is damaged. What needs "
                              "on-chip memory alone works")

    def _transfer(self, what: str, size: int,
                  requests: Sequence[Request]) -> list[bytes | None]:
        """Move ``size`` bytes of device memory."""
        def report(done: int) -> None:
            moved = size * done // len(requests)
            self.progress(Stage(f"{what}, {moved:,} of {size:,} bytes", moved, size, "bytes",
                                short=what))

        began = time.monotonic()
        answers = self._exchange(requests, report)
        logger.debug("%s: %s %d bytes took %.3f s", self.name, what, size, time.monotonic() - began)
        return answers

    def _pause(self, seconds: float) -> None:
        link = self._require()
        try:
            self._line.pause(link, seconds)
        except DeviceError:
            self._drop()
            raise

    def _exchange(self, requests: Sequence[Request],
                  report: Callable[[int], None] | None = None) -> list[bytes | None]:
        """All traffic goes through here; a failed line is dropped."""
        link = self._require()
        try:
            return self._line.exchange(link, requests, report)
        except DeviceError as error:
            logger.info("%s: the line is given up: %s", self.name, error)
            self._drop()
            raise
        except KeyboardInterrupt:
            self._drop()    # what is in flight is not known
            raise

    def _require(self) -> Link:
        if self._closed:
            raise DeviceError(f"{self.name}: the device is closed")
        if self._link is None:
            self._link = self._line.join(self._user)
            try:
                self._hello(self._link)
            except BaseException:
                self._drop()
                raise
            return self._link
        try:
            self._line.check(self._link)
        except DeviceError:     # another core's device has lost it
            self._drop()
            raise
        return self._link

    def _drop(self) -> None:
        self._under_way = None
        if self._link is not None:
            self._link = None
            self._line.leave(self._user)

    def _hello(self, link: Link) -> None:
        """Learn what the board is, and end what an earlier host may have left running."""
        if self._core >= link.cores:
            raise DeviceError(f"{self.name}: there is no core {self._core}: the device has "
                              f"{link.cores}, numbered from 0")
        words = self._registers(Register.MAGIC, len(CAPABILITIES))
        config = identify(self.name, words, self._target)
        if self.config is not None and self.config != config:
            raise wrong_config(self.name, self.config, config.hash, config.name)
        self.config = config
        self.capabilities, self.flash = capabilities(words), link.flash
        logger.info("%s: opened, a board of config %s (%s)", self.name, config.name, config.hash)
        if self.flash in FLASH_WARNINGS:
            logger.warning("%s: %s", self.name, FLASH_WARNINGS[self.flash])
        elif self.flash != FlashState.ABSENT:
            logger.info("%s: image in flash: %s", self.name, self.flash.name)
        self.abort()


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[i:i + 4], "little") for i in range(0, len(data), 4)]


def _joined(parts: Sequence[bytes | None]) -> bytes:
    """The data of READs with nothing behind them: none can be missed."""
    return b"".join(part for part in parts if part is not None)

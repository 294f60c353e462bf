"""Functions of items for tests of workers: other processes import them from here."""

from __future__ import annotations

import os
import select
import signal
import threading
from pathlib import Path
from typing import Any

from kaniwa.errors import InputError, MemoryTooSmallError
from kaniwa.parallel.cluster import Cluster
from kaniwa.parallel.workers import Workers
from kaniwa.stage import Stage

RESULTS = (3, 1, 4, 1, 5, 9, 2, 6)


def square(item: int) -> int:
    return item * item


def process(item: int) -> int:
    return os.getpid()


def refuse(number: int, item: int) -> int:
    """Fail with the item ``number``; others may be asked for as often as is wanted."""
    if item == number:
        raise MemoryTooSmallError(f"{item} is too much", 12)
    return item


def fail(kind: str, item: int) -> int:
    """Fail as a mistake in the code does, or the system."""
    if kind == "file":
        open("/no/such/file").close()
    if kind == "memory":
        raise MemoryError
    return {}[item]


def die_once(folder: Path, item: int) -> int:
    """End the process that does item 5, the first time. Each try leaves a file."""
    (folder / f"{item}-{os.getpid()}").touch()
    if item == 5 and len(list(folder.glob("5-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def die(item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def never_end(item: int) -> None:
    """Tell of this process, and wait for what never comes."""
    print(os.getpid(), flush=True)
    threading.Event().wait()


def ends(told: Path) -> bool:
    """Whether the process, whose number is in the file ``told``, ends within a minute."""
    try:
        process = os.pidfd_open(int(told.read_text()))
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 60)[0])
    finally:
        os.close(process)


class Killer:
    """Hears the progress of what ``workers`` do, and kills one of them when ``after`` are done."""

    def __init__(self, workers: Workers, after: int) -> None:
        assert isinstance(workers, Cluster)
        self.killed = 0     # its process
        self._workers, self._after = workers, after

    def __call__(self, text: str) -> None:
        stage = Stage.of(text)
        if not self.killed and stage.total and stage.done >= self._after:
            self.killed = next(iter(self._workers._client.run(os.getpid).values()))
            os.kill(self.killed, signal.SIGKILL)


class Opened:
    """A device of which a process has one. Each that is opened and closed leaves a line."""

    now = 0     # in this process

    def __init__(self, log: Path) -> None:
        self._log = log
        self._write("opened")

    def use(self, item: int) -> tuple[int, int]:
        """This process, and how many uses of devices there are in it at the time."""
        Opened.now += 1
        sum(range(20_000))     # time for another thread to come by
        found = Opened.now
        Opened.now -= 1
        return os.getpid(), found

    def close(self) -> None:
        self._write("closed")

    def _write(self, what: str) -> None:
        with self._log.open("a") as file:     # lines as short as these come whole
            file.write(f"{what} {os.getpid()}\n")


class Waiting:
    """Does an item until it is told to stop."""

    began = threading.Event()

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def wait(self, item: int) -> int:
        Waiting.began.set()
        self._stopped.wait()
        return item

    def stop(self) -> None:
        self._stopped.set()


def cannot_open(log: Path) -> Any:
    raise InputError(f"{log.name} cannot be opened")

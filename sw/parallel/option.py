"""``scheduler``: the workers that an option of the command line asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kaniwa.errors import InputError
from kaniwa.machine import cores
from kaniwa.parallel.workers import OneProcess, Workers

__all__ = ["scheduler"]

REMOTE = "tcp://"


@contextlib.contextmanager
def scheduler(option: str | None = None, jobs: int = 1) -> Iterator[Workers]:
    """The workers of ``option``, which are given up at the end.

    ``option`` is the address of a Dask scheduler (``tcp://HOST:PORT``), ``local`` for a Dask
    cluster of a process for each processor of this machine, or how many processes it has. Without
    it ``jobs`` processes do the work, without Dask: 1 is this very process.

    Raises InputError for another text, UnsupportedError where Dask is not installed, and
    DeviceError where the scheduler does not answer, has no workers, or where one of these has
    another version of kaniwa, Python or NumPy.
    """
    if option is None:
        if jobs == 1:
            yield OneProcess()
        else:
            from kaniwa.parallel.processes import LocalProcesses

            with contextlib.closing(LocalProcesses(jobs)) as processes:
                yield processes
        return
    count = check_option(option)
    from kaniwa.parallel.cluster import local_cluster, remote_cluster

    with local_cluster(count) if count else remote_cluster(option) as workers:
        yield workers


def check_option(option: str) -> int:
    """How many local processes ``option`` asks for; 0 for a scheduler at an address.

    Raises InputError where it is neither.
    """
    if option == "local":
        return cores()
    if option.isascii() and option.isdecimal() and 0 < int(option) < 1000:
        return int(option)
    host, _, port = option.removeprefix(REMOTE).rpartition(":")
    if option.startswith(REMOTE) and host and port.isdecimal() and int(port) < 65536:
        return 0
    raise InputError(f"scheduler '{option}': give tcp://HOST:PORT, local, or how many processes")

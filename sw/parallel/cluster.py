"""Workers of a Dask scheduler: a cluster of this machine's own, or one at an address."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from kaniwa.errors import DeviceError
from kaniwa.extras import installed, needed
from kaniwa.parallel.owners import SIMULATOR, check_owners, resource_of
from kaniwa.parallel.place import Sent, do_share, end, leave_interrupts
from kaniwa.parallel.stream import Given, Processes
from kaniwa.parallel.versions import difference, versions
from kaniwa.parallel.workers import Work

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "dask_setup", "local_cluster", "remote_cluster"]

ANSWER_SECONDS = 3.0      # for the scheduler to answer, and for workers to tell their versions
ALONE_SECONDS = 60.0      # that a scheduler may be without any worker
LONGEST_GREETING = 1 << 20     # bytes
LOOK_SECONDS = 1.0        # between two looks at the workers
CONFIG = {
    # Models are sent in tasks, so that they can be sent again: not a mistake, as Dask takes it.
    "distributed.admin.large-graph-warning-threshold": "1TB",
    # A local worker that ended is begun anew, however long that takes on a busy machine.
    "distributed.deploy.lost-worker-timeout": "1 hour",
    # Some items have processes of their own. Workers end with this process all the same.
    "distributed.worker.daemon": False,
}
# A call that needs no module of kaniwa at the other side: there may be none.
VERSIONS = "__import__('importlib').import_module('kaniwa.parallel.versions').versions()"


def dask_setup(worker: Any) -> None:
    """Of a local worker, when it begins."""
    leave_interrupts()


@contextlib.contextmanager
def local_cluster(count: int) -> Iterator[Cluster]:
    """``count`` worker processes of this machine, on a scheduler that only it can reach."""
    with _dask():
        from distributed import Client, LocalCluster

        with LocalCluster(
                n_workers=count, threads_per_worker=1, processes=True, host="127.0.0.1",
                dashboard_address="127.0.0.1:0", memory_limit=0,
                silence_logs=logging.CRITICAL, preload=[__name__],
                resources={SIMULATOR: 1}) as cluster, Client(cluster) as client:
            yield Cluster(client, f"{count} local worker{'s' * (count > 1)}", count)


@contextlib.contextmanager
def remote_cluster(address: str) -> Iterator[Cluster]:
    """The workers of the scheduler at ``address``, tcp://HOST:PORT."""
    with _dask():
        from distributed import Client

        _greet(address)
        with Client(address, timeout=ANSWER_SECONDS, set_as_default=False) as client:
            cluster = Cluster(client, address, 0)
            cluster.check_versions()
            yield cluster


def _greet(address: str) -> None:
    """Raise DeviceError where no Dask scheduler is at ``address``: Dask's client waits for long.

    A scheduler begins each connection with a message of its own, behind its length in eight bytes.
    """
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS) as line:
            try:
                length = int.from_bytes(line.recv(8, socket.MSG_WAITALL), "little")
            except TimeoutError:
                length = 0
    except OSError as error:
        raise DeviceError(f"{address}: no scheduler answers ({error.strerror or error}); start "
                          "one with `dask scheduler`") from None
    if not 0 < length < LONGEST_GREETING:
        raise DeviceError(f"{address}: what answers there is no Dask scheduler")


@contextlib.contextmanager
def _dask() -> Iterator[None]:
    """Dask with its own messages left out: what matters is told in a line of ours."""
    with needed("--scheduler", "cluster"):
        import dask
        import distributed  # noqa: F401

    # Dask gives its client a level of its own.
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with dask.config.set(CONFIG):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


class Cluster(Processes):
    """The workers of the scheduler that ``client`` is connected to; ``name`` is its address.

    ``local``: how many workers there are in a cluster of the command's own, 0 in another.
    """

    def __init__(self, client: Client, name: str, local: int) -> None:
        self.name = name
        self._client, self._local = client, local
        self._looked = self._seen = 0.0     # when workers were counted, and when there were any
        self._threads = local
        if installed("bokeh") and "dashboard" in client.scheduler_info(0)["services"]:
            self.dashboard = client.dashboard_link

    @property
    def count(self) -> int:     # type: ignore[override]
        """The threads of all workers there are now, which may come and go."""
        self._look()
        return max(1, self._threads)

    def _workers(self) -> dict[str, dict[str, Any]]:
        """What the scheduler tells of each worker, by its address."""
        workers: dict[str, dict[str, Any]] = self._client.scheduler_info(-1)["workers"]
        return workers

    def check_versions(self) -> None:
        """Raise DeviceError where there is no worker, or one has other versions than this process.

        The scheduler needs them, too, for tasks go through it.
        """
        client = self._client
        if not self._workers():
            raise DeviceError(f"{self.name}: has no workers; start one with `dask worker "
                              f"{self.name}`")
        told: dict[str, Any] = client.run(eval, VERSIONS, on_error="return")
        found = {f"worker {address}": each for address, each in told.items()}
        try:
            found["its scheduler"] = client.run_on_scheduler(eval, VERSIONS)
        except Exception as error:
            found["its scheduler"] = error
        for who, there in found.items():
            if not isinstance(there, dict):
                raise DeviceError(f"{self.name}: {who} has no kaniwa of this version, "
                                  f"{versions()['kaniwa']}: {there}")
            if (other := difference(versions(), there, who)) is not None:
                raise DeviceError(f"{self.name}: {other}")

    def _begin(self, work: Work, sent: Sent) -> Callable[[Sequence[Any]], Any]:
        client, resource = self._client, resource_of(work.device)
        if resource is not None:
            check_owners(self.name, self._workers(), work.device, bool(self._local))
        # A task that gives what it was given, not Dask's scatter: what was scattered to a worker
        # is lost with it, but a task is done again.
        held = client.submit(_same, sent, key=f"kaniwa-work-{sent.token}", pure=False)
        wanted = {} if resource is None else {"resources": {resource: 1}}

        def submit(items: Sequence[Any]) -> Any:
            return client.submit(do_share, held, items, key=f"kaniwa-{uuid.uuid4().hex}",
                                 pure=False, **wanted)

        return submit

    def _end(self, sent: Sent, given: Iterable[Given]) -> None:
        with contextlib.suppress(Exception):     # the scheduler may have gone
            self._client.cancel([each.future for each in given], force=True)
            self._client.run(end, sent.token, on_error="ignore")

    def _look(self) -> None:
        now = time.monotonic()
        if self._client.status != "running":
            raise self._gone()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        self._threads = sum(worker["nthreads"] for worker in self._workers().values())
        if self._threads or not self._seen:
            self._seen = now
        elif now - self._seen > ALONE_SECONDS:
            raise DeviceError(f"{self.name}: has had no worker for {ALONE_SECONDS:.0f} s")

    def _lost(self, error: Exception, items: str) -> Exception:
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            return DeviceError(f"{items}: {error.allowed_failures + 1} workers ended while they "
                               f"did it, the last was {error.last_worker.address}; it may need "
                               "more memory than they have")
        if isinstance(error, CancelledError | OSError):
            return self._gone()
        return DeviceError(f"{items}: {self.name}: {type(error).__name__}: {error}")

    def _gone(self) -> DeviceError:
        return DeviceError(f"{self.name}: the scheduler has gone; start it and this command again")


def _same(sent: Sent) -> Sent:
    return sent

"""Workers of Dask: on a scheduler of this machine, which is like one elsewhere."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.parallel_items import Opened, die_once, fail, refuse, square

import kaniwa
from kaniwa import cli
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.evaluation.compared import ComparedRun, Reference, open_run
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.parallel import Workers, cluster, scheduler, stream
from kaniwa.parallel.versions import versions
from kaniwa.parallel.workers import Work

TESTS = Path(__file__).resolve().parents[2]


def tasks(dask_cluster: Any) -> int:
    """The tasks that the scheduler knows."""
    return len(dask_cluster.scheduler.tasks)


def test_results_are_in_the_order_of_the_items(workers: Workers, address: str) -> None:
    told: list[Any] = []
    found = list(workers.map(Work(square, at_once=7), range(200), told.append))
    assert found == [item * item for item in range(200)]
    assert (told[-1].done, told[-1].total) == (200, 200)
    assert (workers.name, workers.count) == (address, 4)


def test_a_worker_that_ends_loses_nothing(workers: Workers, tmp_path: Path) -> None:
    found = list(workers.map(Work(partial(die_once, tmp_path), at_once=3), range(40)))
    assert found == [item * item for item in range(40)]
    assert len({path.name for path in tmp_path.glob("5-*")}) >= 2, "no worker has ended"


def test_an_error_of_an_item_is_told_once(workers: Workers, tmp_path: Path) -> None:
    found = workers.map(Work(partial(refuse, 3), name="image {}".format), range(20))
    assert list(islice(found, 3)) == [0, 1, 2]
    with pytest.raises(kaniwa.MemoryTooSmallError, match="^image 3: 3 is too much$") as error:
        next(found)
    assert error.value.needed_bytes == 12
    with pytest.raises(RuntimeError, match="^item 0: KeyError at parallel_items.py:"):
        list(workers.map(partial(fail, "code"), range(3)))


def test_a_device_is_opened_once_in_a_worker_and_used_by_one_task(
        workers: Workers, tmp_path: Path, dask_cluster: Any) -> None:
    """Though its workers have two threads."""
    work = Work(Opened.use, partial(Opened, tmp_path / "log"), device="sim")
    found = list(workers.map(work, range(60)))
    assert {uses for _, uses in found} == {1}
    lines = (tmp_path / "log").read_text().splitlines()
    used = {str(pid) for pid, _ in found}
    opened = [line.split()[1] for line in lines if line.startswith("opened")]
    assert sorted(opened) == sorted(used)
    assert sorted(line.split()[1] for line in lines if line.startswith("closed")) == sorted(used)


def test_a_device_that_no_worker_owns_is_told(workers: Workers, address: str) -> None:
    work = Work(Opened.use, partial(Opened, Path("log")), device="serial:/dev/ttyUSB0")
    with pytest.raises(kaniwa.DeviceError, match=f"^{address}: no worker owns kaniwa-device"):
        list(workers.map(work, range(3)))


def test_work_that_is_left_leaves_nothing(workers: Workers, tmp_path: Path, dask_cluster: Any
                                          ) -> None:
    work = Work(Opened.use, partial(Opened, tmp_path / "log"), device="sim")
    found = workers.map(work, iter(range(10**9)))
    assert len(list(islice(found, 5))) == 5
    found.close()
    with scheduler(dask_cluster.scheduler_address) as again:     # behind all that was running
        list(again.map(Work(Opened.use, partial(Opened, tmp_path / "other"), device="sim"),
                       range(30)))
    lines = [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines.count("opened") == lines.count("closed") > 0
    assert tasks(dask_cluster) == 0


def test_a_worker_with_another_version_is_refused(
        address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "versions", lambda: versions() | {"NumPy": "1.0"})
    with pytest.raises(kaniwa.DeviceError, match=(
            f"^{address}: worker tcp://[^ ]* has NumPy {np.__version__}, this command has 1.0: "
            "install the same on both$")), scheduler(address):
        pass


def test_a_worker_that_comes_later_is_refused_as_well(
        workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "versions", lambda: versions() | {"Python": "3.0"})
    with pytest.raises(kaniwa.DeviceError, match="has Python [^ ]*, this command has 3.0"):
        list(workers.map(square, range(3)))


def test_a_scheduler_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(kaniwa.DeviceError, match=(
            f"^tcp://127.0.0.1:{port}: no scheduler answers .Connection refused.; start one with "
            "`dask scheduler`$")), scheduler(f"tcp://127.0.0.1:{port}"):
        pass


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH\r\n"])
def test_another_server_is_no_scheduler(greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(server: socket.socket) -> None:
        line, _ = server.accept()
        with line, suppress(OSError):
            line.sendall(greeting)
            line.recv(1)

    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        with pytest.raises(kaniwa.DeviceError, match="is no Dask scheduler$"), scheduler(address):
            pass
        thread.join()


def test_without_dask_the_extra_is_named(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "tests" / "without_extras.py"), "evaluate",
         str(root / "models" / "mlperf_ic_resnet8.tflite"), "--data",
         str(root / "models" / "inputs" / "resnet8_ten.npz"), "--scheduler", "2"],
        capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"kaniwa: --scheduler needs distributed: pip install .*\[cluster\].*\n",
                        done.stderr)


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What ``kaniwa evaluate --json`` prints, without times."""
    with pytest.raises(SystemExit):
        cli.main(["evaluate", *arguments, "--json"])
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {name: value for name, value in values.items() if not name.startswith("seconds")}


def test_evaluate_finds_the_same_as_in_one_process(
        models: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = (str(models / "mlperf_ic_resnet8.tflite"), "--data",
             str(models / "inputs" / "resnet8_ten.npz"), "--limit", "4")
    there = evaluated(capsys, *given, "--scheduler", address)
    assert there == evaluated(capsys, *given)
    assert (there["inferences"], there["correct"], there["mismatches"]) == (4, 4, 0)


@pytest.fixture
def images() -> Work:
    """Inferences of a network of one operator on the emulator, compared with golden."""
    b = ModelBuilder()
    image, sums = (b.tensor(name, [1, 8, 8, 1], scale=0.5, zero_point=3) for name in ("x", "y"))
    b.op("ADD", [image, image], [sums])
    graph = import_tflite(b.build([image], [sums]), "sums")
    program = kaniwa.compile(graph, target="base")
    reference = Reference("golden", b"", graph)
    return Work(ComparedRun.infer, partial(open_run, program, "emulator", {}, reference),
                at_once=32)


def infer_and_kill(address: str, work: Work, count: int) -> None:
    """Assert that results are those of one process, though a worker is killed in the middle."""
    make = np.random.default_rng(5)
    graph_input = work.open.args[0].inputs[0]     # type: ignore[union-attr]
    items = [{graph_input.name: make.integers(-128, 128, graph_input.shape, np.int8)}
             for _ in range(count)]
    killed = 0
    with scheduler(address) as workers, scheduler() as alone:
        found, there = workers.map(work, items), []
        for number, result in enumerate(found):
            there.append(result)
            if number == count // 4:
                killed = next(iter(workers._client.run(os.getpid).values()))
                os.kill(killed, signal.SIGKILL)
        here = list(alone.map(work, items))
    assert killed and len(there) == count
    for one, other in zip(here, there, strict=True):
        assert one.output.tobytes() == other.output.tobytes() and one.different == 0
        assert (one.output.dtype, one.different) == (other.output.dtype, other.different)


def test_images_are_the_same_though_a_worker_is_killed(
        address: str, images: Work) -> None:
    infer_and_kill(address, images, 60)


@pytest.mark.long
def test_ten_thousand_images_are_the_same_though_a_worker_is_killed(
        address: str, images: Work) -> None:
    infer_and_kill(address, images, 10_000)


INTERRUPTED = """
import signal

from builders.parallel_items import never_end
from kaniwa.parallel import scheduler

if __name__ == "__main__":
    # Where the tests run in the background of a shell, Ctrl-C is ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with scheduler("1") as workers:
            list(workers.map(never_end, range(9)))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_an_interrupt_ends_local_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
                               start_new_session=True, stderr=subprocess.PIPE,
                               env=os.environ | {"PYTHONPATH": str(TESTS)})
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (out, errors, process.returncode) == ("interrupted\n", "", 0)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)

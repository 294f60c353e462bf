"""Workers without Dask: this process and some processes do the same, in order."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, islice
from pathlib import Path

import pytest
from builders.parallel_items import (
    Opened,
    Waiting,
    cannot_open,
    die,
    fail,
    process,
    refuse,
    square,
)

import kaniwa
from kaniwa.parallel import Workers, place, scheduler
from kaniwa.parallel.option import check_option
from kaniwa.parallel.owners import BOARD, SIMULATOR, check_owners, resource_of
from kaniwa.parallel.place import Sent, do_share, end
from kaniwa.parallel.stream import _pickled
from kaniwa.parallel.versions import versions
from kaniwa.parallel.workers import Work


@pytest.fixture(params=[1, 2])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    with scheduler(jobs=request.param) as opened:
        yield opened


def test_results_are_in_the_order_of_the_items(workers: Workers) -> None:
    told: list[kaniwa.stage.Stage] = []
    found = list(workers.map(Work(square, at_once=3), range(20), told.append))
    assert found == [item * item for item in range(20)]
    assert [stage.done for stage in told] == sorted(stage.done for stage in told)
    assert (told[-1].done, told[-1].total, told[-1]) == (20, 20, "20 of 20 items")


def test_items_may_be_endless(workers: Workers) -> None:
    found = workers.map(square, count())
    assert list(islice(found, 5)) == [0, 1, 4, 9, 16]
    found.close()
    assert not multiprocessing.active_children()


def test_processes_serve_one_map_after_the_other() -> None:
    with scheduler(jobs=2) as workers:
        assert list(workers.map(square, range(3))) == [0, 1, 4]
        first = {process.pid for process in multiprocessing.active_children()}
        assert list(workers.map(square, range(3))) == [0, 1, 4]
        assert first and first <= {process.pid for process in multiprocessing.active_children()}
    assert not multiprocessing.active_children()


def test_an_error_of_an_item_has_its_name_and_its_class(workers: Workers) -> None:
    work = Work(partial(refuse, 3), name="image {}".format)
    found = workers.map(work, range(20))
    assert list(islice(found, 3)) == [0, 1, 2]
    with pytest.raises(kaniwa.MemoryTooSmallError, match="^image 3: 3 is too much$") as error:
        next(found)
    assert error.value.needed_bytes == 12
    assert vars(error.value) == {"needed_bytes": 12} and error.value.__cause__ is not None


@pytest.mark.parametrize(("kind", "error", "said"), [
    ("code", RuntimeError, "^item 0: KeyError at parallel_items.py:[0-9]+: 0$"),
    ("file", kaniwa.Error, "^item 0: /no/such/file: No such file or directory$"),
    ("memory", kaniwa.Error, "^item 0: out of memory$")])
def test_other_errors_are_told_in_a_line(kind: str, error: type[Exception], said: str) -> None:
    for jobs in (1, 2) if kind == "code" else (1,):
        with scheduler(jobs=jobs) as workers, pytest.raises(error, match=said):
            list(workers.map(partial(fail, kind), range(3)))


def test_what_a_work_opens_is_closed(workers: Workers, tmp_path: Path) -> None:
    work = Work(Opened.use, partial(Opened, tmp_path / "log"))
    found = list(workers.map(work, range(20)))
    assert {uses for _, uses in found} == {1}
    lines = (tmp_path / "log").read_text().splitlines()
    assert len([line for line in lines if line.startswith("opened")]) == len(set(found))
    if workers.count == 1:
        assert [line.split()[0] for line in lines] == ["opened", "closed"]


def test_what_cannot_be_opened_is_no_error_of_an_item() -> None:
    with scheduler(jobs=2) as workers, pytest.raises(
            kaniwa.InputError, match="^the worker on [^:]*: log cannot be opened$"):
        list(workers.map(Work(Opened.use, partial(cannot_open, Path("log"))), range(4)))


def test_a_process_that_ends_is_told_with_its_items() -> None:
    with scheduler(jobs=2) as workers, pytest.raises(
            kaniwa.DeviceError, match="^item 0: the process that did it ended: "):
        list(workers.map(die, range(4)))
    assert not multiprocessing.active_children()


def test_one_process_is_this_one() -> None:
    import os

    with scheduler() as workers:
        assert set(workers.map(process, range(3))) == {os.getpid()}


def test_work_of_a_function_inside_a_function_is_refused() -> None:
    with scheduler(jobs=2) as workers, pytest.raises(
            kaniwa.InputError, match="give functions of modules"):
        list(workers.map(lambda item: item, range(3)))


def test_a_worker_with_other_versions_refuses_and_says_so() -> None:
    sent = Sent("t", b"not even a pickle", versions() | {"NumPy": "1.0"})
    share = do_share(sent, [1])
    assert share.results == [] and share.failure is not None
    error = share.failure.error(share.where)
    assert isinstance(error, kaniwa.DeviceError)
    assert "this command has 1.0: install the same on both" in str(error)


def sent_work(token: str, log: Path, device: str = "") -> Sent:
    return Sent(token, _pickled(Work(Opened.use, partial(Opened, log), device=device)),
                versions())


def test_a_place_is_closed_at_the_end_of_its_work(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(3):
        assert len(do_share(sent_work("ended", log), [1, 2]).results) == 2
    assert Counter(line.split()[0] for line in log.read_text().splitlines()) == {"opened": 1}
    end("ended")
    end("ended")
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["opened", "closed"]


def test_a_task_behind_the_end_of_its_work_opens_nothing(tmp_path: Path) -> None:
    """It was on its way when the command was interrupted."""
    end("late")
    assert do_share(sent_work("late", tmp_path / "log"), [1, 2]).results == []
    assert not (tmp_path / "log").exists()


def test_a_work_with_a_device_closes_the_devices_of_others(tmp_path: Path) -> None:
    """Two commands on one worker: the port of one must be free for the other."""
    one, other, plain = (tmp_path / name for name in ("one", "other", "plain"))
    do_share(sent_work("plain", plain), [1])
    do_share(sent_work("one", one, "serial:/dev/ttyUSB0"), [1])
    do_share(sent_work("other", other, "serial:/dev/ttyUSB0"), [1])
    assert [line.split()[0] for line in one.read_text().splitlines()] == ["opened", "closed"]
    assert [line.split()[0] for line in plain.read_text().splitlines()] == ["opened"]
    do_share(sent_work("one", one, "serial:/dev/ttyUSB0"), [1])
    assert "closed" in other.read_text()
    for token in ("one", "other", "plain"):
        end(token)


def test_a_process_keeps_few_works_that_nobody_ended(tmp_path: Path) -> None:
    for number in range(place.KEPT + 5):
        do_share(sent_work(str(number), tmp_path / "log"), [1])
    lines = Counter(line.split()[0] for line in (tmp_path / "log").read_text().splitlines())
    assert lines["opened"] - lines["closed"] == place.KEPT + 1
    for number in range(place.KEPT + 5):
        end(str(number))


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1000", "tcp://", "tcp://host", "tcp://:1",
                                  "tcp://host:x", "tcp://host:99999", "http://host:1", "²"])
def test_another_option_is_refused(text: str) -> None:
    with pytest.raises(kaniwa.InputError, match="give tcp://HOST:PORT, local, or how many"):
        check_option(text)


def test_the_options() -> None:
    assert check_option("tcp://10.0.0.2:8786") == 0
    assert check_option("3") == 3
    assert check_option("local") >= 1


@pytest.mark.parametrize(("device", "resource"), [
    ("", None), ("golden", None), ("emulator", None), ("sim", SIMULATOR),
    ("sim:ulx3s_85f", SIMULATOR), ("serial:/dev/ttyUSB0", BOARD), ("tcp:host:1", BOARD),
    ("udp:host", BOARD), ("uio:/dev/uio0", BOARD), ("mem:0x43c00000", BOARD)])
def test_the_resource_of_a_device(device: str, resource: str | None) -> None:
    assert resource_of(device) == resource


def owners(*boards: tuple[str, int]) -> dict[str, dict[str, dict[str, float]]]:
    return {f"tcp://{host}:{4000 + n}": {"resources": {BOARD: float(count)} if count else {}}
            for n, (host, count) in enumerate(boards)}


def test_workers_on_different_machines_own_a_board_each() -> None:
    workers = owners(("10.0.0.2", 1), ("10.0.0.3", 1), ("10.0.0.3", 0))
    check_owners("tcp://s:1", workers, "serial:/dev/ttyUSB0", False)
    check_owners("tcp://s:1", owners(("10.0.0.2", 1), ("10.0.0.3", 0)), "tcp:b:1", False)


@pytest.mark.parametrize(("device", "workers", "local", "said"), [
    ("serial:/dev/ttyUSB0", owners(("10.0.0.2", 0)), False,
     "^tcp://s:1: no worker owns kaniwa-device, which serial:/dev/ttyUSB0 needs; start one with "
     "`dask worker tcp://s:1 --resources kaniwa-device=1`$"),
    ("sim", {}, False, "no worker owns kaniwa-simulator"),
    ("serial:/dev/ttyUSB0", owners(("10.0.0.2", 2)), False, "on 10.0.0.2 own 2 of kaniwa-device"),
    ("serial:/dev/ttyUSB0", owners(("10.0.0.2", 1), ("10.0.0.2", 1)), False, "on 10.0.0.2 own 2"),
    ("tcp:board:1", owners(("10.0.0.2", 1), ("10.0.0.3", 1)), False, "workers own 2 of"),
    ("udp:board", owners(("10.0.0.2", 1), ("10.0.0.3", 1)), False, "workers own 2 of"),
    ("uio:/dev/uio0", {}, True, "is one board, not one for each local worker")])
def test_a_board_is_never_shared(device: str, workers: dict, local: bool, said: str) -> None:
    with pytest.raises(kaniwa.DeviceError, match=said) as error:
        check_owners("tcp://s:1", workers, device, local)
    assert "\n" not in str(error.value)


def test_what_is_being_done_is_told_to_stop_when_its_work_ends() -> None:
    sent = Sent("waiting", _pickled(Work(Waiting.wait, Waiting)), versions())
    with ThreadPoolExecutor(1) as thread:
        share = thread.submit(do_share, sent, [1, 2])
        assert Waiting.began.wait(60)
        end("waiting")
        assert share.result(60).results == [1]

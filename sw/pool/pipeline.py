"""Pipeline: the stages of a model on a device each, several inferences on their way at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from kaniwa.data.arguments import expect, expect_each
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Outputs
from kaniwa.errors import DeviceError, InputError
from kaniwa.pool.member import CLOCK_MHZ, Member, Members, open_members
from kaniwa.program.program import Program

__all__ = ["Pipeline"]

AHEAD = 2     # inferences that wait before each stage, at most


class _Item:
    """An inference on its way: the values that have crossed so far, by name, or its error."""

    def __init__(self, values: Outputs, error: BaseException | None = None) -> None:
        self.values = values
        self.error = error


class Pipeline(Members):
    """``programs`` are the stages of a model in order (``split``), each on the device of its place.

    ``inputs`` and ``outputs`` are the names of the model's: by default what stages read and none
    before them gives, and what stages give and none behind them reads. Results are those of the
    whole model on one device. Raises DeviceError naming the device that cannot be opened or is not
    of its stage's target, or a name that no stage has.
    """

    def __init__(self, devices: Sequence[str | Device], programs: Sequence[Program], *,
                 inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None,
                 clock_mhz: float = CLOCK_MHZ,
                 progress: Callable[[str], None] | None = None) -> None:
        devices = expect_each("devices", devices, str, Device)
        programs = expect_each("programs", programs, Program)
        if len(devices) != len(programs) or not programs:
            raise DeviceError(f"a pipeline of {len(programs)} stages needs as many devices, not "
                              f"{len(devices)}")
        self.inputs, self.outputs = _ends(programs, inputs, outputs)
        super().__init__("pipeline", open_members(
            devices, [[program] for program in programs], clock_mhz, progress))

    def map(self, inputs: Iterable[Outputs]) -> Iterator[Outputs]:
        """The outputs of each of ``inputs`` (arrays by name), in order.

        State goes on from one inference to the next, on the device of its stage. Raises InputError
        in the turn of arrays that do not fit, and DeviceError naming the stage whose device
        failed, in the turn of the inference that it failed with.
        """
        self._check_open()
        expect("inputs", inputs, Iterable)
        queues: list[queue.SimpleQueue[_Item | None]] = [
            queue.SimpleQueue() for _ in range(len(self._members) + 1)]
        stop = threading.Event()
        threads = [threading.Thread(target=self._serve, name=f"kaniwa-stage-{n}",
                                    args=(n, queues[n], queues[n + 1], stop))
                   for n in range(len(self._members))]
        for thread in threads:
            thread.start()
        on_the_way, most = 0, (1 + AHEAD) * len(threads)
        try:
            for arrays in inputs:
                queues[0].put(self._item(arrays))
                on_the_way += 1
                if on_the_way == most:
                    on_the_way -= 1
                    yield self._result(queues[-1].get())
            for _ in range(on_the_way):
                yield self._result(queues[-1].get())
        finally:
            stop.set()
            queues[0].put(None)
            for thread in threads:
                thread.join()

    def reset(self) -> None:
        """Clear the state of recurrent models, in all stages."""
        for member in self._members:
            member.session.reset()

    def _item(self, arrays: Outputs) -> _Item:
        if not isinstance(arrays, Mapping):
            return _Item({}, InputError("a pipeline expected arrays by the names of its inputs, "
                                        f"found {type(arrays).__name__}"))
        item = _Item(dict(arrays))
        if set(arrays) != set(self.inputs):
            item.error = InputError(f"the pipeline expected inputs {sorted(self.inputs)}, found "
                                    f"{sorted(arrays)}")
        return item

    def _result(self, item: _Item | None) -> Outputs:
        assert item is not None
        if item.error is not None:
            raise item.error
        return {name: item.values[name] for name in self.outputs}

    def _serve(self, number: int, incoming: queue.SimpleQueue[_Item | None],
               outgoing: queue.SimpleQueue[_Item | None], stop: threading.Event) -> None:
        """Do a stage's part of each inference that comes in, and pass it on."""
        member = self._members[number]
        while (item := incoming.get()) is not None:
            if item.error is None and not stop.is_set():
                try:
                    self._step(number, member, item)
                except BaseException as error:
                    item.error = error
            outgoing.put(item)
        outgoing.put(None)

    def _step(self, number: int, member: Member, item: _Item) -> None:
        if member.lost is not None:
            raise member.lost
        inputs = {t.name: item.values[t.name] for t in member.session.program.inputs}
        try:
            outputs = member.step(inputs, False)
        except DeviceError as error:
            member.lost = DeviceError(f"stage {number} of the pipeline, {member.name}: {error}")
            raise member.lost from None
        item.values.update(outputs)


def _ends(programs: Sequence[Program], inputs: Sequence[str] | None,
          outputs: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the whole model's inputs and outputs; DeviceError where a given one is none."""
    read = dict.fromkeys(t.name for program in programs for t in program.inputs)
    made = dict.fromkeys(t.name for program in programs for t in program.outputs)
    taken = [name for name in read if name not in made] if inputs is None else (
        expect_each("inputs", inputs, str))
    given = [name for name in made if name not in read] if outputs is None else (
        expect_each("outputs", outputs, str))
    for number, program in enumerate(programs):
        before = {t.name for earlier in programs[:number] for t in earlier.outputs}
        for tensor in program.inputs:
            if tensor.name not in before and tensor.name not in taken:
                raise DeviceError(f"stage {number} of the pipeline, {program.name}: reads "
                                  f"'{tensor.name}', which no stage before it gives")
    for name in given:
        if name not in made:
            raise DeviceError(f"no stage of the pipeline gives '{name}': they give "
                              f"{', '.join(made)}")
    return tuple(taken), tuple(given)

"""Session: a program on a device, fed with arrays; and the operators that the host runs."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.data.arguments import expect
from kaniwa.data.inputs import quantize
from kaniwa.data.labels import dequantize
from kaniwa.driver.devices import Device, GoldenDevice, NamesInstructions, SimulatedMemory
from kaniwa.driver.overlap import PLACES, WINDOW, Item, Overlap
from kaniwa.driver.residents import residents_of
from kaniwa.driver.session_state import SessionState, Values
from kaniwa.driver.stream.double_buffer import DoubleBuffer, settle
from kaniwa.errors import DeviceError, InputError
from kaniwa.isa.counters import RunStatistics, in_turn
from kaniwa.program.host_run import host_graph, run_host_op
from kaniwa.program.layer_facts import layer_facts, layer_numbers
from kaniwa.program.program import LayerInfo, Program, Step, TensorInfo
from kaniwa.program.run_names import instruction_names

__all__ = ["Inference", "Session", "Statistics", "forget_image"]

Arrays = Mapping[str, np.ndarray] | Sequence[np.ndarray]
Outputs = dict[str, np.ndarray]

logger = logging.getLogger(__name__)


def forget_image(device: Device) -> None:
    """Say that ``device``'s memory was overwritten: the next run of a session loads its image."""
    residents_of(device).forget()


@dataclass(frozen=True)
class Statistics:
    """One inference. ``layers`` are dicts of name, op, macs, cycles, utilization, lost, the
    number among all layers, those of the host too, what dead channels removed, and shape and
    kernel (``layer_facts``).

    ``cycles`` are the device's own: counted by a simulated core, estimated by the emulator, 0 on
    golden. The cycles of the layers add up to them; layers is empty where a device has no
    counters. ``utilization`` is macs / (cycles * multipliers). ``seconds`` passed on the host.
    """

    cycles: int
    macs: int
    utilization: float
    layers: list[dict[str, Any]]
    seconds: float


@dataclass(eq=False)
class Inference:
    """Data that an inference's steps work on: inputs, values known by tensor id, and counts."""

    arrays: dict[str, np.ndarray]
    values: Values
    as_float: bool
    state: Values      # of the inference before, where the next finds its own
    begun: bool = False
    runs: list[RunStatistics] = field(default_factory=list)
    statistics: Statistics | None = None


class Session:
    """Runs ``program`` on ``device``; a model's state is cleared at first, and by ``reset``.

    Its image is loaded at once, and again where a program that overlaps it was loaded meanwhile.
    A device without a target takes the program's; emulator and sim get the outside memory that it
    needs, unless they were opened with another. Raises DeviceError where the device is of another
    config, lacks outside memory that the program needs, or, for golden, where the program
    was not compiled in this process. ``loaded``: the device loaded the image by itself, as from
    flash; it is read and compared in place of being written. ``watch`` may be set to what goes
    round each step.
    """

    def __init__(self, program: Program, device: Device, loaded: bool = False) -> None:
        self.program = expect("program", program, Program)
        self.device = expect("device", device, Device)
        self._loaded = loaded
        self.watch: Callable[[Step], AbstractContextManager[None]] = lambda step: nullcontext()
        self.stats: Statistics | None = None
        self._residents = residents_of(device)
        self._lock = self._residents.lock
        self._values: Values = {}     # of the last inference, as far as known
        self._host = host_graph(program)
        golden = isinstance(device, GoldenDevice)
        self._state = SessionState(program, frozenset() if golden else program.resident, self.read)
        self._pipeline = Overlap[Inference, Outputs](
            (Step("device", 0, 0, (), ()),) if golden else program.steps, self._do, self._finish)
        self._double = (DoubleBuffer(program, device)
                        if program.double_buffered and not golden else None)
        _check_target(program, device)
        if isinstance(device, GoldenDevice):
            if program.graph is None:
                raise DeviceError(f"{program.name}: the golden device runs the model itself: give "
                                  "the model, not a program file")
        else:
            with self._lock:
                self._load()

    def run(self, inputs: Arrays, as_float: bool = False) -> Outputs:
        """The outputs by name for ``inputs``, by name or in the model's order.

        Arrays are of the model's shapes and dtypes (quantized); with ``as_float`` they are real
        numbers, and so are the outputs. Raises InputError naming tensor, expected and found.
        """
        item = self._pipeline.submit(self._begin(inputs, as_float), self._stateful)
        try:
            self._pipeline.work(item)
        finally:
            self._pipeline.cancel([item])
        return item.future.result()

    def submit(self, inputs: Arrays, as_float: bool = False) -> Future[Outputs]:
        """Run in the background; inferences end in the order of submission.

        The host's part of one runs while the device has another.
        """
        try:
            inference = self._begin(inputs, as_float)
        except InputError as error:
            failed: Future[Outputs] = Future()
            failed.set_exception(error)
            return failed
        item = self._pipeline.submit(inference, self._stateful)
        self._pipeline.start()
        return item.future

    def map(self, inputs: Iterable[Arrays], as_float: bool = False,
            keep_state: bool = True) -> Iterator[Outputs]:
        """The outputs of each of ``inputs``, in order; ``stats`` are those of the last one given.

        Like ``submit``, but the device works in the caller's thread, while it waits for outputs.
        Without ``keep_state`` each inference begins with cleared state.
        """
        expect("inputs", inputs, Iterable)
        waiting: deque[Item[Inference, Outputs]] = deque()
        try:
            for arrays in inputs:
                waiting.append(self._pipeline.submit(
                    self._begin(arrays, as_float, keep_state), self._stateful and keep_state))
                if len(waiting) == WINDOW:
                    yield self._wait_for(waiting)
            while waiting:
                yield self._wait_for(waiting)
        finally:
            self._pipeline.cancel(waiting)

    def _wait_for(self, waiting: deque[Item[Inference, Outputs]]) -> Outputs:
        """The outputs of the first inference of ``waiting``, which is then taken from there."""
        item = waiting[0]
        if self.program.host_ops:
            self._pipeline.start(("host",))
        self._pipeline.work(item, PLACES if not self.program.host_ops else ("device",))
        waiting.popleft()
        outputs = item.future.result()
        self.stats, self._values = item.state.statistics, item.state.values
        return outputs

    def reset(self) -> None:
        """Clear the state of recurrent models; models without state are not affected."""
        with self._lock:
            self._state.reset()

    def tensor(self, name: str) -> np.ndarray:
        """The value of a stored tensor after the last inference.

        Raises DeviceError where the tensor is not stored, or not in full, or its memory was
        reused by the end of the program.
        """
        found = next((t for t in self.program.tensors if t.name == name), None)
        if found is None:
            raise DeviceError(f"{self.program.name}: the program stores no tensor '{name}'; "
                              "compile with --materialize to store all")
        return self.value(found)

    def value(self, tensor: TensorInfo) -> np.ndarray:
        """As ``tensor``, for a tensor of the program: names of two may be the same."""
        with self._lock:
            if tensor.id in self._values:
                return self._values[tensor.id]
            if tensor.address is None or tensor.overwritten is not None:
                raise DeviceError(f"{self.program.name}: tensor '{tensor.name}' is not in device "
                                  "memory at the end; compile with --materialize to keep all")
            if tensor.channels is not None:
                raise DeviceError(f"{self.program.name}: tensor '{tensor.name}' is stored without "
                                  "its dead channels; compile with --keep-dead-channels")
            if self._double is not None and self._double.ahead():
                raise DeviceError(f"{self.program.name}: tensor '{tensor.name}' is not in device "
                                  "memory: the next inference is there; ask once that has ended")
            if not isinstance(self.device, GoldenDevice) and not self._residents.hold(self):
                raise DeviceError(f"{self.program.name}: tensor '{tensor.name}' is no longer in "
                                  "device memory, which was given to another program or lost: run "
                                  "it again")
            return self.read(tensor)

    def read(self, tensor: TensorInfo) -> np.ndarray:
        """Present content of device memory where ``tensor`` is stored."""
        place = 0 if self._double is None else self._double.last
        address = self.program.place_of(tensor.id, place)
        assert address is not None
        return tensor.from_device(self.device.read(address, tensor.bytes))

    def write_inputs(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Make device memory ready for the first run of these checked inputs.

        The host's part before it is run, the image is loaded if need be.
        """
        values = self._named(arrays)
        for step in self.program.steps:
            if step.where == "device":
                self._write(step, values, {})
                return
            self._run_on_host(step, values)

    def run_until(self, instruction: int, inputs: Mapping[str, np.ndarray]) -> None:
        """Do the steps up to the run with ``instruction``, whose END the caller has put there."""
        values = self._named(inputs)
        for step in self.program.steps:
            if step.where == "host":
                self._run_on_host(step, values)
                continue
            self._run_on_device(step, values, {})
            if instruction < step.first + step.count:
                return

    def leave(self) -> None:
        """Fetch the state that device memory alone has: that will be another's."""
        self._state.fetch()

    def _load(self) -> None:
        """Write the image, beside those of other sessions that it does not overlap."""
        settle(self.device)
        self._state.forget()
        try:
            self._residents.make_room(self, isinstance(self.device, SimulatedMemory))
            if self._loaded:
                self._compare_image()
            else:
                self._write_image()
        except BaseException:
            self._residents.forget()
            raise
        self._residents.add(self)

    def _write_image(self) -> None:
        program = self.program
        if program.outside is not None and isinstance(self.device, SimulatedMemory):
            self.device.add_outside(program.outside)
        try:
            for address, data in program.images:
                self.device.write(address, data)
                logger.debug("%s: %d bytes to %s at %#x", program.name, len(data),
                             self.device.name, address)
        except DeviceError as error:
            if program.outside is None:
                raise
            raise DeviceError(f"{program.name}: needs outside memory: open the device with "
                              f"outside='{program.outside}' ({error})") from None

    def _compare_image(self) -> None:
        for address, data in self.program.images:
            found = self.device.read(address, len(data))
            if found != data:
                at = next(i for i, pair in enumerate(zip(found, data, strict=True))
                          if pair[0] != pair[1])
                raise DeviceError(f"{self.program.name}: the device has not loaded this program: "
                                  f"at {address + at:#x} its memory has {found[at]}, wanted is "
                                  f"{data[at]}; write its flash anew with kaniwa flash, or let the "
                                  "host load the program")

    @property
    def _stateful(self) -> bool:
        """True where an inference has to wait for the one before."""
        return bool(self.program.state)

    def _begin(self, inputs: Arrays, as_float: bool, keep_state: bool = True) -> Inference:
        arrays = self._check_inputs(inputs, as_float)
        return Inference(arrays, self._named(arrays), as_float,
                          self._state.own if keep_state else {})

    def _do(self, step: Step, inference: Inference) -> None:
        values, state = inference.values, inference.state
        if not inference.begun:
            values.update(state)
            inference.begun = True
        if isinstance(self.device, GoldenDevice):
            assert self.program.graph is not None
            values.update(self.device.run_graph(self.program.graph, inference.arrays, dict(state)))
        elif step.where == "host":
            with self.watch(step):
                self._run_on_host(step, inference.values)
        else:
            with self._lock, self.watch(step):
                inference.runs.append(self._run_on_device(step, values, state)
                                      if self._double is None
                                      else self._run_in_turn(step, inference, self._double))

    def _finish(self, item: Item[Inference, Outputs]) -> Outputs:
        inference = item.state
        seconds = time.perf_counter() - item.began
        self._values = inference.values
        self._state.finish(inference.values, inference.state)
        inference.statistics = self.stats = self._statistics(
            in_turn(inference.runs) if inference.runs else None, seconds)
        outputs = {t.name: inference.values[t.id] for t in self.program.outputs}
        if inference.as_float:
            outputs = {t.name: dequantize(outputs[t.name], t) for t in self.program.outputs}
        return outputs

    def _named(self, arrays: Mapping[str, np.ndarray]) -> Values:
        """Values known before the first step, by tensor id."""
        constants = {t.id: t.data for t in self._host.tensors if t.data is not None}
        initial = {s.tensor: s.initial for s in self._host.state}
        return constants | initial | {t.id: arrays[t.name] for t in self.program.inputs}

    def _run_on_host(self, step: Step, values: Values) -> None:
        for op in self._host.ops[step.first:step.first + step.count]:
            values.update(zip(op.outputs, run_host_op(self._host, op, values), strict=True))

    def _run_on_device(self, step: Step, values: Values, state: Values) -> RunStatistics:
        try:
            self._write(step, values, state)
            tags = list(self._turns[step])
            if isinstance(self.device, NamesInstructions):
                self.device.name_instructions(lambda: instruction_names(self.program, step))
            statistics = self.device.run(self.program.address_of(step), tags)
            values.update((i, self.read(self.program.tensor(i))) for i in step.gives)
        except BaseException:
            self._forget()
            raise
        return statistics

    def _run_in_turn(self, step: Step, inference: Inference,
                     double: DoubleBuffer) -> RunStatistics:
        """Run double-buffered: the inference behind this one may be begun with."""
        try:
            if not self._residents.hold(self):
                self._load()
            if isinstance(self.device, NamesInstructions):
                self.device.name_instructions(lambda: instruction_names(self.program, step))
            following = self._pipeline.following(inference)
            return double.run(inference.values, None if following is None else following.values,
                              list(self._turns[step]))
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """Have all sessions load their images again: the device may be reset or replaced."""
        self._residents.forget()
        self._state.forget()
        if self._double is not None:
            self._double.forget()

    def _write(self, step: Step, values: Values, state: Values) -> None:
        """Make device memory ready for a run: the image, if need be, and what it takes."""
        settle(self.device)
        if not self._residents.hold(self):
            if step.holds:
                raise DeviceError(f"{self.program.name}: between two of its runs another program "
                                  "took the device's memory: run one behind the other, or compile "
                                  "one behind the other")
            self._load()
        for i in self._state.begin(step.takes, values, state):
            tensor = self.program.tensor(i)
            assert tensor.address is not None
            self.device.write(tensor.address, tensor.to_device(values[i]))

    def _check_inputs(self, inputs: Arrays, as_float: bool) -> dict[str, np.ndarray]:
        expected = self.program.inputs
        names = [tensor.name for tensor in expected]
        expect("inputs", inputs, Mapping, Sequence)
        if not isinstance(inputs, Mapping):
            if len(inputs) != len(names):
                raise InputError(f"{self.program.name}: expected {len(names)} inputs, "
                                 f"found {len(inputs)}")
            inputs = dict(zip(names, inputs, strict=True))
        if set(inputs) != set(names):
            raise InputError(f"{self.program.name}: expected inputs {sorted(names)}, "
                             f"found {sorted(inputs)}")
        return {tensor.name: _check_input(self.program.name, tensor, inputs[tensor.name], as_float)
                for tensor in expected}

    @cached_property
    def _turns(self) -> dict[Step, dict[int, int]]:
        return {step: self.program.turns_of(step) for step in self.program.runs}

    @cached_property
    def _facts(self) -> dict[int, dict[str, Any]]:
        """Number, removed, shape and kernel by tag, of the first layer that has it."""
        facts: dict[int, dict[str, Any]] = {}
        for number, layer in zip(layer_numbers(self.program), self.program.layers, strict=True):
            facts.setdefault(layer.tag, {"number": number, "removed": dict(layer.removed or {}),
                                         **layer_facts(self.program, layer)})
        return facts

    def _statistics(self, run: RunStatistics | None, seconds: float) -> Statistics:
        program = self.program
        cycles = run.cycles if run is not None else 0
        layers: dict[int, list[LayerInfo]] = {}
        for layer in program.layers:
            layers.setdefault(layer.tag, []).append(layer)
        rows = []
        for counters in run.per_layer(program.turns) if run is not None else ():
            # Layers beyond the last tag share it; they are shown together.
            same = layers[counters.tag]
            macs = sum(layer.macs for layer in same)
            rows.append({
                "name": same[0].name if len(same) == 1 else f"{same[0].name} ... {same[-1].name}",
                "op": same[0].op, "macs": macs, "cycles": counters.cycles,
                "utilization": program.utilization(macs, counters.cycles),
                "lost": counters.lost, **self._facts[counters.tag]})
        return Statistics(cycles, program.macs, program.utilization(program.macs, cycles), rows,
                          seconds)


def _check_target(program: Program, device: Device) -> None:
    if device.config is None:      # then its memory is empty
        residents_of(device).forget()
        device.load_target(program.config)
    config: AcceleratorConfig | None = device.config
    if config is not None and config != program.config:
        raise DeviceError(f"{program.name}: compiled for target '{program.config.name}' "
                          f"({program.config.hash}), the device is '{config.name}' "
                          f"({config.hash}): compile for that target")


def _check_input(model: str, tensor: TensorInfo, value: np.ndarray,
                 as_float: bool) -> np.ndarray:
    where = f"{model}: input '{tensor.name}'"
    if as_float:
        value = np.asarray(value)
        if value.shape == tensor.shape and np.issubdtype(value.dtype, np.floating):
            if tensor.dtype != "float32" and not np.isfinite(value).all():
                raise InputError(f"{where}: expected finite numbers, found inf or nan")
            return quantize(value, tensor)
        wanted = "floats"
    else:
        wanted = tensor.dtype
        if (isinstance(value, np.ndarray) and value.shape == tensor.shape
                and value.dtype == np.dtype(tensor.dtype)):
            return value
    found = (f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray)
             else type(value).__name__)
    raise InputError(f"{where}: expected {wanted}{list(tensor.shape)}, found {found}")

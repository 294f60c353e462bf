"""Session: a program on a device, fed with arrays; and the operators that the host runs."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.devices import Device, GoldenDevice
from kaniwa.errors import DeviceError, InputError
from kaniwa.golden.softmax import softmax
from kaniwa.program import HostOp, LayerInfo, Program, TensorInfo
from kaniwa.statistics import RunStatistics

__all__ = ["Session", "Statistics", "forget_image"]

Arrays = Mapping[str, np.ndarray] | Sequence[np.ndarray]

# Whose image each device holds: a second session on a device must not run the first one's.
_LOADED: weakref.WeakKeyDictionary[Device, weakref.ref[Session]] = weakref.WeakKeyDictionary()


def forget_image(device: Device) -> None:
    """Say that ``device``'s memory was overwritten: the next run of a session loads its image."""
    _LOADED.pop(device, None)


@dataclass(frozen=True)
class Statistics:
    """One inference. ``layers`` are dicts of name, op, macs, cycles, utilization and lost.

    ``cycles`` are the device's own: counted by a simulated core, estimated by the emulator, 0 on
    golden. The cycles of the layers add up to them; layers is empty where a device has no
    counters. ``utilization`` is macs / (cycles * multipliers). ``seconds`` passed on the host.
    """

    cycles: int
    macs: int
    utilization: float
    layers: list[dict[str, Any]]
    seconds: float


class Session:
    """Runs ``program`` on ``device``; every inference starts from cleared state.

    A device without a target takes the program's. Raises DeviceError where the device is of
    another config, lacks outside memory that the program needs, or, for golden, where the program
    was not compiled in this process.
    """

    def __init__(self, program: Program, device: Device) -> None:
        self.program = program
        self.device = device
        self.stats: Statistics | None = None
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._golden_values: dict[int, np.ndarray] | None = None
        _check_target(program, device)
        if isinstance(device, GoldenDevice):
            if program.graph is None:
                raise DeviceError(f"{program.name}: the golden device runs the model itself: give "
                                  "the model, not a program file")
        else:
            self._load()

    def run(self, inputs: Arrays, as_float: bool = False) -> dict[str, np.ndarray]:
        """The outputs by name for ``inputs``, by name or in the model's order.

        Arrays are of the model's shapes and dtypes (quantized); with ``as_float`` they are real
        numbers, and so are the outputs. Raises InputError naming tensor, expected and found.
        """
        arrays = self._check_inputs(inputs, as_float)
        began = time.perf_counter()
        with self._lock:
            values, statistics = self._run(arrays)
            self.stats = self._statistics(statistics, time.perf_counter() - began)
        outputs = {t.name: values[t.id] for t in self.program.outputs}
        if as_float:
            outputs = {t.name: _dequantize(outputs[t.name], t) for t in self.program.outputs}
        return outputs

    def submit(self, inputs: Arrays, as_float: bool = False) -> Future[dict[str, np.ndarray]]:
        """Run in the background; inferences are done in the order of submission."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="kaniwa-session")
        return self._executor.submit(self.run, inputs, as_float)

    def reset(self) -> None:
        """Clear the state of recurrent models; models without state are not affected."""

    def tensor(self, name: str) -> np.ndarray:
        """The value of a stored tensor after the last inference.

        Raises DeviceError where the tensor is not stored, or not in full, or its memory was
        reused by the end of the program.
        """
        found = next((t for t in self.program.tensors if t.name == name), None)
        if found is None:
            raise DeviceError(f"{self.program.name}: the program stores no tensor '{name}'; "
                              "compile with --materialize to store all")
        with self._lock:
            if self._golden_values is not None:
                return self._golden_values[found.id]
            if found.address is None or found.overwritten is not None:
                raise DeviceError(f"{self.program.name}: tensor '{name}' is not in device memory "
                                  "at the end; compile with --materialize to keep all")
            if found.channels is not None:
                raise DeviceError(f"{self.program.name}: tensor '{name}' is stored without its "
                                  "dead channels; compile with --keep-dead-channels")
            return self.read(found)

    def read(self, tensor: TensorInfo) -> np.ndarray:
        """What device memory holds now where ``tensor`` is stored."""
        assert tensor.address is not None
        data = self.device.read(tensor.address, tensor.bytes)
        return np.frombuffer(data, tensor.dtype).reshape(tensor.shape)

    def write_inputs(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Make device memory ready for a run: the image, if need be, and these checked inputs."""
        held = _LOADED.get(self.device)
        if held is None or held() is not self:
            self._load()
        for tensor in self.program.inputs:
            if tensor.address is not None:
                self.device.write(tensor.address, arrays[tensor.name].tobytes())

    def _load(self) -> None:
        program = self.program
        _LOADED.pop(self.device, None)   # until all of the image is there, none is
        try:
            for address, data in program.images:
                self.device.write(address, data)
        except DeviceError as error:
            if program.outside is None:
                raise
            raise DeviceError(f"{program.name}: needs outside memory: open the device with "
                              f"outside='{program.outside}' ({error})") from None
        _LOADED[self.device] = weakref.ref(self)

    def _run(self, arrays: dict[str, np.ndarray]) -> tuple[dict[int, np.ndarray],
                                                          RunStatistics | None]:
        if isinstance(self.device, GoldenDevice):
            assert self.program.graph is not None
            self._golden_values = self.device.run_graph(self.program.graph, arrays)
            return self._golden_values, None
        try:
            values, statistics = self._run_on_device(arrays)
        except BaseException:
            # The device may have been reset or replaced: the next run loads the image again.
            _LOADED.pop(self.device, None)
            raise
        for op in self.program.host_ops:
            values[op.output] = _run_on_host(self.program, op, values[op.input])
        return values, statistics

    def _run_on_device(self, arrays: dict[str, np.ndarray]) -> tuple[dict[int, np.ndarray],
                                                                     RunStatistics]:
        self.write_inputs(arrays)
        tags = list(dict.fromkeys(layer.tag for layer in self.program.layers))
        statistics = self.device.run(self.program.program_address, tags)
        wanted = {*self.program.output_ids, *(op.input for op in self.program.host_ops)}
        return {t.id: self.read(t) for t in self.program.tensors
                if t.id in wanted and t.address is not None}, statistics

    def _check_inputs(self, inputs: Arrays, as_float: bool) -> dict[str, np.ndarray]:
        expected = self.program.inputs
        names = [tensor.name for tensor in expected]
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

    def _statistics(self, run: RunStatistics | None, seconds: float) -> Statistics:
        program = self.program
        cycles = run.cycles if run is not None else 0
        layers: dict[int, list[LayerInfo]] = {}
        for layer in program.layers:
            layers.setdefault(layer.tag, []).append(layer)
        rows = []
        for counters in run.per_tag(layers) if run is not None else ():
            # Layers beyond the last tag share it; they are shown together.
            same = layers[counters.tag]
            macs = sum(layer.macs for layer in same)
            rows.append({
                "name": same[0].name if len(same) == 1 else f"{same[0].name} ... {same[-1].name}",
                "op": same[0].op, "macs": macs, "cycles": counters.cycles,
                "utilization": program.utilization(macs, counters.cycles),
                "lost": counters.lost})
        return Statistics(cycles, program.macs, program.utilization(program.macs, cycles), rows,
                          seconds)


def _check_target(program: Program, device: Device) -> None:
    if device.config is None:
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
            return _quantize(value, tensor)
        wanted = "floats"
    else:
        wanted = tensor.dtype
        if (isinstance(value, np.ndarray) and value.shape == tensor.shape
                and value.dtype == np.dtype(tensor.dtype)):
            return value
    found = (f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray)
             else type(value).__name__)
    raise InputError(f"{where}: expected {wanted}{list(tensor.shape)}, found {found}")


def _quantize(value: np.ndarray, tensor: TensorInfo) -> np.ndarray:
    scale, zero_point = _quantization(tensor)
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(value.astype(np.float64) / scale) + zero_point
    if not np.isfinite(steps).all():
        raise InputError(f"input '{tensor.name}': expected finite numbers, found inf or nan")
    return np.clip(steps, limits.min, limits.max).astype(tensor.dtype)


def _dequantize(value: np.ndarray, tensor: TensorInfo) -> np.ndarray:
    scale, zero_point = _quantization(tensor)
    return ((value.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _quantization(tensor: TensorInfo) -> tuple[float, int]:
    if tensor.scale is None or tensor.zero_point is None:
        raise InputError(f"tensor '{tensor.name}' has no scale: give and take quantized values")
    return tensor.scale, tensor.zero_point


def _run_on_host(program: Program, op: HostOp, value: np.ndarray) -> np.ndarray:
    output = program.tensor(op.output)
    if op.kind == "SOFTMAX":
        scale = program.tensor(op.input).scale
        assert scale is not None
        value = softmax(value, beta=float(str(op.attributes["beta"])), scale=scale)
    return value.reshape(output.shape)


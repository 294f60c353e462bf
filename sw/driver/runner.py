"""A model that is compiled for a target and runs on a device: what the APIs of frameworks share."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict

from kaniwa.compiler.added_memory import compile_with_memory
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.data.arguments import file_path
from kaniwa.driver.devices import (
    BOARDS,
    Device,
    GoldenDevice,
    SimulatedMemory,
    added_outside,
    check_name,
    open as open_device,
    target_of,
)
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.outside import ADDED_OUTSIDE
from kaniwa.program.file import load_program
from kaniwa.program.program import Program

__all__ = ["DEVICE", "TARGET", "OpenOptions", "Runner", "check_options"]

DEVICE, TARGET = "emulator", "base"
COMPILE_OPTIONS = ("outside", "materialize", "keep_dead_channels", "require_accelerator",
                   "progress")


class OpenOptions(TypedDict, total=False):
    """Target and device of a model, as ``kaniwa.compile`` and ``kaniwa.open`` take them.

    ``device`` may be an open one, which stays open. Without ``target`` a board has its own, and
    all else is for "base". ``progress`` is told what takes long.
    """

    target: str | Path | AcceleratorConfig
    device: str | Device
    outside: str | None
    materialize: bool
    keep_dead_channels: bool
    require_accelerator: bool
    progress: Callable[[str], None] | None


def check_options(options: Mapping[str, Any], known: type[Any], what: str) -> None:
    """Raise TypeError, as Python does, for a keyword that is not of the TypedDict ``known``."""
    for name in options:
        if name not in known.__annotations__:
            raise TypeError(f"{what} got an unexpected keyword argument '{name}'")


class Runner:
    """A program, and a session of it on its device once ``session`` is first used.

    ``model`` is a file of a model or a program, or one of these that was read. Simulators get the
    outside memory that the program needs. Raises what ``compile`` and ``load_program`` raise, and
    DeviceError for a device that is none, or of another target.
    """

    def __init__(self, model: str | PathLike[str] | Graph | Program, options: OpenOptions) -> None:
        self._device = options.get("device", DEVICE)
        self._progress = options.get("progress")
        self._session: Session | None = None
        self._close: Callable[[], Any] = lambda: None
        self._closed = False
        if isinstance(self._device, str):
            check_name(self._device)
        try:
            self.program = self._program(model, options)
        except BaseException:
            self.close()
            raise

    @property
    def session(self) -> Session:
        """The session; the device is opened when it is first asked for."""
        if self._closed:
            raise DeviceError(f"{self.program.name}: is closed")
        if self._session is None:
            program = self.program
            if isinstance(self._device, str):
                self._open(open_device(self._device, target=program.config,
                                       outside=program.outside, progress=self._progress))
            assert not isinstance(self._device, str)
            self._session = Session(program, self._device)
        return self._session

    @property
    def device_name(self) -> str:
        """The device as it was asked for, or its own name."""
        return self._device if isinstance(self._device, str) else self._device.name

    def close(self) -> None:
        """Close the device, unless it was given open; a second call does nothing."""
        self._closed = True
        self._close()

    def _open(self, device: Device) -> None:
        """Take ``device`` as one's own, which is closed when nobody has this runner any more."""
        self._device = device
        self._close = weakref.finalize(self, device.close)

    def _program(self, model: str | PathLike[str] | Graph | Program,
                 options: OpenOptions) -> Program:
        if isinstance(model, str | PathLike) and Path(model).suffix == ".kaniwa":
            model = load_program(model)
        if isinstance(model, Program):
            if "target" in options:
                model.check_target(load_target(options["target"]))
            return model
        graph = model if isinstance(model, Graph) else load_model(file_path("model", model))
        asked_for = self._device     # a board is another object once it was opened for its target
        target = load_target(options["target"] if "target" in options else self._own_target())
        given = {name: value for name, value in options.items() if name in COMPILE_OPTIONS}
        return compile_with_memory(graph, target, _added(asked_for, target, options), **given)

    def _own_target(self) -> str | AcceleratorConfig:
        """The target that the device has of itself; a board is opened to ask."""
        if isinstance(self._device, str):
            if not self._device.startswith(BOARDS):
                return target_of(self._device) or TARGET
            self._open(open_device(self._device, progress=self._progress))
        assert not isinstance(self._device, str)
        return self._device.config or TARGET


def _added(device: str | Device, target: AcceleratorConfig, options: OpenOptions) -> str | None:
    """The outside memory that ``device`` adds if it is needed, and none was asked for."""
    if options.get("outside") is not None:
        return None
    if isinstance(device, str):
        return added_outside([device], target)
    return ADDED_OUTSIDE if isinstance(device, SimulatedMemory | GoldenDevice) else None

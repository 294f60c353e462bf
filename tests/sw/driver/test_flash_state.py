"""How far a board came with its flash: told by the link, warned of, and relied on by a host."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.graphs.inferences import wrong_answers_of
from builders.pseudo_board import PseudoBoard

from kaniwa import cli
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.frames import FLASH_STATES, HAS_OUTSIDE, link_registers
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError
from kaniwa.importers import load_model
from kaniwa.selftest.suite import selftest
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.sim.worlds.random_graphs import random_graph
from kaniwa.standalone.format import FlashState
from kaniwa.standalone.image import make_image, read_image

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
DAMAGED = ("the image in flash is damaged, and was not loaded: write it anew with kaniwa flash")
OTHER = ("the image in flash is for another config, and was not loaded: write one for this "
         "bitstream with kaniwa flash")


class CountedCore(EmulatedCore):
    """Counts the bytes that are written to it."""

    written = 0

    def write(self, address: int, value: int) -> None:
        self.written += 1
        super().write(address, value)


def booted(image: bytes, core: EmulatedCore) -> LinkModel:
    """A board whose memory and registers are what its loader made of ``image``."""
    for request in read_image(image).requests:
        for i, value in enumerate(request.data):
            core.write(request.word + i, value)
        if not request.data:
            core.write_register(request.count, request.word)
    model = LinkModel(core)
    model.flash = FlashState.LOADED
    return model


def board(model: LinkModel) -> BoardDevice:
    return BoardDevice("board", connect=lambda: ModelTransport(model))


@pytest.mark.parametrize("state", FlashState)
@pytest.mark.parametrize("cores", [1, 3])
def test_the_state_is_told_beside_the_other_features(state: FlashState, cores: int) -> None:
    model = LinkModel(*(EmulatedCore(CONFIG) for _ in range(cores)))
    model.flash = state
    with board(model) as device:
        assert (device.flash, device.cores, device.outside) == (state, cores, False)
    features = link_registers(244, 512, 300_000, True, cores, state)[7]
    assert features == HAS_OUTSIDE | state << 1 | cores - 1 << 4


def test_states_fit_into_their_bits() -> None:
    assert max(FlashState) < FLASH_STATES
    assert link_registers(244, 512, 300_000, True)[7] == HAS_OUTSIDE     # as before there were any


class LoadingTransport(ModelTransport):
    """A device that drops all that comes in its first ``loading`` seconds."""

    loading = 0.0

    def write(self, data: bytes) -> None:
        if self.now() >= self.loading:
            super().write(data)


@pytest.mark.parametrize("loading", [0.025, 0.4, 1.6, 2.5])
def test_a_host_waits_while_a_board_loads(loading: float) -> None:
    line = LoadingTransport(LinkModel(EmulatedCore(CONFIG)))
    line.loading = loading
    with BoardDevice("board", connect=lambda: line) as device:
        assert device.config == CONFIG
    assert line.now() < 1.2 * loading + 0.5


def test_a_board_that_loads_for_longer_gives_no_answer() -> None:
    line = LoadingTransport(LinkModel(EmulatedCore(CONFIG)))
    line.loading = 60.0
    with pytest.raises(DeviceError, match="no answer: is the device powered and programmed"):
        BoardDevice("board", connect=lambda: line)
    assert 3.0 < line.now() < 3.5


@pytest.mark.parametrize("state", [6, 7])
def test_a_state_of_the_future_is_named(state: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinkModel(EmulatedCore(CONFIG))
    monkeypatch.setattr(model, "flash", state)
    with pytest.raises(DeviceError, match=f"the device tells state {state} of its flash, which "
                                          "this kaniwa does not know: build the bitstream again"):
        board(model)


@pytest.mark.parametrize("state", FlashState)
def test_what_is_wrong_with_the_image_is_one_warning(
        state: FlashState, caplog: pytest.LogCaptureFixture) -> None:
    model = LinkModel(EmulatedCore(CONFIG))
    model.flash = state
    with caplog.at_level(logging.INFO, "kaniwa.driver"), board(model) as device:
        assert not wrong_answers_of(GRAPH, Session(compile(GRAPH, CONFIG), device), 1)
    warned = [record.getMessage() for record in caplog.records
              if record.levelno == logging.WARNING]
    expected = {FlashState.DAMAGED: [f"board: {DAMAGED}"],
                FlashState.OTHER_CONFIG: [f"board: {OTHER}"]}
    assert warned == expected.get(state, [])
    told = f"board: image in flash: {state.name}"
    assert (told in caplog.messages) == (state not in (FlashState.ABSENT, *expected))


def test_a_program_that_was_loaded_is_not_written_again() -> None:
    program = compile(GRAPH, CONFIG)
    core = CountedCore(CONFIG)
    model = booted(make_image(program), core)
    core.written = 0
    with board(model) as device:
        assert device.flash == FlashState.LOADED
        session = Session(program, device, loaded=True)
        assert core.written == 0
        assert not wrong_answers_of(GRAPH, session, 1)
        inputs = sum(tensor.bytes for tensor in program.inputs)
        assert core.written == inputs
        assert not wrong_answers_of(GRAPH, session, 2)
        assert core.written == 2 * inputs


def test_another_program_in_memory_is_named_with_the_first_byte_that_differs() -> None:
    program = compile(GRAPH, CONFIG)
    model = booted(make_image(program), EmulatedCore(CONFIG))
    address, data = program.images[-1]
    at = address + len(data) - 1
    model.core.write(at, data[-1] ^ 4)
    with board(model) as device:
        with pytest.raises(DeviceError, match=f"the device has not loaded this program: at {at:#x} "
                                              f"its memory has {data[-1] ^ 4}, wanted is "
                                              f"{data[-1]}; write its flash anew"):
            Session(program, device, loaded=True)
        assert not wrong_answers_of(GRAPH, Session(program, device), 1)


@pytest.mark.parametrize("state, told", [(FlashState.ABSENT, None), (FlashState.LOADED, "loaded"),
                                         (FlashState.OTHER_CONFIG, "other config")])
def test_the_selftest_tells_the_state(state: FlashState, told: str | None) -> None:
    model = LinkModel(EmulatedCore(CONFIG))
    model.flash = state
    with board(model) as device:
        report = selftest(device, memory="quick", memory_bytes=1024)
    assert report.as_dict().get("image_in_flash") == told
    assert (f"image in flash: {told}" in report.page()) == (told is not None)


@pytest.fixture
def plugged(tmp_path: Path) -> Iterator[PseudoBoard]:
    made = PseudoBoard(tmp_path / "ttyUSB0")
    yield made
    made.unplug()


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", *map(str, arguments)])
    status = stopped.value.code
    assert isinstance(status, int)
    return status, *capsys.readouterr()


def test_the_command_line_tells_what_is_wrong_in_one_line(
        plugged: PseudoBoard, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (models / "tflm_micro_speech.tflite", "--device", f"serial:{plugged.path}",
                 "--target", "small", "--limit", 1, "--check")
    status, out, err = run(capsys, *arguments)
    assert status == 0 and "mismatches: 0" in out and err == ""
    plugged.model.flash = FlashState.DAMAGED
    status, out, err = run(capsys, *arguments)
    assert status == 0 and "mismatches: 0" in out
    assert err == f"kaniwa: serial:{plugged.path}: {DAMAGED}\n"
    status, _, err = run(capsys, *arguments, "-v")
    assert status == 0 and err.count(DAMAGED) == 1     # in the log, not beside it
    assert f"kaniwa: serial:{plugged.path}" not in err


def test_run_with_loaded_compares_and_runs(plugged: PseudoBoard, models: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    path = models / "tflm_micro_speech.tflite"
    arguments = (path, "--target", "small", "--limit", 1, "--check", "--loaded", "--device")
    status, _, err = run(capsys, *arguments, "emulator")
    assert status == 2 and "--loaded is for boards, which load a program from flash" in err
    status, _, err = run(capsys, *arguments, f"serial:{plugged.path}")
    assert status == 1 and "the device has not loaded this program: at 0x0" in err
    plugged.model = booted(make_image(compile(load_model(path), "small")), EmulatedCore(CONFIG))
    status, out, err = run(capsys, *arguments, f"serial:{plugged.path}")
    assert (status, err) == (0, "") and "mismatches: 0" in out

"""A runner: which target a model is compiled for, and who closes the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kaniwa
from kaniwa.driver import runner
from kaniwa.driver.devices import EmulatorDevice, GoldenDevice
from kaniwa.driver.runner import Runner


@pytest.fixture
def model(models: Path) -> Path:
    return models / "tflm_micro_speech.tflite"


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Devices that were opened, in place of boards of the target small."""
    opened: list[Any] = []

    def open_board(name: str, **_: Any) -> EmulatorDevice:
        opened.append(EmulatorDevice("small"))
        return opened[-1]

    monkeypatch.setattr(runner, "open_device", open_board)
    return opened


def test_a_boards_own_target_is_compiled_for(model: Path, board: list[Any]) -> None:
    made = Runner(model, {"device": "tcp:localhost:9"})
    assert made.program.config.name == "small" and made.device_name == "emulator"
    assert made.session.device is board[0] and len(board) == 1
    made.close()
    assert board[0].config is None


def test_a_board_is_closed_where_the_model_does_not_compile(board: list[Any],
                                                            models: Path) -> None:
    with pytest.raises(kaniwa.ModelError):
        Runner(models / "README.md", {"device": "tcp:localhost:9"})
    with pytest.raises(kaniwa.MemoryTooSmallError):     # a board does not get memory unasked
        Runner(models / "cfu_mbv2_160_035.tflite", {"device": "tcp:localhost:9"})
    assert board and all(device.config is None for device in board)


def test_a_device_is_closed_when_nobody_has_the_runner_any_more(model: Path) -> None:
    made = Runner(model, {})
    device = made.session.device
    del made
    assert device.config is None


def test_an_open_devices_target_is_compiled_for_unless_another_is_given(model: Path) -> None:
    with EmulatorDevice("large") as device:
        assert Runner(model, {"device": device}).program.config.name == "large"
    assert Runner(model, {"device": GoldenDevice()}).program.config.name == "base"
    assert Runner(model, {"target": "small"}).program.config.name == "small"


def test_a_program_is_taken_as_it_is(model: Path, tmp_path: Path) -> None:
    program = kaniwa.compile(model, target="small")
    kaniwa.save_program(program, tmp_path / "a.kaniwa")
    for each in (program, tmp_path / "a.kaniwa"):
        assert Runner(each, {}).program == program
        with pytest.raises(kaniwa.ProgramError, match="compiled for target 'small'"):
            Runner(each, {"target": "base"})

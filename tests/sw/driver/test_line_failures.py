"""What a user sees when something is wrong between host and board, and that the next run works.

The command line and the driver are the real ones; the board is the Python model of the link over
the emulator, behind a pseudo-terminal that can be pulled out and put in again.
"""

import os
import random

import pytest
import serial
from builders.pseudo_board import BAUD, PseudoBoard

from kaniwa import cli
from kaniwa.config import PRESETS
from kaniwa.isa import Register
from kaniwa.sim.board.link_model import EmulatedCore

IMAGE_BYTES = 22_000         # of the program that is run: a fault at half of it is in the middle
SILENT = ("no answer: is the device powered and programmed with a kaniwa bitstream, and the baud "
          "rate right?")
NO_FRAME = "bytes came and no frame among them: wrong baud rate, or not a kaniwa device"


class LongRun(EmulatedCore):
    """A core whose next run does not end; ``what`` is called when its status is asked the third
    time."""

    def __init__(self, what):
        super().__init__(PRESETS["small"])
        self.hangs = True
        self.asked, self.what = 0, what

    def read_register(self, index):
        if self.busy and index == Register.STATUS:
            self.asked += 1
            if self.asked == 12:      # four bytes each
                self.what()
        return super().read_register(index)


@pytest.fixture
def board(tmp_path):
    made = PseudoBoard(tmp_path / "ttyUSB0")
    yield made
    made.unplug()


@pytest.fixture
def run(board, models, capsys):
    """Run the small model on the board: what is printed as an error, or None where all is right."""

    def run(options="", *arguments):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["run", str(models / "tflm_micro_speech.tflite"), "--target", "small",
                      "--device", f"serial:{board.path}{options}", "--limit", "1", "--check",
                      *arguments])
        captured = capsys.readouterr()
        if stopped.value.code == 0:
            assert "mismatches: 0 of 4" in captured.out
            return None
        assert stopped.value.code == 1
        assert captured.err.count("\n") == 1 and captured.err.startswith("kaniwa: ")
        return captured.err.removeprefix("kaniwa: ").strip()

    return run


def test_a_cable_pulled_in_the_middle(board, run):
    board.when(IMAGE_BYTES // 2, board.pull)
    error = run()
    assert error is not None and error.startswith(f"{board.path}: connection lost")
    assert error.endswith("check cable and power, then run again")
    board.unplug()
    board.program("small")           # it lost its power
    board.plug()
    assert run() is None


def test_a_cable_pulled_while_it_runs(board, run):
    board.model.core = LongRun(board.pull)
    error = run()
    assert error is not None and error.startswith(f"{board.path}: connection lost")
    board.unplug()
    board.program("small")
    board.plug()
    assert run() is None


def test_a_device_that_is_reset_while_it_runs(board, run):
    board.model.core = LongRun(lambda: board.program("small"))
    assert run() == f"{board.path}: the device was reset: run again"
    assert run() is None


def test_a_device_that_runs_on_after_its_host_has_gone(board, run):
    """The cable comes back, with the power never gone: the next host ends the run."""
    board.model.core = core = LongRun(board.pull)
    assert "connection lost" in run()
    assert core.busy
    core.hangs = False
    board.replug()
    assert run() is None


def test_a_port_that_is_not_there(board, run):
    board.unplug()
    board.path.unlink()
    assert run() == f"{board.path}: no such port; `kaniwa devices` lists what is plugged in"
    board.plug()
    assert run() is None


@pytest.mark.parametrize("lost", [True, False])
def test_a_device_that_is_reset_in_the_middle(board, run, lost):
    """By its button, or by a power cut that USB does not notice: then its memory is empty."""
    board.when(IMAGE_BYTES // 2, lambda: board.program("small") if lost else board.model.reset())
    assert run() == f"{board.path}: the device was reset: run again"
    assert run() is None


@pytest.mark.parametrize("rate", [115_200, 1_000_000])
def test_a_wrong_baud_rate(board, run, rate):
    """The board makes out no frame, or the host none of the answers: it depends on the bits."""
    error = run(f"?baud={rate}")
    assert error is not None and error.startswith(f"{board.path}: ")
    assert error.endswith((SILENT, NO_FRAME))
    assert run(f"?baud={BAUD}") is None


def test_a_wrong_bitstream(board, run):
    board.program("base")
    small, base = PRESETS["small"].hash, PRESETS["base"].hash
    assert run() == (f"serial:{board.path}: the bitstream is of config 'base' ({base}), wanted is "
                     f"'small' ({small}): program that bitstream, or compile for this one")
    board.program("small")
    assert run() is None


def test_a_port_that_is_busy(board, run):
    other = serial.Serial(str(board.path), BAUD, exclusive=True)
    assert run() == f"{board.path}: in use by another program: end that one first"
    other.close()
    assert run() is None


def test_a_second_program_that_does_not_lock_the_port(board, run):
    """It opens a session of its own; the first one hears of it and stops."""

    def steal():
        board.model.session = board.model.session % 15 + 1

    board.when(IMAGE_BYTES // 2, steal)
    assert run() == (f"{board.path}: another program has opened the device: end that one, then run "
                     "again")
    assert run() is None


def test_garbage_between_the_answers_costs_retries_only(board, run):
    rng = random.Random(3)
    passed, inserted = [0], []

    def noise(answer):
        """Some bytes of garbage for about 300 of answers, wherever that is."""
        passed[0] += len(answer)
        if passed[0] < 300:
            return answer
        passed[0] = 0
        inserted.append(rng.randrange(len(answer)))
        return (answer[:inserted[-1]] + rng.randbytes(rng.randrange(1, 40))
                + answer[inserted[-1]:])

    board.noise = noise
    for _ in range(5):
        assert run() is None
    assert len(inserted) > 5


def test_garbage_that_was_there_before(board, run):
    board.model.receive(random.Random(4).randbytes(300))
    os.write(board.master, random.Random(5).randbytes(300))
    assert run() is None


def test_nothing_but_garbage(board, run):
    """A board that is programmed with something else and prints text."""
    board.noise = lambda answer: b"Hello from another bitstream!\r\n"
    error = run()
    assert error is not None
    assert error.startswith(f"{board.path}: ") and error.endswith(NO_FRAME)
    board.noise = None
    assert run() is None


def test_the_self_test_tells_a_pulled_cable_too(board, capsys):
    board.when(100_000, board.pull)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", "--device", f"serial:{board.path}", "--memory", "quick"])
    output = capsys.readouterr().out
    assert stopped.value.code == 1
    assert "connection lost" in output and output.endswith("\nFAIL: memory\n")


@pytest.mark.parametrize("name, message", [
    ("serial:/dev/null", "/dev/null: not a serial port"),
    ("serial:/dev", "/dev: cannot be opened (Is a directory)"),
    ("serial:/dev/null?baud=7", "device 'serial:/dev/null?baud=7': baud must be at least 300, "
                                "not 7"),
    ("tcp:127.0.0.1:99999", "device 'tcp:127.0.0.1:99999': the port must be 1..65535, not 99999"),
    ("tcp:127.0.0.1:0", "device 'tcp:127.0.0.1:0': the port must be 1..65535, not 0"),
])
def test_what_is_no_line_is_named(name, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", "--device", name])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"kaniwa: {message}\n"

"""``kaniwa boot``: what a host asks of a board with slots, and what it finds out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaniwa import cli
from kaniwa.config import PRESETS
from kaniwa.driver import transports
from kaniwa.errors import DeviceError, InputError
from kaniwa.isa import Register
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.standalone.boot import boot
from kaniwa.standalone.format import BOOT, BOOT_ABLE, BOOT_IN_TURN, BOOT_KEY, FlashState

TARGETS = ("nano", "small", "nano")
DEVICE = "serial:/dev/board"


class SlotCore(EmulatedCore):
    """A core with the register BOOT beside its own ones; ``asked`` is the slot to start."""

    def __init__(self, target: str, told: int) -> None:
        super().__init__(PRESETS[target])
        self.told = told
        self.asked: int | None = None

    def read_register(self, index: int) -> int:
        return self.told if index == BOOT else super().read_register(index)

    def write_register(self, index: int, value: int) -> None:
        if index == BOOT and value >> 16 == BOOT_KEY:
            self.asked = value & 3 if self.asked is None else self.asked
        elif index != BOOT:
            super().write_register(index, value)


class Silent(LinkModel):
    """A board that is configured at this time."""

    def receive(self, data: bytes) -> bytes:
        return b""


class Slots:
    """A board with a slot for each of TARGETS; ``connect`` is to be given to ``boot``.

    ``silent``: how often it does not answer after each start; ``slots``: how many there are.
    ``started`` has the slots that it was in.
    """

    def __init__(self, in_turn: bool = False, silent: int = 0, able: bool = True) -> None:
        self.in_turn, self.silent, self.able = in_turn, silent, able
        self.slots = len(TARGETS)
        self.started: list[int] = []
        self.start(0)

    def start(self, slot: int) -> None:
        self.started.append(slot)
        told = (BOOT_ABLE | BOOT_IN_TURN * self.in_turn | slot) * self.able
        self.core = SlotCore(TARGETS[slot], told)
        self.model = LinkModel(self.core)
        self.model.flash = FlashState.OTHER_CONFIG if slot == 2 else FlashState.LOADED
        self.not_yet = self.silent if len(self.started) > 1 else 0

    def connect(self) -> ModelTransport:
        asked = self.core.asked
        if asked is not None:
            here = self.started[-1]
            self.start((here + 1) % self.slots if self.in_turn
                       else asked if asked < self.slots else 0)
        if self.not_yet:
            self.not_yet -= 1
            return ModelTransport(Silent(self.core))
        return ModelTransport(self.model)


@pytest.mark.parametrize("silent", [0, 2])
def test_any_slot_is_started_at_once(silent: int) -> None:
    board = Slots(silent=silent)
    told: list[str] = []
    seen = boot(board.connect, 2, tell=told.append)
    assert [facts.slot for facts in seen] == board.started == [0, 2]
    assert not any(facts.in_turn for facts in seen)
    assert [facts.config for facts in seen] == [PRESETS["nano"].hash] * 2
    assert told == [f"was slot 0, config nano ({PRESETS['nano'].hash}), image loaded",
                    f"is slot 2, config nano ({PRESETS['nano'].hash}), image other config"]
    assert len(boot(board.connect, 2)) == 1 and board.started == [0, 2]


def test_slots_in_turn_are_gone_through() -> None:
    board = Slots(in_turn=True, silent=1)
    told: list[str] = []
    seen = boot(board.connect, 2, tell=told.append)
    assert [(facts.slot, facts.target) for facts in seen] == [(0, "nano"), (1, "small"),
                                                              (2, "nano")]
    assert board.started == [0, 1, 2] and len(told) == 3
    assert [facts.slot for facts in boot(board.connect, 1)] == [2, 0, 1]


@pytest.mark.parametrize("in_turn, started", [(False, [0, 0]), (True, [0, 1, 2, 0])])
def test_an_empty_slot_is_named(in_turn: bool, started: list[int]) -> None:
    board = Slots(in_turn)
    with pytest.raises(DeviceError, match="model: slot 3 is empty, or the board did not leave: it "
                                          "is in slot 0; kaniwa flash fills slots"):
        boot(board.connect, 3)
    assert board.started == started


def test_a_board_that_does_not_come_back_is_named() -> None:
    with pytest.raises(DeviceError, match="no answer.*; it was told to start slot 1, and did not "
                                          "come back within 0.2 s: at power-up it starts slot 0"):
        boot(Slots(silent=99).connect, 1, 0.2)


def test_a_board_that_is_not_able_is_told_nothing() -> None:
    board = Slots(able=False)
    with pytest.raises(DeviceError, match="model: its bitstream is the only one, and starts no "
                                          "other: kaniwa bitstream --standalone --slot makes one"):
        boot(board.connect, 1)
    assert board.core.asked is None


def test_an_older_board_reads_nothing_there() -> None:
    """Registers that a core has not are 0."""
    assert BOOT not in list(Register)
    assert EmulatedCore(PRESETS["nano"]).read_register(BOOT) == 0


def test_another_thing_on_the_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Slots()
    monkeypatch.setattr(board.core, "read_register", lambda index: 5)
    with pytest.raises(DeviceError, match=r"not a kaniwa device \(its first register is 0x5\)"):
        boot(board.connect, 1)


@pytest.mark.parametrize("slot", [-1, 4])
def test_a_slot_that_no_flash_has_is_not_asked_for(slot: int) -> None:
    board = Slots()
    with pytest.raises(InputError, match=f"slot must be 0..3, not {slot}"):
        boot(board.connect, slot)
    assert board.core.asked is None


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``kaniwa boot``."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["boot", *map(str, arguments)])
    status = stopped.value.code
    assert isinstance(status, int)
    return status, *capsys.readouterr()


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Slots:
    """The board at the port of DEVICE."""
    plugged = Slots(in_turn=True)
    monkeypatch.setattr(transports, "open_transport", lambda address: plugged.connect())
    return plugged


def test_the_command_tells_what_the_board_was_and_is(
        board: Slots, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, 1, "--device", DEVICE)
    assert (status, err) == (0, "")
    assert out == (f"was slot 0, config nano ({PRESETS['nano'].hash}), image loaded\n"
                   f"is slot 1, config small ({PRESETS['small'].hash}), image loaded\n")
    status, out, err = run(capsys, 1, "--device", DEVICE)
    assert (status, err) == (0, "") and out.splitlines()[1:] == [
        "it is there already: nothing was done"]
    status, out, _ = run(capsys, 0, "--device", DEVICE, "--json")
    values = json.loads(out)
    assert values["device"] == DEVICE
    assert (values["was"]["slot"], values["is"]["slot"]) == (1, 0)
    assert values["between"] == [{"slot": 2, "in_turn": True, "config": PRESETS["nano"].hash,
                                  "target": "nano", "flash": "other_config"}]


REFUSED = [
    (("1", "--device", "golden"), "device 'golden': boards have slots, which are serial:PORT"),
    (("1", "--device", "serial:/no/such"), "/no/such: no such port"),
    (("4", "--device", "serial:/no/such"), "slot must be 0..3, not 4"),
    (("1", "--device", "sim:none"), "device 'sim:none': expected sim:BOARD"),
    (("1", "--device", DEVICE, "--seconds", "0"), "Invalid value for '--seconds'"),
    (("-1", "--device", DEVICE), "No such option"),
]


@pytest.mark.parametrize("arguments, message", REFUSED)
def test_what_cannot_be_is_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *arguments)
    assert status in (1, 2) and out == ""
    assert message in err and err.count("\n") == 1


def test_errors_of_the_board_are_one_line(board: Slots,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, 3, "--device", DEVICE)
    assert status == 1 and err == ("kaniwa: model: slot 3 is empty, or the board did not leave: "
                                   "it is in slot 0; kaniwa flash fills slots\n")
    assert len(out.splitlines()) == 3      # where it was, and was led on

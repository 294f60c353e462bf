"""``kaniwa devices`` lists what is plugged in, by the name that --device takes."""

import json
from types import SimpleNamespace

from click.testing import CliRunner
from serial.tools import list_ports

from kaniwa.boards.board import BOARDS
from kaniwa.cli import verbs


class Port(SimpleNamespace):
    def __lt__(self, other):
        return self.device < other.device


def test_boards_are_named_by_their_usb_ids(monkeypatch):
    ports = [Port(device="/dev/ttyUSB1", vid=0x0403, pid=0x6015, serial_number="D00",
                  description="FT231X USB UART"),
             Port(device="/dev/ttyUSB0", vid=1, pid=2, serial_number=None, description="Gadget"),
             Port(device="/dev/ttyS0", vid=None, pid=None, serial_number=None, description="n/a")]
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    result = CliRunner().invoke(verbs, ["devices", "--json"])
    found = json.loads(result.output)["devices"]
    assert [d["device"] for d in found] == [
        "golden", "emulator", "sim", *(f"sim:{board}" for board in BOARDS),
        "serial:/dev/ttyUSB0", "serial:/dev/ttyUSB1"]
    assert found[3 + BOARDS.index("icebreaker")]["what"].startswith(
        "simulated at its pins: 1BitSquared iCEBreaker")
    assert [d["what"] for d in found[-2:]] == ["Gadget", "ULX3S (FT231X)"]
    assert found[-1]["serial_number"] == "D00"
    assert "serial:/dev/ttyUSB1" in CliRunner().invoke(verbs, ["devices"]).output
